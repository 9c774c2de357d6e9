//! What NixOS, its users or an administrator did between a lustration and its
//! revert: the old system comes back, whole, with exit status 0 (I4).

use std::fs;

use crate::changed;
use crate::common::command::{arguments, on};
use crate::common::compare::assert_none;
use crate::common::image::Fs;
use crate::common::manifest::{APPEND, IMMUTABLE, Manifest};
use crate::common::population::not_reverted;
use crate::common::strace::{self, Call, Fault};
use crate::common::trees::typical::KEEPERS;
use crate::common::trees::{Built, Root};
use crate::common::{or_skip, require_root, skip};

struct Row {
    name: &'static str,
    fs: Fs,
    /// Before the run, to the old system.
    before: fn(&Root<'_>) -> Built,
    meanwhile: fn(&Root<'_>) -> Built,
    /// What is another file, or none, afterwards; or is new in the root.
    apart: &'static [&'static str],
    says: &'static [&'static str],
    /// What must be there, and where.
    there: &'static [&'static str],
}

#[allow(clippy::unnecessary_wraps)] // the type of a change
fn nothing(_: &Root<'_>) -> Built {
    Ok(())
}

const ROW: Row = Row {
    name: "nothing",
    fs: Fs::Ext4,
    before: nothing,
    meanwhile: nothing,
    apart: &[],
    says: &[],
    there: &[],
};

