//! Makes the file system of a case: the root, and the canaries.
//!
//! What cannot be made, because the name is taken or a parent is no directory,
//! is left out. No link is followed on the way, or the test itself would write
//! outside the root.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::common::image::{Fs, Image, Mounted};
use crate::common::manifest::IMMUTABLE;
use crate::common::skip::Skipped;
use crate::common::sys;
use crate::strategy::{Case, Item, Marker, Mutation, Target};

/// A case on its file system. The canaries are a file system beside the root,
/// and a directory on the root's own, outside the root.
pub struct Scene {
    pub root: PathBuf,
    pub canary: Mounted,
    pub neighbour: Option<PathBuf>,
    pub list: Vec<u8>,
    // Unmounted last.
    _mounted: Mounted,
    _image: Image,
}

impl Scene {
    pub fn of(case: &Case) -> Result<Self, Skipped> {
        let canary = Image::new(Fs::Tmpfs)?.mount()?;
        populate(canary.path());
        let image = Image::new(if case.disk { Fs::Ext4 } else { Fs::Tmpfs })?;
        let mounted = image.mount()?;
        let mut root = mounted.path().to_path_buf();
        let mut neighbour = None;
        if case.inside {
            let beside = root.join("canary");
            fs::create_dir(&beside).expect("a canary");
            populate(&beside);
            neighbour = Some(beside);
            root.push("root");
            fs::create_dir(&root).expect("a root");
        }
        let list = list(case, canary.path());
        fill(case, &root, canary.path(), &list);
        Ok(Self { root, canary, neighbour, list, _mounted: mounted, _image: image })
    }
}

fn populate(canary: &Path) {
    fs::create_dir(canary.join("directory")).expect("a directory");
    fs::write(canary.join("file"), "canary").expect("a file");
    fs::write(canary.join("directory/file"), "etc/nixos\n").expect("a file");
}

fn fill(case: &Case, root: &Path, canary: &Path, list: &[u8]) {
    for directory in ["nix", "nix/store", "nix/store/x", "boot", "etc"] {
        fs::create_dir(root.join(directory)).expect("a directory");
    }
    fs::write(root.join("boot/kernel"), "kernel").expect("a file");
    let marker = root.join("etc/NIXOS_LUSTRATE");
    match case.marker {
        Marker::File => fs::write(&marker, list).expect("a marker"),
        Marker::None => {}
        Marker::Fifo => sys::make_node(&marker, libc::S_IFIFO | 0o600, 0).expect("a FIFO"),
        Marker::Directory => fs::create_dir(&marker).expect("a directory"),
        Marker::Link => symlink(canary.join("directory/file"), &marker).expect("a link"),
    }
    let paths: Vec<_> = case.items.iter().map(|(names, _)| names.join(&b'/')).collect();
    for (names, item) in &case.items {
        if let Some(place) = place(root, names) {
            make(&place, item, root, canary, &paths);
        }
    }
    for at in &case.immutable {
        seal(&root.join(OsStr::from_bytes(at.get::<Vec<u8>>(&paths))), root);
    }
    if case.immutable_root {
        seal(root, root);
    }
}

/// Where the item is to be, with its parents, if nothing is in the way.
fn place(root: &Path, names: &[Vec<u8>]) -> Option<PathBuf> {
    let (last, parents) = names.split_last()?;
    let mut path = root.to_path_buf();
    for name in parents {
        path.push(OsStr::from_bytes(name));
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return None,
            Err(_) => fs::create_dir(&path).ok()?,
        }
    }
    path.push(OsStr::from_bytes(last));
    fs::symlink_metadata(&path).is_err().then_some(path)
}

