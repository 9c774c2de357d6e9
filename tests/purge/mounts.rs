//! File systems that are mounted in an old root, or from it.

use std::fs;
use std::path::Path;

use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::population::assert_untouched;
use crate::common::trees::Root;
use crate::common::{isolation, or_skip, require_root, sys};
use crate::refusals::{assert_refused, refusal};
use crate::scene::{Canary, assert_only_gone, lustrated, purge};

const WHY: &str =
    "What is mounted there is no part of the old root, and would have stopped the purge";

fn bind(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a mount point");
    sys::mount(from, to, "none", libc::MS_BIND, "").expect("a bind mount");
}

/// All of them are named, the last first, with the commands; then it goes.
#[test]
fn mounts_deep_inside_are_refused_before_anything_is_removed() {
    require_root!();
    let canary = Canary::new();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        root.mount("old-root/var/lib/deep/down");
        bind(&canary.path, &root.at("old-root/var/lib/deep/down/canary"));
        root.mount("old-root/a b");
        root.file("old-root/file", "");
        sys::mount(
            &canary.path.join("etc/passwd"),
            &root.at("old-root/file"),
            "none",
            libc::MS_BIND,
            "",
        )
        .expect("a bind mount");
        Ok(())
    }));
    let root = mounted.path();
    let before = Manifest::of(root);
    let inside = "@ is a mount point inside an old root";
    let lines = [
        ("@/old-root/file", "@/old-root/file"),
        ("@/old-root/a b", "'@/old-root/a b'"),
        ("@/old-root/var/lib/deep/down/canary", "@/old-root/var/lib/deep/down/canary"),
        ("@/old-root/var/lib/deep/down", "@/old-root/var/lib/deep/down"),
    ];
    let refusals = lines.map(|(path, word)| {
        [inside.replace('@', path), WHY.into(), format!("Unmount it first: umount {word}")]
    });
    for arguments in [&["--yes"][..], &["--dry-run"], &["--yes", "old-root"]] {
        assert_refused(&purge(root, arguments), root, &refusals);
    }
    assert_untouched(&before, &Manifest::of(root));
    canary.assert_alive();
    // What it advises, in that order.
    for (path, _) in lines {
        let path = path.replace('@', root.to_str().expect("UTF-8"));
        sys::unmount(Path::new(&path), 0).expect("an unmount");
    }
    let before = Manifest::of(root);
    purge(root, &["--yes"]).expect(0);
    assert_only_gone(&before, &Manifest::of(root), &["old-root"]);
    canary.assert_alive();
}

#[test]
fn an_old_root_that_is_a_mount_point_is_refused() {
    require_root!();
    let canary = Canary::new();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| {
        bind(&canary.path, &root.at("old-root-20240102T030405Z"));
        // Of the same file system: only the mount tells.
        root.directory("srv/same", 0o755);
        root.file("srv/same/file", "");
        bind(&root.at("srv/same"), &root.at("old-root"));
        Ok(())
    }));
    let root = mounted.path();
    let before = Manifest::of(root);
    let refusals = ["old-root", "old-root-20240102T030405Z"].map(|name| {
        [
            format!("@/{name} is a mount point"),
            WHY.into(),
            format!("Unmount it first: umount @/{name}"),
        ]
    });
    assert_refused(&purge(root, &["--yes"]), root, &refusals);
    assert_untouched(&before, &Manifest::of(root));
    canary.assert_alive();
}

/// A home directory that is used where it was bound to would be gone.
#[test]
fn what_is_mounted_from_an_old_root_is_in_use() {
    require_root!();
    for fs in Fs::ALL {
        let point = isolation::new_directory();
        let (_image, mounted) = or_skip!(lustrated(fs, |root| {
            if fs == Fs::Btrfs {
                root.subvolume("old-root/alice");
            }
            root.file("old-root/alice/letter", "Dear Bob");
            bind(&root.at("old-root/alice"), &point);
            Ok(())
        }));
        let root = mounted.path();
        let before = Manifest::of(root);
        let shown = point.to_str().expect("UTF-8");
        let wanted = refusal(
            &format!("@/old-root/alice is mounted at {shown}"),
            &format!("What is in use there would have been removed: {shown} shows the same files"),
            &format!("Move them to where they belong, or unmount them first: umount {shown}"),
        );
        assert_refused(&purge(root, &["--yes"]), root, &[wanted]);
        assert_untouched(&before, &Manifest::of(root));
        sys::unmount(&point, 0).expect("an unmount");
        purge(root, &["--yes"]).expect(0);
        assert_only_gone(&before, &Manifest::of(root), &["old-root"]);
    }
}

/// What is mounted elsewhere in the root, or in an old root that stays, is no
/// matter.
#[test]
fn mounts_outside_of_what_goes_are_no_matter() {
    require_root!();
    let canary = Canary::new();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        root.mount("old-root/mnt");
        bind(&canary.path, &root.at("srv/canary"));
        crate::scene::stock(root, "old-root-20240102T030405Z", 1_704_164_645);
        Ok(())
    }));
    let root = mounted.path();
    let before = Manifest::of(root);
    purge(root, &["--yes", "--keep", "1"]).expect(0);
    assert_only_gone(&before, &Manifest::of(root), &["old-root-20240102T030405Z"]);
    assert!(Root { path: root, fs: Fs::Ext4 }.at("old-root/mnt/other-file-system").exists());
    canary.assert_alive();
}
