//! Two manifests compared: a list of differences that a person can read, and
//! the few that a lustration is allowed to make.

use std::collections::BTreeSet;

use super::manifest::{APPEND, IMMUTABLE, Kind, Manifest, Node, below, parent};

/// Differences that do not count.
#[derive(Clone, Debug, Default)]
pub struct Excuse {
    touched: BTreeSet<Vec<u8>>,
    prefixes: Vec<Vec<u8>>,
    flags: u32,
}

impl Excuse {
    pub fn none() -> Self {
        Self::default()
    }

    /// An entry left or came in this directory: its mtime, its size and its
    /// link count do not count.
    #[must_use]
    pub fn touched(mut self, directory: &[u8]) -> Self {
        self.touched.insert(directory.to_vec());
        self
    }

    /// As `touched`, for the parent of each path.
    #[must_use]
    pub fn parents_of(self, paths: &[&[u8]]) -> Self {
        paths.iter().fold(self, |excuse, path| excuse.touched(parent(path)))
    }

    /// What is at or below this path does not count.
    #[must_use]
    pub fn below(mut self, prefix: &[u8]) -> Self {
        self.prefixes.push(prefix.to_vec());
        self
    }

    /// Immutable and append-only may be cleared for the moment.
    #[must_use]
    pub const fn cleared_flags(mut self) -> Self {
        self.flags = IMMUTABLE | APPEND;
        self
    }

    pub fn covers(&self, path: &[u8]) -> bool {
        self.prefixes.iter().any(|p| below(path, p).is_some())
    }

    pub fn is_touched(&self, path: &[u8]) -> bool {
        self.touched.contains(path)
    }
}

impl Manifest {
    /// What differs, path by path. A directory whose names differ counts as
    /// touched.
    pub fn diff(&self, after: &Self, excuse: &Excuse) -> Vec<String> {
        let mut list = Vec::new();
        for (path, node) in self.nodes.iter().filter(|(p, _)| !excuse.covers(p)) {
            match after.get(path) {
                None => list.push(format!("{}: gone", show(path))),
                Some(now) => {
                    let touched = excuse.is_touched(path)
                        || (node.kind == Kind::Directory
                            && self.children(path) != after.children(path));
                    list.extend(node_diff(path, node, now, Touched::from(touched), excuse));
                }
            }
        }
        let new = after.nodes.keys().filter(|p| !excuse.covers(p) && self.get(p).is_none());
        list.extend(new.map(|path| format!("{}: new", show(path))));
        list
    }
}

/// Whether names came or left in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    No,
    Yes,
}

impl From<bool> for Touched {
    fn from(touched: bool) -> Self {
        if touched { Self::Yes } else { Self::No }
    }
}

/// What differs between two states of one inode.
pub fn node_diff(
    path: &[u8],
    before: &Node,
    after: &Node,
    touched: Touched,
    excuse: &Excuse,
) -> Vec<String> {
    let mut list = Vec::new();
    if before.id != after.id {
        list.push(format!("{}: inode {:?} -> {:?}", show(path), before.id, after.id));
    }
    list.extend(metadata_diff(path, before, after, excuse));
    let mut field = Fields { path, list: &mut list };
    if !(before.kind == Kind::Directory && touched == Touched::Yes) {
        field.compare("size", &before.size, &after.size);
        field.compare("mtime", &before.mtime, &after.mtime);
        field.compare("link count", &before.links, &after.links);
    }
    field.compare("content", &before.content, &after.content);
    field.compare("boundary", &before.boundary, &after.boundary);
    list
}

/// What differs in the metadata that two inodes can share: kind, mode, owner,
/// xattrs, flags, device number and link target.
pub fn metadata_diff(path: &[u8], before: &Node, after: &Node, excuse: &Excuse) -> Vec<String> {
    let mut list = Vec::new();
    let mut field = Fields { path, list: &mut list };
    field.compare("kind", &before.kind, &after.kind);
    field.compare("mode", &format!("{:04o}", before.mode), &format!("{:04o}", after.mode));
    field.compare("owner", &before.owner, &after.owner);
    field.compare("device", &before.device, &after.device);
    field.compare("project", &before.project, &after.project);
    let text = |n: &Node| n.target.as_deref().map(show);
    field.compare("target", &text(before), &text(after));
    let names = before.xattrs.keys().chain(after.xattrs.keys()).collect::<BTreeSet<_>>();
    for name in names {
        let value = |n: &Node| n.xattrs.get(name).map(|v| show(v));
        field.compare(&format!("xattr {}", show(name)), &value(before), &value(after));
    }
    let cleared = excuse.flags & before.flags & !after.flags;
    let now = after.flags | cleared;
    field.compare("flags", &format!("{:#x}", before.flags), &format!("{now:#x}"));
    list
}

struct Fields<'a> {
    path: &'a [u8],
    list: &'a mut Vec<String>,
}

impl Fields<'_> {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, before: &T, after: &T) {
        if before != after {
            self.list.push(format!("{}: {what} {before:?} -> {after:?}", show(self.path)));
        }
    }
}

/// A path or value as text; the root is `/`.
pub fn show(bytes: &[u8]) -> String {
    if bytes.is_empty() { "/".into() } else { bytes.escape_ascii().to_string() }
}

/// Panics with the list unless it is empty.
#[track_caller]
pub fn assert_none(what: &str, differences: &[String]) {
    const SHOWN: usize = 40;
    let shown = differences.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>();
    let more = differences.len().saturating_sub(SHOWN);
    assert!(differences.is_empty(), "{what}:\n  {}\n  ({more} more)", shown.join("\n  "));
}