/// Errors do not matter: then there is one item less.
fn make(place: &Path, item: &Item, root: &Path, canary: &Path, paths: &[Vec<u8>]) {
    let node = |mode, device| drop(sys::make_node(place, mode, device));
    let mode = |mode| fs::set_permissions(place, Permissions::from_mode(mode)).expect("a mode");
    match item {
        Item::File(content, bits) => {
            fs::write(place, content).expect("a file");
            mode(*bits);
        }
        Item::Directory(bits) => {
            fs::create_dir(place).expect("a directory");
            mode(*bits);
        }
        Item::Deep(depth) => {
            let mut path = place.to_path_buf();
            path.extend(vec!["deep-directory-in-a-deep-directory"; *depth]);
            let _ = fs::create_dir_all(path);
        }
        Item::Link(target) => {
            let target = match target {
                Target::Literal(bytes) => bytes.to_vec(),
                Target::Bytes(bytes) => bytes.clone(),
                Target::Canary(below) => {
                    let mut path = b"/proc/self/root".to_vec();
                    path.extend_from_slice(canary.as_os_str().as_bytes());
                    path.extend_from_slice(below.as_bytes());
                    path
                }
                Target::Item(before, at) => [before, at.get(paths).as_slice()].concat(),
            };
            let _ = symlink(OsStr::from_bytes(&target), place);
        }
        Item::HardLink(at) => {
            let existing = at.get(paths).split(|b| *b == b'/').map(<[u8]>::to_vec);
            let existing: Vec<_> = existing.collect();
            // Without links on the way: `place` answers only for what is missing.
            if let Some(path) = real(root, &existing) {
                let _ = fs::hard_link(path, place);
            }
        }
        Item::Fifo => node(libc::S_IFIFO | 0o600, 0),
        Item::Socket => node(libc::S_IFSOCK | 0o755, 0),
        Item::Device => node(libc::S_IFCHR | 0o666, sys::device(1, 3)),
    }
}

/// The path of what is there, unless a link leads to it.
fn real(root: &Path, names: &[Vec<u8>]) -> Option<PathBuf> {
    let mut path = root.to_path_buf();
    for (at, name) in names.iter().enumerate() {
        path.push(OsStr::from_bytes(name));
        let found = fs::symlink_metadata(&path).ok()?;
        if at + 1 < names.len() && !found.is_dir() {
            return None;
        }
    }
    Some(path)
}

/// Makes a file or directory immutable, where that can be done.
fn seal(path: &Path, root: &Path) {
    let names = path.strip_prefix(root).expect("below the root").iter();
    let names: Vec<_> = names.map(|name| name.as_bytes().to_vec()).collect();
    let Some(path) = real(root, &names) else { return };
    let found = fs::symlink_metadata(&path).expect("metadata");
    if found.is_dir() || found.is_file() {
        let file = File::open(&path).expect("an open file");
        let flags = sys::inode_flags(&file).unwrap_or(0);
        let _ = sys::set_inode_flags(&file, flags | IMMUTABLE);
    }
}

/// The keep-list of the case.
fn list(case: &Case, canary: &Path) -> Vec<u8> {
    let paths: Vec<_> = case.items.iter().map(|(names, _)| names.join(&b'/')).collect();
    let lines = case.lines.iter().map(|(at, mutation)| {
        let mut path = at.get(&paths).clone();
        match mutation {
            Mutation::None => {}
            Mutation::Before(bytes) => path = [bytes, &path[..]].concat(),
            Mutation::Behind(bytes) => path.extend_from_slice(bytes),
            Mutation::Parent => {
                let parent = PathBuf::from(std::ffi::OsString::from_vec(path.clone()));
                let parent = parent.parent().filter(|p| !p.as_os_str().is_empty());
                path = parent.map_or(path, |p| p.as_os_str().as_bytes().to_vec());
            }
            Mutation::Flip(at, byte) => {
                let at = at.index(path.len());
                path[at] = *byte;
            }
            Mutation::Replace(bytes) => path.clone_from(bytes),
            Mutation::Canary => path = canary.as_os_str().as_bytes().to_vec(),
        }
        path
    });
    lines.collect::<Vec<_>>().join(&b'\n')
}
