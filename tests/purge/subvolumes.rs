//! btrfs: subvolumes in an old root, read-only ones, nested ones, and an old
//! root that is one.

use std::process::Command;

use crate::common::image::Fs;
use crate::common::manifest::{IMMUTABLE, Manifest};
use crate::common::trees::{Built, Root};
use crate::common::{or_skip, require_root};
use crate::scene::{assert_only_gone, lustrated, old_roots, purge};

#[track_caller]
fn purged(build: impl FnOnce(&Root<'_>) -> Built) {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Btrfs, build));
    let before = Manifest::of(mounted.path());
    let gone = old_roots(mounted.path());
    let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    purge(mounted.path(), &["--yes"]).expect(0);
    assert_only_gone(&before, &Manifest::of(mounted.path()), &gone);
}

#[test]
fn nested_and_read_only_subvolumes_go() {
    purged(|root| {
        root.subvolume("old-root/sv");
        root.file("old-root/sv/a/file", "");
        root.subvolume("old-root/sv/a/inner");
        root.file("old-root/sv/a/inner/file", "");
        root.subvolume("old-root/sv/a/inner/innermost");
        root.file("old-root/sv/a/inner/innermost/file", "");
        root.subvolume("old-root/var/lib/machines");
        root.file("old-root/var/lib/machines/x", "");
        root.make_subvolume_read_only("old-root/sv/a/inner/innermost");
        root.make_subvolume_read_only("old-root/sv/a/inner");
        root.make_subvolume_read_only("old-root/sv");
        root.make_subvolume_read_only("old-root/var/lib/machines");
        Ok(())
    });
}

#[test]
fn an_old_root_that_is_a_subvolume_goes() {
    purged(|root| {
        root.subvolume("old-root-20240102T030405Z");
        root.file("old-root-20240102T030405Z/etc/os-release", "ID=debian\n");
        root.subvolume("old-root-20240102T030405Z/inner");
        root.subvolume("old-root-20240102T030406Z");
        root.file("old-root-20240102T030406Z/etc/os-release", "ID=debian\n");
        root.make_subvolume_read_only("old-root-20240102T030405Z");
        root.make_subvolume_read_only("old-root-20240102T030406Z");
        Ok(())
    });
}

#[test]
fn immutable_files_and_directories_in_subvolumes_go() {
    purged(|root| {
        root.subvolume("old-root/sv");
        root.file("old-root/sv/a/file", "");
        root.subvolume("old-root/sv/a/inner");
        root.flags("old-root/sv/a/file", IMMUTABLE)?;
        root.flags("old-root/sv/a/inner", IMMUTABLE)?;
        root.flags("old-root/sv/a", IMMUTABLE)?;
        root.flags("old-root/sv", IMMUTABLE)?;
        root.make_subvolume_read_only("old-root/sv");
        Ok(())
    });
}

/// In a snapshot, a subvolume of the original is a directory that is none.
#[test]
fn a_snapshot_of_nested_subvolumes_goes() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Btrfs, |root| {
        root.subvolume("srv/data");
        root.subvolume("srv/data/inner");
        root.file("srv/data/inner/file", "");
        Ok(())
    }));
    let root = Root { path: mounted.path(), fs: Fs::Btrfs };
    let before = Manifest::of(mounted.path());
    for (options, to) in [(&["-r"][..], "old-root/read-only"), (&[], "old-root/writable")] {
        let mut command = Command::new("btrfs");
        command.args(["-q", "subvolume", "snapshot"]).args(options);
        command.arg(root.at("srv/data")).arg(root.at(to));
        assert!(command.status().expect("btrfs").success());
    }
    // It cannot go in one step, and so is walked.
    root.subvolume("old-root/writable/another");
    root.file("old-root/writable/another/file", "");
    purge(mounted.path(), &["--yes"]).expect(0);
    assert_only_gone(&before, &Manifest::of(mounted.path()), &["old-root"]);
}

/// The default subvolume of a file system cannot be removed; it is whole then.
#[test]
fn the_default_subvolume_stays_whole() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Btrfs, |root| {
        root.subvolume("old-root/default");
        root.file("old-root/default/file", "");
        let mut command = Command::new("btrfs");
        command.args(["subvolume", "set-default"]).arg(root.at("old-root/default"));
        assert!(command.status().expect("btrfs").success());
        Ok(())
    }));
    let ended = purge(mounted.path(), &["--yes"]).expect(1);
    let ended =
        ended.says(&["Failed to remove the subvolume '", "/default': Operation not permitted"]);
    ended.says(&["btrfs subvolume show", "To go on, give the same command again"]);
    let name = old_roots(mounted.path()).pop().expect("what is left");
    assert!(mounted.path().join(name).join("default/file").exists());
}
