//! Everything that a tree holds: each path with its inode, kind, mode, owner,
//! times, xattrs (ACLs and capabilities among them), links, flags, content.
//! Links are never followed; other file systems are noted, not entered.
//!
//! Identity is (btrfs tree, inode number), which survives an unmount, a
//! snapshot of the image and another loop device; `st_dev` does not.

use std::collections::BTreeMap;
use std::path::Path;

use super::walk;

/// What makes an inode the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// The btrfs subvolume; elsewhere 0.
    pub tree: u64,
    pub inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
}

/// Whether a path is where something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    None,
    /// Another mount, whose content is not in the manifest.
    Mount,
    Subvolume,
    ReadOnlySubvolume,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: Id,
    pub kind: Kind,
    pub mode: u32,
    pub owner: (u32, u32),
    pub size: u64,
    pub mtime: (i64, u32),
    pub links: u32,
    pub device: (u32, u32),
    pub target: Option<Vec<u8>>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `None` for what is no file or is larger than the limit.
    pub content: Option<u64>,
    /// Inode flags that a user can set (`chattr`).
    pub flags: u32,
    pub project: u32,
    pub boundary: Boundary,
}

pub const IMMUTABLE: u32 = 0x10;
pub const APPEND: u32 = 0x20;
pub const PROJECT_INHERIT: u32 = 0x2000_0000;
pub const CASEFOLD: u32 = 0x4000_0000;

/// Files above this size are not hashed unless asked for.
const HASH_UP_TO: u64 = 4 << 20;

/// A tree as it was at one moment. Keys are paths relative to it; the tree
/// itself is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub nodes: BTreeMap<Vec<u8>, Node>,
}

impl Manifest {
    pub fn of(root: impl AsRef<Path>) -> Self {
        Self::hashing_up_to(root, HASH_UP_TO)
    }

    /// As `of`, with content hashes of files up to `limit` bytes.
    pub fn hashing_up_to(root: impl AsRef<Path>, limit: u64) -> Self {
        Self { nodes: walk::nodes(root.as_ref(), limit) }
    }

    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The part at and below `prefix`, with paths relative to it.
    #[must_use]
    pub fn subtree(&self, prefix: &[u8]) -> Self {
        let nodes = self.nodes.iter();
        let inside = nodes.filter_map(|(p, n)| Some((below(p, prefix)?.to_vec(), n.clone())));
        Self { nodes: inside.collect() }
    }

    /// All but what is at or below `prefix`.
    #[must_use]
    pub fn without(&self, prefix: &[u8]) -> Self {
        let nodes = self.nodes.iter().filter(|(p, _)| below(p, prefix).is_none());
        Self { nodes: nodes.map(|(p, n)| (p.clone(), n.clone())).collect() }
    }

    /// The same tree with each path put below `prefix`.
    #[must_use]
    pub fn relocated(&self, prefix: &[u8]) -> Self {
        let nodes = self.nodes.iter().map(|(p, n)| (join(prefix, p), n.clone()));
        Self { nodes: nodes.collect() }
    }

    /// The names in a directory.
    pub fn children(&self, directory: &[u8]) -> Vec<&[u8]> {
        let range = self.nodes.range(directory.to_vec()..);
        let inside = range.take_while(|(p, _)| p.starts_with(directory));
        inside
            .filter_map(|(p, _)| below(p, directory))
            .filter(|rest| !rest.is_empty() && !rest.contains(&b'/'))
            .collect()
    }

    /// All paths of each inode; mounted file systems are not of this tree.
    pub fn by_id(&self) -> BTreeMap<Id, Vec<&[u8]>> {
        let mut paths = BTreeMap::<Id, Vec<&[u8]>>::new();
        for (path, node) in self.nodes.iter().filter(|(_, n)| n.boundary != Boundary::Mount) {
            paths.entry(node.id).or_default().push(path);
        }
        paths
    }
}

/// `path` relative to `prefix`, if it is at or below it.
pub fn below<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix)?;
    if prefix.is_empty() || rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

pub fn join(a: &[u8], b: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if a.is_empty() || b.is_empty() { b"" } else { b"/" };
    [a, slash, b].concat()
}

/// The directory that a path is in; of the root, the root.
pub fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|b| *b == b'/').map_or(b"", |slash| &path[..slash])
}
