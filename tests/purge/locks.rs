//! Immutable and append-only files and directories, and roots.

use crate::common::image::{Fs, Image};
use crate::common::manifest::{APPEND, IMMUTABLE, Manifest};
use crate::common::text::says;
use crate::common::trees::Root;
use crate::common::{or_skip, require_root, sys};
use crate::scene::{assert_only_gone, lustrated, old_roots, purge};

#[test]
fn immutable_and_append_only_files_and_directories_go() {
    require_root!();
    for fs in [Fs::Ext4, Fs::Xfs, Fs::Btrfs] {
        let (_image, mounted) = or_skip!(lustrated(fs, |root| {
            root.directory("old-root/var/empty", 0o555);
            root.file("old-root/a/b/c/file", "x");
            root.file("old-root/log/journal", "x");
            root.fifo("old-root/log/fifo");
            root.flags("old-root/a/b/c/file", IMMUTABLE | APPEND)?;
            root.flags("old-root/a/b/c", APPEND)?;
            root.flags("old-root/a/b", IMMUTABLE)?;
            root.flags("old-root/log/journal", APPEND)?;
            root.flags("old-root/log", IMMUTABLE)?;
            root.flags("old-root/var/empty", IMMUTABLE)
        }));
        let before = Manifest::of(mounted.path());
        purge(mounted.path(), &["--yes"]).expect(0);
        assert_only_gone(&before, &Manifest::of(mounted.path()), &["old-root"]);
    }
}

#[test]
fn a_file_keeps_its_flag_under_its_other_names() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        root.file("old-root/locked", "x");
        root.hard_link("home/locked", "old-root/locked");
        root.flags("old-root/locked", IMMUTABLE)
    }));
    let before = Manifest::of(mounted.path());
    purge(mounted.path(), &["--yes"]).expect(0);
    let after = Manifest::of(mounted.path());
    assert_only_gone(&before, &after, &["old-root"]);
    assert_eq!(after.get(b"home/locked").expect("the other name").flags, IMMUTABLE);
}

/// Nobody but its owner makes an old root immutable.
#[test]
fn an_immutable_old_root_stays_and_says_so() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| root.flags("old-root", IMMUTABLE)));
    let root = mounted.path();
    let before = Manifest::of(root);
    let dry = purge(root, &["--dry-run"]).expect(0);
    assert!(says(&dry.out(), "immutable or append-only; to let it go: chattr -ia"));
    purge(root, &["--yes"]).expect(0).says(&["there is nothing to purge; 1 old root stays"]);
    assert_only_gone(&before, &Manifest::of(root), &[]);
}

/// The flag of an immutable root is back afterwards, also after a kill.
#[test]
fn an_immutable_root_is_so_again() {
    require_root!();
    for flags in [IMMUTABLE, APPEND, IMMUTABLE | APPEND] {
        let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| root.flags("", flags)));
        let root = mounted.path();
        let before = Manifest::of(root);
        purge(root, &["--yes"]).expect(0);
        let after = Manifest::of(root);
        assert_only_gone(&before, &after, &["old-root"]);
        assert_eq!(after.get(b"").expect("the root").flags, flags);
        assert_eq!(old_roots(root), [""; 0]);
    }
}

/// `/etc/NIXOS_LUSTRATE.flags` of a purge that was killed: the next one, even with
/// nothing to purge, sets them again.
#[test]
fn flags_that_a_killed_purge_noted_are_set_again() {
    require_root!();
    let image = or_skip!(Image::new(Fs::Ext4));
    let mounted = or_skip!(image.mount());
    let root = Root { path: mounted.path(), fs: Fs::Ext4 };
    root.file("etc/NIXOS_LUSTRATE.flags", format!("{IMMUTABLE}\n"));
    purge(mounted.path(), &["--yes"]).expect(0);
    let directory = std::fs::File::open(mounted.path()).expect("the root");
    assert_eq!(sys::inode_flags(&directory).expect("flags") & IMMUTABLE, IMMUTABLE);
    assert!(!root.at("etc/NIXOS_LUSTRATE.flags").exists());
}
