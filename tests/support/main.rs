//! The test support itself: it must see what it claims to see, or the tests
//! that rest on it prove nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod checks;
mod tools;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use common::compare::Excuse;
use common::image::{Fs, Image, Mounted};
use common::isolation;
use common::manifest::{IMMUTABLE, Manifest};
use common::skip::Skipped;
use common::trees::{self, Case, Root};
use common::{or_skip, require_root};

/// One thing done to a tree.
type Change = fn(&Root<'_>);

/// The typical root on a file system.
fn typical_root(fs: Fs) -> Result<(Image, Mounted), Skipped> {
    Case::TYPICAL.make(fs)
}

/// Does something to a typical root and returns what the manifest says of it.
fn changes(fs: Fs, change: impl FnOnce(&Root<'_>)) -> Result<Vec<String>, Skipped> {
    let (_image, mounted) = typical_root(fs)?;
    let before = Manifest::of(mounted.path());
    change(&Root { path: mounted.path(), fs });
    Ok(before.diff(&Manifest::of(mounted.path()), &Excuse::none()))
}

#[track_caller]
fn assert_seen(differences: &[String], what: &str) {
    assert!(differences.iter().any(|d| d.contains(what)), "{what:?} is not in {differences:?}");
}

#[test]
fn a_tree_that_nobody_touched_has_no_differences() {
    require_root!();
    for fs in Fs::ALL {
        assert_eq!(or_skip!(changes(fs, |_| ())), Vec::<String>::new(), "{fs:?}");
    }
}

#[test]
fn a_manifest_outlives_an_unmount_and_a_snapshot() {
    require_root!();
    for fs in Fs::DISK {
        let (image, mounted) = or_skip!(typical_root(fs));
        let before = Manifest::of(mounted.path());
        mounted.sync();
        let copy = image.snapshot();
        mounted.unmount();
        for image in [image, copy] {
            let mounted = or_skip!(image.mount());
            let after = Manifest::of(mounted.path());
            assert_eq!(before.diff(&after, &Excuse::none()), Vec::<String>::new(), "{fs:?}");
        }
    }
}

#[test]
fn every_kind_of_change_is_seen() {
    require_root!();
    let table: &[(&str, Change)] = &[
        ("etc/hostname: content", |r| r.file("etc/hostname", "maschine")),
        ("etc/hostname: mtime", |r| r.file("etc/hostname", "machine\n")),
        ("root: mode", |r| r.mode("root", 0o755)),
        ("usr/bin/su: mode \"4755\"", |r| r.mode("usr/bin/su", 0o755)),
        ("etc/shadow: owner", |r| r.own("etc/shadow", 0, 0)),
        ("home/alice/letter: xattr user.origin", |r| {
            r.xattr("home/alice/letter", "user.origin", b"x");
        }),
        ("etc/passwd: xattr user.new", |r| r.xattr("etc/passwd", "user.new", b"x")),
        ("etc/passwd: xattr system.posix_acl_access", |r| r.acl("etc/passwd", "access")),
        ("opt/vendor: xattr system.posix_acl_default", |r| r.acl("opt/vendor", "default")),
        ("usr/bin/sh: xattr security.capability", |r| r.capability("usr/bin/sh")),
        ("srv/shared: gone", |r| r.remove("srv/shared")),
        ("var/lib/app/data: link count", |r| r.remove("srv/shared")),
        ("etc/localtime: target", |r| {
            r.remove("etc/localtime");
            r.link("etc/localtime", "elsewhere");
        }),
        ("etc/hostname: inode", |r| {
            r.file("etc/other", "machine\n");
            r.rename("etc/other", "etc/hostname");
        }),
        ("dev/null: device", |r| {
            r.remove("dev/null");
            r.char_device("dev/null", 1, 5);
        }),
        ("var/lib/app/queue: kind", |r| {
            r.remove("var/lib/app/queue");
            r.socket("var/lib/app/queue");
        }),
        ("etc/more: new", |r| r.file("etc/more", "")),
        ("var/tmp: boundary", |r| r.mount("var/tmp")),
        ("etc: flags", |r| r.flags("etc", IMMUTABLE).unwrap_or_else(|_| r.mode("etc", 0))),
    ];
    for fs in Fs::ALL {
        for (what, change) in table {
            assert_seen(&or_skip!(changes(fs, change)), what);
        }
    }
}

#[test]
fn isolated_mounts_are_seen_by_no_other_thread() {
    require_root!();
    let there = |path: &Path| !isolation::mounts_below(path).is_empty();
    let path = std::thread::spawn(move || {
        let mounted = Image::new(Fs::Tmpfs).and_then(|i| i.mount()).expect("a tmpfs");
        let path = mounted.path().to_path_buf();
        assert!(there(&path));
        // As a test that was aborted would.
        std::mem::forget(mounted);
        path
    });
    assert!(!there(&path.join().expect("no panic")));
}

#[test]
fn every_tree_builds_on_every_file_system_that_it_names() {
    require_root!();
    let mut names = BTreeSet::new();
    let (mut built, start) = (0, Instant::now());
    for case in trees::all() {
        assert!(names.insert(case.name), "two cases are named {}", case.name);
        for fs in case.on {
            match case.make(*fs) {
                Ok((_image, mounted)) => {
                    assert!(Manifest::of(mounted.path()).nodes.len() > 5, "{} {fs:?}", case.name);
                    built += 1;
                }
                Err(skipped) => {
                    common::skip::say(&Skipped::new(format!("{} {skipped}", case.name)));
                }
            }
        }
    }
    println!("{} cases, {built} trees in {:?}", names.len(), start.elapsed());
}

#[test]
fn big_trees_have_the_size_asked_for() {
    require_root!();
    let image = or_skip!(Image::new(Fs::Tmpfs));
    let mounted = or_skip!(image.mount());
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    trees::big::entries(&root, 1000);
    assert_eq!(Manifest::of(root.path).children(b"").len(), 1002);
    let mounted = or_skip!(image.mount());
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    let list = trees::big::keepers(&root, 500, 5);
    let lines = list.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    let mut distinct = BTreeSet::new();
    for path in lines {
        assert!(root.at(path).exists() && distinct.insert(path));
    }
    assert_eq!(distinct.len(), 500);
}

#[test]
fn a_text_says_the_same_wherever_it_folds() {
    let says = common::text::says;
    assert!(says("a mount\n    point", "mount point") && says("x y", "x\n y"));
    // The end of a word is not the middle of another.
    assert!(!says("34 ok, 0 blockers.", "blocker ") && says("blocker  boot: no", "blocker "));
    assert!(says("ends in a blocker", "blocker ") && !says("unblocker x", " blocker"));
}