const ROWS: &[Row] = &[
    ROW,
    Row {
        name: "projects-and-a-keeper-that-was-written-anew",
        fs: Fs::Xfs,
        before: |root| {
            root.project_everywhere("etc", 42)?;
            root.project_everywhere("var", 42)?;
            root.project("", 42)
        },
        meanwhile: |root| {
            root.remove("var/lib/app");
            root.file("var/lib/app/new", "");
            root.remove("etc/ssh/ssh_host_ed25519_key");
            root.file("etc/ssh/ssh_host_ed25519_key", "new");
            Ok(())
        },
        apart: &["var/lib/app", "etc/ssh/ssh_host_ed25519_key"],
        there: &["var/lib/app/new"],
        ..ROW
    },
    Row {
        name: "projects-in-nixos",
        fs: Fs::Xfs,
        meanwhile: |root| {
            root.project_everywhere("etc", 42)?;
            root.project_everywhere("var", 42)?;
            root.project_everywhere("old-root", 42)
        },
        apart: &[
            "etc", "var", "root", "srv", "usr", "opt", "mnt", "media", "tmp", "dev", "proc", "sys",
            "run",
        ],
        there: &["var/lib/app/data", "etc/nixos/configuration.nix", "etc/hostname"],
        ..ROW
    },
    Row {
        name: "a-read-only-snapshot-in-place-of-a-keeper",
        fs: Fs::Btrfs,
        meanwhile: |root| {
            root.remove("var/lib/app");
            root.subvolume("var/lib/app");
            root.file("var/lib/app/snapshot", "");
            root.make_subvolume_read_only("var/lib/app");
            Ok(())
        },
        apart: &["var/lib/app"],
        says: &["'var/lib/app' could not go back (Read-only file system)"],
        there: &["nixos-root/var/lib/app/snapshot"],
        ..ROW
    },
    Row {
        name: "a-keepers-directory-became-a-subvolume",
        fs: Fs::Btrfs,
        meanwhile: |root| {
            root.remove("var/lib");
            root.subvolume("var/lib");
            root.file("var/lib/app/new", "");
            Ok(())
        },
        apart: &["var/lib/app"],
        says: &["'var/lib/app' could not go back (Cross-device link)"],
        there: &["nixos-root/var/lib/app/new"],
        ..ROW
    },
    Row {
        name: "a-keepers-directory-became-a-link-or-a-file",
        meanwhile: |root| {
            root.rename("var/lib", "var/elsewhere");
            root.link("var/lib", "elsewhere");
            root.remove("root");
            root.file("root", "");
            Ok(())
        },
        apart: &["var/lib/app", "root/.ssh"],
        there: &["nixos-root/var/elsewhere/app/data", "nixos-root/root"],
        ..ROW
    },
    Row {
        name: "a-keepers-old-place-is-taken-or-gone",
        meanwhile: |root| {
            root.file("old-root/var/lib/app", "by hand");
            root.rename("old-root/root", "old-root/root.saved");
            Ok(())
        },
        apart: &["var/lib/app", "root", "root.saved"],
        says: &["(there is another)", "(its place is gone)", "'root' is no longer in /old-root"],
        there: &[
            "var/lib/app",
            "nixos-root/var/lib/app/data",
            "nixos-root/root/.ssh/authorized_keys",
        ],
        ..ROW
    },
    Row {
        name: "keepers-and-directories-are-immutable",
        meanwhile: |root| {
            root.flags("var/lib/app", IMMUTABLE)?;
            root.flags("var/lib", APPEND)?;
            root.flags("var", IMMUTABLE)?;
            root.flags("old-root/var/lib", IMMUTABLE)?;
            root.flags("old-root/usr", IMMUTABLE)?;
            root.flags("etc", IMMUTABLE)
        },
        apart: &["var/lib", "usr"],
        there: &["var/lib/app/data", "usr/bin/sh"],
        ..ROW
    },
    Row {
        name: "an-immutable-old-root",
        meanwhile: |root| {
            root.flags("old-root/.lustrate/record", IMMUTABLE)?;
            root.flags("old-root/.lustrate", IMMUTABLE)?;
            root.flags("old-root", IMMUTABLE | APPEND)
        },
        ..ROW
    },
    Row {
        name: "an-immutable-root",
        meanwhile: |root| root.flags("", IMMUTABLE),
        apart: &[""],
        ..ROW
    },
    Row {
        name: "immutable-boot",
        before: |root| {
            root.file("boot.bak/old", "");
            Ok(())
        },
        meanwhile: |root| {
            root.flags("boot", IMMUTABLE)?;
            root.flags("old-root/boot.bak", APPEND)
        },
        apart: &["boot", "boot.bak"],
        there: &["boot/old"],
        ..ROW
    },
    Row {
        name: "foreign-directories-with-our-names",
        meanwhile: |root| {
            root.file("nixos-root/file", "mine");
            root.file("nixos-root.tmp/file", "mine");
            root.file(".lustrate/file", "mine");
            root.file("etc/NIXOS_LUSTRATE.flags", "mine");
            Ok(())
        },
        apart: &["nixos-root.tmp", ".lustrate"],
        there: &["nixos-root.tmp/file", ".lustrate/file"],
        ..ROW
    },
    Row {
        name: "nixos-root-is-immutable-and-foreign",
        meanwhile: |root| {
            root.file("nixos-root/file", "mine");
            root.flags("nixos-root", IMMUTABLE)
        },
        ..ROW
    },
    Row {
        name: "etc-is-a-link",
        meanwhile: |root| {
            root.rename("etc", "etc.real");
            root.link("etc", "etc.real");
            Ok(())
        },
        apart: &["etc/nixos", "etc/ssh/ssh_host_ed25519_key"],
        there: &["nixos-root/etc.real/nixos"],
        ..ROW
    },
    Row {
        name: "no-etc",
        meanwhile: |root| {
            root.remove("etc");
            Ok(())
        },
        apart: &["etc/nixos", "etc/ssh/ssh_host_ed25519_key"],
        ..ROW
    },
    Row {
        name: "etc-is-a-subvolume",
        fs: Fs::Btrfs,
        meanwhile: |root| {
            root.remove("etc");
            root.subvolume("etc");
            root.file("etc/new", "");
            Ok(())
        },
        apart: &["etc/nixos", "etc/ssh/ssh_host_ed25519_key"],
        there: &["nixos-root/etc/new", "etc/hostname"],
        ..ROW
    },
    Row {
        name: "etc-is-a-read-only-subvolume",
        fs: Fs::Btrfs,
        meanwhile: |root| {
            root.remove("etc");
            root.subvolume("etc");
            root.make_subvolume_read_only("etc");
            Ok(())
        },
        apart: &["etc/nixos", "etc/ssh/ssh_host_ed25519_key"],
        says: &["'etc' of NixOS could not leave the root"],
        there: &["etc/hostname"],
        ..ROW
    },
    Row {
        name: "read-only-subvolumes-in-the-root",
        fs: Fs::Btrfs,
        meanwhile: |root| {
            for name in ["srv", "snapshot"] {
                root.subvolume(name);
                root.file(format!("{name}/file"), "");
                root.make_subvolume_read_only(name);
            }
            Ok(())
        },
        apart: &["snapshot"],
        says: &["'srv' of NixOS could not leave the root", "snapshot is a read-only subvolume"],
        there: &["snapshot/file", "srv/www/index.html"],
        ..ROW
    },
    Row {
        name: "an-old-entry-became-read-only",
        fs: Fs::Btrfs,
        before: |root| {
            root.subvolume("data");
            root.file("data/file", "");
            Ok(())
        },
        meanwhile: |root| {
            root.make_subvolume_read_only("old-root/data");
            Ok(())
        },
        apart: &["data"],
        says: &["'data' could not go back (Read-only file system)"],
        there: &["nixos-root/.lustrate/left/data/file"],
    },
    Row {
        name: "put-into-the-old-root-by-hand",
        meanwhile: |root| {
            root.file("old-root/nix/file", "");
            root.file("old-root/home/file", "");
            root.file("old-root/new/file", "");
            Ok(())
        },
        apart: &["new"],
        says: &["'nix' could not go back", "'home' could not go back"],
        there: &[
            "new/file",
            "nixos-root/.lustrate/left/nix/file",
            "nixos-root/.lustrate/left/home/file",
        ],
        ..ROW
    },
    Row {
        name: "a-keeper-of-another-project-than-its-directory",
        fs: Fs::Xfs,
        before: |root| root.project("var/lib", 7),
        there: &["var/lib/app/data"],
        ..ROW
    },
    Row {
        name: "the-marker-is-a-directory",
        meanwhile: |root| {
            root.file("etc/NIXOS_LUSTRATE/file", "mine");
            Ok(())
        },
        there: &["nixos-root/.lustrate/marker/file", "etc/hostname"],
        ..ROW
    },
    Row {
        name: "the-marker-is-a-link",
        meanwhile: |root| {
            root.link("etc/NIXOS_LUSTRATE", "nowhere");
            Ok(())
        },
        there: &["etc/hostname"],
        ..ROW
    },
    Row {
        name: "somebody-elses-note-beside-an-immutable-root",
        before: |root| {
            root.file("etc/NIXOS_LUSTRATE.flags", "mine");
            root.flags("", IMMUTABLE)
        },
        meanwhile: |root| {
            root.file("etc/NIXOS_LUSTRATE.flags", "NixOS's");
            Ok(())
        },
        there: &["etc/NIXOS_LUSTRATE.flags", "nixos-root/etc/NIXOS_LUSTRATE.flags"],
        ..ROW
    },
    Row {
        name: "restored-from-a-backup",
        meanwhile: |root| {
            // Other inode numbers.
            let record = fs::read(root.at("old-root/.lustrate/record")).expect("the record");
            root.rename("old-root/.lustrate", "before");
            root.file("old-root/.lustrate/record", record);
            root.remove("before");
            root.rename("old-root/usr/bin/sh", "old-root/usr/bin/sh.old");
            root.file("old-root/usr/bin/sh", "sh");
            Ok(())
        },
        apart: &["usr/bin"],
        there: &["usr/bin/sh"],
        ..ROW
    },
];

