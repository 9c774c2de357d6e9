//! Reads a tree for the manifest: descends by directory descriptor, so paths
//! may be longer than the kernel takes; opens files without touching their
//! times; stays on one mount.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::manifest::{
    APPEND, Boundary, CASEFOLD, IMMUTABLE, Id, Kind, Node, PROJECT_INHERIT, join,
};
use super::sys;

/// `chattr` flags that a rename must not lose; the rest (extents, hashed
/// directory) is the file system's own business.
const FLAGS: u32 = 0x0000_0001 // secure deletion
    | 0x0000_0008 // sync
    | IMMUTABLE
    | APPEND
    | 0x0000_0040 // nodump
    | 0x0000_0080 // noatime
    | 0x0000_4000 // data journalling
    | 0x0001_0000 // dirsync
    | 0x0080_0000 // nocow
    | PROJECT_INHERIT
    | CASEFOLD;

/// All nodes at and below `root`, by relative path.
pub fn nodes(root: &Path, limit: u64) -> BTreeMap<Vec<u8>, Node> {
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOATIME)
        .open(root)
        .unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    let stat = sys::statx(directory.as_raw_fd(), b"").expect("the root's metadata");
    let tree = sys::btrfs_tree(&directory).unwrap_or(0);
    let mut walk = Walk { limit, nodes: BTreeMap::new() };
    let place = Place { tree, device: device(&stat), mount: stat.stx_mnt_id };
    let mut node = node(&stat, Boundary::None, tree);
    walk.inspect(&mut node, &proc_path(&directory, b"."), Some(&directory));
    walk.nodes.insert(Vec::new(), node);
    walk.descend(&directory, &mut Vec::new(), place);
    walk.nodes
}

/// Where the walk is, to notice when it would leave.
#[derive(Clone, Copy)]
struct Place {
    tree: u64,
    device: (u32, u32),
    mount: u64,
}

struct Walk {
    limit: u64,
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Walk {
    fn descend(&mut self, directory: &File, path: &mut Vec<u8>, place: Place) {
        let names = std::fs::read_dir(proc_path(directory, b".")).expect("a readable directory");
        for name in names {
            let name = name.expect("a directory entry").file_name().into_vec();
            let length = path.len();
            *path = join(path, &name);
            self.visit(directory, &name, path, place);
            path.truncate(length);
        }
    }

    fn visit(&mut self, directory: &File, name: &[u8], path: &mut Vec<u8>, place: Place) {
        let stat = sys::statx(directory.as_raw_fd(), name).expect("metadata");
        if stat.stx_mnt_id != place.mount {
            self.nodes.insert(path.clone(), node(&stat, Boundary::Mount, u64::MAX));
            return;
        }
        let flags = libc::O_RDONLY | libc::O_NOATIME | libc::O_NONBLOCK;
        let readable =
            matches!(u32::from(stat.stx_mode) & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR);
        let open = || sys::open_at(directory.as_raw_fd(), name, flags).expect("an open file");
        let file = readable.then(open);
        let mut place = place;
        let mut boundary = Boundary::None;
        if let Some(file) = file.as_ref().filter(|_| device(&stat) != place.device) {
            // Another device on the same mount: a btrfs subvolume.
            place.tree = sys::btrfs_tree(file).expect("a subvolume");
            place.device = device(&stat);
            let read_only = sys::btrfs_subvolume_flags(file).is_ok_and(|f| f & 2 != 0);
            boundary = if read_only { Boundary::ReadOnlySubvolume } else { Boundary::Subvolume };
        }
        let mut node = node(&stat, boundary, place.tree);
        self.inspect(&mut node, &proc_path(directory, name), file.as_ref());
        let enter = node.kind == Kind::Directory;
        self.nodes.insert(path.clone(), node);
        if let Some(file) = file.filter(|_| enter) {
            self.descend(&file, path, place);
        }
    }

    /// Adds what statx does not tell.
    fn inspect(&self, node: &mut Node, path: &Path, file: Option<&File>) {
        if node.kind == Kind::Symlink {
            let target = std::fs::read_link(path).expect("a link's target");
            node.target = Some(target.into_os_string().into_vec());
        }
        for name in sys::xattr_names(path).unwrap_or_default() {
            let value = sys::xattr(path, &name).expect("an xattr");
            node.xattrs.insert(name, value);
        }
        let Some(file) = file else { return };
        node.flags = sys::inode_flags(file).unwrap_or(0) & FLAGS;
        let extended = sys::extended_flags(file).unwrap_or([0; 28]);
        node.project = u32::from_ne_bytes(extended[12..16].try_into().expect("four bytes"));
        if node.kind == Kind::File && node.size <= self.limit {
            node.content = Some(hash(file, node.size));
        }
    }
}

/// A file by directory and name, whatever the length of its path.
fn proc_path(directory: &File, name: &[u8]) -> PathBuf {
    let mut path = format!("/proc/thread-self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

fn device(stat: &libc::statx) -> (u32, u32) {
    (stat.stx_dev_major, stat.stx_dev_minor)
}

fn node(stat: &libc::statx, boundary: Boundary, tree: u64) -> Node {
    let kind = match u32::from(stat.stx_mode) & libc::S_IFMT {
        libc::S_IFREG => Kind::File,
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Symlink,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharDevice,
        _ => Kind::BlockDevice,
    };
    Node {
        id: Id { tree, inode: stat.stx_ino },
        kind,
        mode: u32::from(stat.stx_mode) & 0o7777,
        owner: (stat.stx_uid, stat.stx_gid),
        size: stat.stx_size,
        mtime: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        links: stat.stx_nlink,
        device: (stat.stx_rdev_major, stat.stx_rdev_minor),
        target: None,
        xattrs: BTreeMap::new(),
        content: None,
        flags: 0,
        project: 0,
        boundary,
    }
}

const BLOCK: usize = 64 << 10;

fn hash(mut file: &File, size: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0u8; usize::try_from(size).map_or(BLOCK, |n| BLOCK.min(n + 1))];
    loop {
        match file.read(&mut buffer).expect("readable content") {
            0 => return hasher.finish(),
            n => hasher.write(&buffer[..n]),
        }
    }
}
