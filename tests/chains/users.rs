//! What is in a root besides the typical: the old system's, and what NixOS, its users
//! and an administrator do to a lustrated one. Some of it fails, as it does for them.

use std::fs::{self, File};
use std::path::Path;

use crate::common::image::Fs;
use crate::common::manifest::{APPEND, Boundary, IMMUTABLE, Manifest};
use crate::common::sys;
use crate::common::trees::Root;
use crate::random::Random;

const KEEPABLE: &[&str] = &[
    "etc/nixos",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/hostname",
    "home",
    "home/alice/letter",
    "root/.ssh",
    "root",
    "var/lib/app",
    "var/lib/app/data",
    "var/log/syslog",
    "usr/bin/su",
    "bin/ping",
    "srv/www",
    "srv",
    "opt/vendor/bin/tool",
    "etc",
    "usr/share/zoneinfo/Europe/Berlin",
    "data/volume",
    "no/such",
];

/// A keep-list.
pub(crate) fn keep_list(random: &mut Random) -> Vec<u8> {
    let mut list = String::new();
    for _ in 0..random.below(9) {
        list += random.of(KEEPABLE);
        list.push('\n');
    }
    list.into_bytes()
}

/// What the old system has besides.
pub(crate) fn old_system(root: &Root<'_>, random: &mut Random) {
    if random.one_in(3) {
        root.file("boot.bak/vmlinuz", "old kernel");
    }
    if random.one_in(3) {
        root.file(".autorelabel", "");
    }
    if random.one_in(4) {
        root.file("old-root/etc/os-release", "ID=arch\n");
        root.file("old-root/home/alice/letter", "older");
    }
    if root.fs == Fs::Btrfs && random.one_in(2) {
        root.subvolume("data");
        root.file("data/volume/file", "data");
        root.subvolume("var/lib/machines");
    }
    if random.one_in(6) {
        root.mount("mnt");
    }
}

/// What is immutable before a lustration.
pub(crate) fn flags(root: &Root<'_>, random: &mut Random) {
    for path in ["opt", "usr/bin/su", "home", "var/lib/app", "srv/www", "var/lib", "usr", ""] {
        if random.one_in(10) {
            flag(&root.at(path), random.of(&[IMMUTABLE, APPEND]));
        }
    }
}

fn flag(path: &Path, flags: u32) {
    let plain = path.symlink_metadata().is_ok_and(|meta| meta.is_file() || meta.is_dir());
    let Some(file) = plain.then(|| File::open(path).ok()).flatten() else { return };
    if let Ok(now) = sys::inode_flags(&file) {
        let _ = sys::set_inode_flags(&file, now | flags);
    }
}