/// What tells whether anything was changed.
fn inodes(root: &Root<'_>) -> Vec<(Vec<u8>, u64)> {
    let manifest = Manifest::hashing_up_to(root.path, 0);
    let nodes = manifest.nodes.into_iter();
    nodes.map(|(path, node)| (path, node.id.inode)).collect()
}

#[test]
fn the_old_system_always_comes_back() {
    require_root!();
    let mut failed = Vec::new();
    for row in ROWS {
        let checked = std::panic::AssertUnwindSafe(|| check(row));
        if std::panic::catch_unwind(checked).is_err() {
            failed.push(row.name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

fn check(row: &Row) {
    let (_image, mounted) = match changed(row.fs, |_| {}) {
        Ok(made) => made,
        Err(why) => return skip::say(&why),
    };
    let root = Root { path: mounted.path(), fs: row.fs };
    if let Err(why) = (row.before)(&root) {
        return skip::say(&why);
    }
    println!("{}", row.name);
    let apart = |mut manifest: Manifest| {
        // A hard link to a keeper's file has no other then.
        for path in row.apart.iter().chain(&["srv/shared"]) {
            manifest = match *path {
                "" => {
                    // Its own flags are settled meanwhile.
                    if let Some(node) = manifest.nodes.get_mut(&b""[..]) {
                        node.flags = 0;
                    }
                    manifest
                }
                path => manifest.without(path.as_bytes()),
            };
        }
        let aside = manifest.children(b"").into_iter().filter(|n| is_aside(n));
        let aside: Vec<_> = aside.map(<[u8]>::to_vec).collect();
        aside.iter().fold(manifest, |manifest, name| manifest.without(name))
    };
    let before = apart(Manifest::of(mounted.path()));
    on("run", mounted.path()).expect(0);
    if let Err(why) = (row.meanwhile)(&root) {
        return skip::say(&why);
    }
    on("revert", mounted.path()).expect(0).says(row.says);
    let after = apart(Manifest::of(mounted.path()));
    assert_none(row.name, &not_reverted(&before, &after, KEEPERS));
    for path in row.there {
        assert!(fs::symlink_metadata(root.at(path)).is_ok(), "{path} is not there");
    }
    // The same again does nothing, and status says so.
    let done = inodes(&root);
    on("revert", mounted.path()).expect(0).says(&["there is nothing to revert"]);
    assert_eq!(done, inodes(&root));
    assert!(on("status", mounted.path()).expect(0).out().contains(": reverted\n"));
}

/// What gave way: `NAME-YYYYMMDDTHHMMSSZ`, but for old roots and ours.
fn is_aside(name: &[u8]) -> bool {
    let ours = name.starts_with(b"old-root") || name.starts_with(b"nixos-root");
    !ours && name.len() > 17 && name.ends_with(b"Z") && name[name.len() - 17] == b'-'
}

/// Without renameat2 a run and a revert look first, and call what there is.
#[test]
fn the_old_system_comes_back_without_renameat2() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let before = Manifest::of(mounted.path());
    let call = Call { name: "renameat2".into(), nth: 1, line: String::new() };
    for verb in ["run", "revert"] {
        let arguments = arguments(verb, mounted.path(), &[]);
        strace::run_with(Fault::FailForGood("ENOSYS"), &call, arguments).expect(0);
    }
    assert_none("reverted", &not_reverted(&before, &Manifest::of(mounted.path()), KEEPERS));
}

/// Whatever keeps it there: the old one comes to its place.
#[test]
fn what_cannot_leave_the_root_gives_way() {
    require_root!();
    or_skip!(strace::available());
    let (image, mounted) = or_skip!(changed(Fs::Ext4, |_| {}));
    let root = Root { path: mounted.path(), fs: Fs::Ext4 };
    on("run", mounted.path()).expect(0);
    root.file("srv/by-nixos", "by NixOS");
    mounted.sync();
    let copy = image.snapshot();
    let undisturbed = or_skip!(copy.mount());
    let trace = strace::trace("renameat2", arguments("revert", undisturbed.path(), &[]));
    let leaves = trace.calls.iter().find(|call| call.line.contains("\"srv\"")).expect("a rename");
    let revert = arguments("revert", mounted.path(), &[]);
    let ended = strace::run_with(Fault::Fail("EPERM"), leaves, revert).expect(0);
    ended.says(&["'srv' of NixOS could not leave the root: it is 'srv-2"]);
    assert!(root.at("srv/www/index.html").is_file());
    let names = fs::read_dir(mounted.path()).expect("the root").map(|entry| entry.expect("one"));
    let mut aside = names.filter(|entry| is_aside(entry.file_name().as_encoded_bytes()));
    assert!(aside.next().is_some_and(|entry| entry.path().join("by-nixos").is_file()));
}

/// Nor does a marker of our own, that is made in an `etc` of a project.
#[test]
fn projects_everywhere_hinder_no_run_without_a_marker() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Xfs, |root| root.remove("etc/NIXOS_LUSTRATE")));
    let root = Root { path: mounted.path(), fs: Fs::Xfs };
    or_skip!(root.project_everywhere("", 42));
    let before = Manifest::of(mounted.path());
    crate::with("run", mounted.path(), &["--always", "--keep", "home"]).expect(0);
    on("revert", mounted.path()).expect(0);
    assert_none("reverted", &not_reverted(&before, &Manifest::of(mounted.path()), &[b"home"]));
}
