//! Builds a tree, piece by piece. Paths are bytes relative to the root, and
//! missing parents are made 0755. What a kernel or file system may lack
//! returns `Skipped`; anything else that fails is a fault of the test.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use crate::common::image::Fs;
use crate::common::manifest::{Kind, Manifest, PROJECT_INHERIT, join};
use crate::common::skip::Skipped;
use crate::common::sys;

pub type Built = Result<(), Skipped>;

/// The root that is being built.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    pub path: &'a Path,
    pub fs: Fs,
}

impl Root<'_> {
    /// The path of something in the tree.
    pub fn at(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.path.join(OsStr::from_bytes(path.as_ref()))
    }

    fn place(&self, path: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
        path
    }

    pub fn directory(&self, path: impl AsRef<[u8]>, mode: u32) {
        let path = self.at(path);
        fs::create_dir_all(&path).expect("a directory");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    }

    pub fn file(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        self.file_with_mode(path, content, 0o644);
    }

    pub fn file_with_mode(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>, mode: u32) {
        let path = self.place(path);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    }

    /// A file with data at both ends and a hole between.
    pub fn sparse(&self, path: impl AsRef<[u8]>, size: u64) {
        let file = File::create(self.place(path)).expect("a file");
        file.write_all_at(b"begin", 0).expect("a beginning");
        file.write_all_at(b"end", size - 3).expect("an end");
    }

    pub fn link(&self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) {
        symlink(OsStr::from_bytes(target.as_ref()), self.place(path)).expect("a symlink");
    }

    pub fn hard_link(&self, path: impl AsRef<[u8]>, existing: impl AsRef<[u8]>) {
        fs::hard_link(self.at(existing), self.place(path)).expect("a hard link");
    }

    pub fn fifo(&self, path: impl AsRef<[u8]>) {
        sys::make_node(&self.place(path), libc::S_IFIFO | 0o600, 0).expect("a FIFO");
    }

    pub fn socket(&self, path: impl AsRef<[u8]>) {
        sys::make_node(&self.place(path), libc::S_IFSOCK | 0o755, 0).expect("a socket");
    }

    pub fn char_device(&self, path: impl AsRef<[u8]>, major: u32, minor: u32) {
        let device = sys::device(major, minor);
        sys::make_node(&self.place(path), libc::S_IFCHR | 0o666, device).expect("a device");
    }

    pub fn block_device(&self, path: impl AsRef<[u8]>, major: u32, minor: u32) {
        let device = sys::device(major, minor);
        sys::make_node(&self.place(path), libc::S_IFBLK | 0o660, device).expect("a device");
    }

    pub fn own(&self, path: impl AsRef<[u8]>, user: u32, group: u32) {
        lchown(self.at(path), Some(user), Some(group)).expect("an owner");
    }

    pub fn mode(&self, path: impl AsRef<[u8]>, mode: u32) {
        fs::set_permissions(self.at(path), Permissions::from_mode(mode)).expect("a mode");
    }

    pub fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) {
        fs::rename(self.at(from), self.place(to)).expect("a rename");
    }

    pub fn remove(&self, path: impl AsRef<[u8]>) {
        let path = self.at(path);
        let directory = fs::symlink_metadata(&path).expect("something to remove").is_dir();
        if directory { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
    }

    /// An xattr, where the file system has any.
    pub fn xattr(&self, path: impl AsRef<[u8]>, name: &str, value: &[u8]) {
        match sys::set_xattr(&self.at(path), name, value) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            other => other.expect("an xattr"),
        }
    }

    /// An ACL that gives user 1000 access; `kind` is `access` or `default`.
    pub fn acl(&self, path: impl AsRef<[u8]>, kind: &str) {
        const NOBODY: u32 = u32::MAX;
        let entries =
            [(1u16, 7u16, NOBODY), (2, 6, 1000), (4, 5, NOBODY), (16, 7, NOBODY), (32, 0, NOBODY)];
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, permission, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permission.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        self.xattr(path, &format!("system.posix_acl_{kind}"), &value);
    }

    /// The capability `cap_net_raw+ep`, as `ping` has it.
    pub fn capability(&self, path: impl AsRef<[u8]>) {
        let words = [0x0200_0001u32, 1 << 13, 0, 0, 0];
        let value = words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
        self.xattr(path, "security.capability", &value);
    }

    /// Adds inode flags (`chattr +…`).
    pub fn flags(&self, path: impl AsRef<[u8]>, flags: u32) -> Built {
        let file = File::open(self.at(path)).expect("something to open");
        let old = sys::inode_flags(&file).map_err(|e| self.cannot("inode flags", &e))?;
        sys::set_inode_flags(&file, old | flags).map_err(|e| self.cannot("inode flags", &e))
    }

    /// Gives a directory a project id that what is made in it inherits.
    pub fn project(&self, path: impl AsRef<[u8]>, id: u32) -> Built {
        let file = File::open(self.at(&path)).expect("a directory");
        let cannot = |e: io::Error| self.cannot("project ids", &e);
        let mut value = sys::extended_flags(&file).map_err(cannot)?;
        value[12..16].copy_from_slice(&id.to_ne_bytes());
        sys::set_extended_flags(&file, value).map_err(cannot)?;
        self.flags(path, PROJECT_INHERIT)
    }

    /// The same of each directory below a path, and of that.
    pub fn project_everywhere(&self, below: &str, id: u32) -> Built {
        for (path, node) in &Manifest::hashing_up_to(self.at(below), 0).nodes {
            if node.kind == Kind::Directory {
                self.project(join(below.as_bytes(), path), id)?;
            }
        }
        Ok(())
    }

    pub fn subvolume(&self, path: impl AsRef<[u8]>) {
        let path = self.place(path);
        let parent = File::open(path.parent().expect("a parent")).expect("the parent");
        let name = path.file_name().expect("a name").as_bytes();
        sys::make_btrfs_subvolume(&parent, name).expect("a subvolume");
    }

    pub fn make_subvolume_read_only(&self, path: impl AsRef<[u8]>) {
        let subvolume = File::open(self.at(path)).expect("a subvolume");
        sys::set_btrfs_subvolume_flags(&subvolume, 2).expect("a read-only subvolume");
    }

    /// Mounts a small tmpfs with one file on a directory of the tree.
    pub fn mount(&self, path: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(&path).expect("a mount point");
        sys::mount(Path::new("other"), &path, "tmpfs", 0, "size=1m").expect("a mount");
        fs::write(path.join("other-file-system"), b"").expect("a file");
    }

    /// Mounts a directory of the tree on another.
    pub fn bind(&self, source: impl AsRef<[u8]>, path: impl AsRef<[u8]>) {
        let (source, path) = (self.at(source), self.at(path));
        fs::create_dir_all(&path).expect("a mount point");
        sys::mount(&source, &path, "none", libc::MS_BIND, "").expect("a bind mount");
    }

    /// Writes to a file until the disk is full, then in ever smaller pieces.
    pub fn fill_blocks(&self, path: impl AsRef<[u8]>) {
        let mut file = File::create(self.place(path)).expect("a file");
        let mut piece = 1 << 20;
        while piece > 0 {
            if file.write(&vec![0xaa; piece]).is_err() {
                piece /= 4;
            }
        }
        let _ = file.sync_all();
    }

    /// Makes empty files until there is no inode left.
    pub fn fill_inodes(&self, directory: impl AsRef<[u8]>) {
        let directory = self.at(directory);
        fs::create_dir_all(&directory).expect("a directory");
        let make = |n: u32| File::create(directory.join(n.to_string()));
        let full = (0..1_000_000).find(|n| make(*n).is_err());
        assert!(full.is_some(), "a million inodes and no end");
    }

    /// Gives everything an mtime of its own in the past, so that any change
    /// of one shows however fast the test is.
    pub fn age(&self) {
        let manifest = Manifest::hashing_up_to(self.path, 0);
        for (n, (path, node)) in (1_500_000_000..).zip(&manifest.nodes) {
            let path = self.at(path);
            match sys::set_mtime(&path, n) {
                Err(e) if node.kind != Kind::File => panic!("{}: {e}", path.display()),
                _ => {}
            }
        }
    }

    pub fn cannot(&self, what: &str, error: &io::Error) -> Skipped {
        Skipped::new(format!("{}: {what}: {error}", self.fs.name()))
    }
}