fn remove(path: &Path) {
    let is_dir = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let _ = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn write(path: &Path, text: &str) {
    let _ = path.parent().map(fs::create_dir_all);
    let _ = fs::write(path, text);
}

fn mount(root: &Root<'_>, name: &str) {
    if fs::create_dir(root.at(name)).is_ok() {
        root.mount(name);
    }
}

/// A subvolume with a file in it.
fn snapshot(path: &Path, read_only: bool) {
    use std::os::unix::ffi::OsStrExt;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
    let Ok(parent) = File::open(parent) else { return };
    if sys::make_btrfs_subvolume(&parent, name.as_bytes()).is_ok() {
        write(&path.join("in-it"), "snapshot");
        if let (true, Ok(volume)) = (read_only, File::open(path)) {
            let _ = sys::set_btrfs_subvolume_flags(&volume, 2);
        }
    }
}

/// Between a lustration and its revert. Returns what of the old system is not any
/// more what it was, by its path in the old system.
pub(crate) fn live_on(root: &Root<'_>, random: &mut Random) -> Vec<Vec<u8>> {
    let mut apart = Vec::new();
    nixos(root, random);
    keepers(root, random);
    entries(root, random);
    old_root(root, random, &mut apart);
    for (path, one_in) in [("etc", 8), ("var", 8), ("boot", 8), ("old-root", 5), ("", 8)] {
        if random.one_in(one_in) {
            flag(&root.at(path), random.of(&[IMMUTABLE, APPEND]));
        }
    }
    apart
}

fn nixos(root: &Root<'_>, random: &mut Random) {
    let at = |path: &str| root.at(path);
    write(&at("etc/machine-id"), "0123456789abcdef\n");
    let _ = std::os::unix::fs::symlink("/nix/store/etc", at("etc/static"));
    write(&at("var/lib/nixos/uid-map"), "{}");
    write(&at("run/current-system"), "");
    write(&at("usr/bin/env"), "env");
    for entry in ["bin", "srv", "opt", "tmp", "new", "boot.bak", ".cache", "root"] {
        if random.one_in(3) {
            write(&at(&format!("{entry}/by-nixos")), "by NixOS");
        }
    }
}

/// To what is kept: any user may.
fn keepers(root: &Root<'_>, random: &mut Random) {
    for path in KEEPABLE {
        let path = root.at(path);
        if path.symlink_metadata().is_err() || path == root.at("etc") {
            continue;
        }
        match random.below(14) {
            0 => remove(&path),
            1 => {
                remove(&path);
                write(&path, "anew");
            }
            2 => {
                remove(&path);
                write(&path.join("inside"), "a directory now");
            }
            3 => {
                remove(&path);
                let _ = std::os::unix::fs::symlink("/elsewhere", &path);
            }
            4 => write(&path, "changed"),
            5 => write(&path.join("more"), "more"),
            6 if root.fs == Fs::Btrfs => {
                remove(&path);
                snapshot(&path, random.one_in(2));
            }
            7 => flag(&path, random.of(&[IMMUTABLE, APPEND])),
            8 => {
                // Its directory is somewhere else, and a link in its place.
                let parent = path.parent().expect("a directory");
                let aside = parent.with_extension("moved");
                if ![root.at(""), root.at("etc")].iter().any(|p| parent == p.as_path())
                    && fs::rename(parent, &aside).is_ok()
                {
                    let _ = std::os::unix::fs::symlink(aside.file_name().unwrap(), parent);
                }
            }
            9 => {
                let parent = path.parent().expect("a directory");
                flag(parent, random.of(&[IMMUTABLE, APPEND]));
            }
            _ => {}
        }
    }
}

/// In the root itself.
fn entries(root: &Root<'_>, random: &mut Random) {
    for name in ["srv", "opt", "usr", "media", "nixos-root", "nixos-root.tmp", "extra"] {
        let path = root.at(name);
        let there = path.symlink_metadata().is_ok();
        match random.below(12) {
            0 if !there => write(&path.join("mine"), "mine"),
            1 if !there && root.fs == Fs::Btrfs && !name.ends_with("tmp") => {
                snapshot(&path, random.one_in(2));
            }
            2 if there => flag(&path, IMMUTABLE),
            3 if there && !name.starts_with("nixos-root") => remove(&path),
            4 if !there && !name.starts_with("nixos-root") => mount(root, name),
            5 if !there && !name.ends_with("tmp") => write(&path, "a file"),
            _ => {}
        }
    }
    // Below what goes, and below what is kept.
    for name in ["var/lib/images", "home/alice/stick"] {
        let parent = root.at(name).parent().expect("a directory").to_path_buf();
        if random.one_in(8) && parent.is_dir() && root.at(name).symlink_metadata().is_err() {
            mount(root, name);
        }
    }
    match random.below(12) {
        0 => write(&root.at(".lustrate/mine"), "mine"),
        1 => write(&root.at("etc/NIXOS_LUSTRATE.flags"), "mine"),
        2 => {
            // By a link, as some do with /etc.
            let etc = root.at("etc");
            if fs::rename(&etc, root.at("etc.real")).is_ok() {
                let _ = std::os::unix::fs::symlink("etc.real", etc);
            }
        }
        _ => {}
    }
}

/// What an administrator does in `/old-root`: he takes a file out, or puts one in.
fn old_root(root: &Root<'_>, random: &mut Random, apart: &mut Vec<Vec<u8>>) {
    let old = root.at("old-root");
    for name in ["opt", "srv", "usr", "media", "data", "vmlinuz"] {
        let path = old.join(name);
        if path.symlink_metadata().is_err() {
            continue;
        }
        match random.below(16) {
            0 => {
                remove(&path);
                apart.push(name.into());
            }
            1 => flag(&path, IMMUTABLE),
            2 if root.fs == Fs::Btrfs && name == "data" => {
                let read_only = File::open(&path).map(|f| sys::set_btrfs_subvolume_flags(&f, 2));
                if read_only.is_ok() {
                    apart.push(name.into());
                }
            }
            3 if path.is_dir() => {
                write(&path.join("put-there"), "by hand");
                apart.push(format!("{name}/put-there").into_bytes());
            }
            _ => {}
        }
    }
    if random.one_in(4) {
        let name = random.of(&["nix", "home", "extra", "nixos-root.tmp", "var/lib/app"]);
        write(&old.join(name).join("by-hand"), "by hand");
        apart.push(name.into());
    }
    if random.one_in(6) {
        flag(&old.join(".lustrate/record"), IMMUTABLE);
        flag(&old.join(".lustrate"), random.of(&[IMMUTABLE, APPEND]));
    }
}

/// Asks for the next lustration; whether that can be done.
pub(crate) fn mark(root: &Root<'_>, random: &mut Random) -> bool {
    // It would be refused beside that.
    remove(&root.at(".lustrate"));
    let manifest = Manifest::hashing_up_to(root.path, 0);
    for (path, node) in &manifest.nodes {
        if node.boundary == Boundary::Mount && path.contains(&b'/') {
            sys::unmount(&root.at(path), 0).expect("nobody uses it");
        }
        // Nor can one of these be kept.
        if node.boundary == Boundary::ReadOnlySubvolume && path.contains(&b'/') {
            let volume = File::open(root.at(path)).expect("a subvolume");
            sys::set_btrfs_subvolume_flags(&volume, 0).expect("a writable one");
        }
    }
    if manifest.get(b"etc/NIXOS_LUSTRATE").is_none() {
        write(&root.at("etc/NIXOS_LUSTRATE"), &String::from_utf8_lossy(&keep_list(random)));
    }
    // One that was kept somebody may have made a link.
    root.at("etc").symlink_metadata().is_ok_and(|etc| etc.is_dir())
}
