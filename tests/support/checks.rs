//! The checks of a lustrated and of a reverted root: they pass what is right,
//! and notice each thing that is not.

use std::fs;

use super::{Change, assert_seen, typical_root};
use crate::common::compare::Excuse;
use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::population::{Lustrated, lost, not_lustrated, not_reverted};
use crate::common::skip::Skipped;
use crate::common::sys;
use crate::common::trees::{Root, typical};
use crate::common::{or_skip, require_root};

/// A lustration of the typical root by plain renames, as a check of the
/// checks.
fn naive_lustration(root: &Root<'_>) {
    root.directory("staging", 0o755);
    let nested = typical::KEEPERS.iter().filter(|k| k.contains(&b'/'));
    for keeper in nested {
        let new = [b"staging/.lustrate/new/", *keeper].concat();
        root.rename(keeper, new);
    }
    for parent in ["var/lib", "var", "etc/ssh", "etc", "root"] {
        let (from, to) = (root.at(parent), root.at(format!("staging/.lustrate/new/{parent}")));
        let metadata = fs::metadata(&from).unwrap();
        fs::set_permissions(&to, metadata.permissions()).unwrap();
    }
    for entry in Manifest::hashing_up_to(root.path, 0).children(b"") {
        let stays = [&b"nix"[..], b"boot", b"home", b"staging"].contains(&entry);
        if !stays {
            root.rename(entry, [b"staging/", entry].concat());
        }
    }
    for entry in ["var", "etc", "root"] {
        root.rename(format!("staging/.lustrate/new/{entry}"), entry);
    }
    root.file("etc/NIXOS", "");
    root.rename("staging", "old-root");
}

/// Gives the new parents the times of the originals.
fn parent_times(root: &Root<'_>, before: &Manifest) {
    for parent in ["var/lib", "var", "etc/ssh", "root"] {
        let seconds = before.get(parent.as_bytes()).unwrap().mtime.0;
        sys::set_mtime(&root.at(parent), seconds).unwrap();
    }
}

fn lustrated(fs: Fs, spoil: impl FnOnce(&Root<'_>)) -> Result<Vec<String>, Skipped> {
    let (_image, mounted) = typical_root(fs)?;
    let root = Root { path: mounted.path(), fs };
    let before = Manifest::of(root.path);
    naive_lustration(&root);
    parent_times(&root, &before);
    spoil(&root);
    let plan = Lustrated { keepers: typical::KEEPERS, ..Lustrated::default() };
    Ok(not_lustrated(&before, &Manifest::of(root.path), &plan))
}

#[test]
fn a_right_lustration_passes_and_wrong_ones_do_not() {
    require_root!();
    let table: &[(&str, Change)] = &[
        ("etc/passwd: lost", |r| r.remove("old-root/etc/passwd")),
        ("srv/www: not at old-root/srv/www", |r| r.rename("old-root/srv/www", "old-root/www")),
        ("home/alice/letter: not at", |r| {
            r.rename("home/alice/letter", "old-root/home/alice/letter");
        }),
        ("etc/nixos: not at etc/nixos", |r| r.rename("etc/nixos", "old-root/etc/nixos")),
        ("root: mode \"0700\" -> \"0755\"", |r| r.mode("root", 0o755)),
        ("etc/NIXOS is missing", |r| r.remove("etc/NIXOS")),
        ("marker is still there", |r| r.file("etc/NIXOS_LUSTRATE", "")),
        ("left-over: should not be there", |r| r.file("left-over", "")),
        ("boot/vmlinuz: mode", |r| r.mode("boot/vmlinuz", 0o600)),
        ("etc/shadow: mode", |r| r.mode("old-root/etc/shadow", 0o644)),
        ("2 names, now 3", |r| r.hard_link("old-root/more", "old-root/opt/shared")),
        ("var/lib: made with another mtime", |r| {
            sys::set_mtime(&r.at("var/lib"), 5).unwrap();
        }),
        ("root/.ssh/authorized_keys: inode", |r| {
            r.file_with_mode("root/.ssh/copy", "ssh-ed25519 AAAA\n", 0o600);
            r.rename("root/.ssh/copy", "root/.ssh/authorized_keys");
        }),
    ];
    for fs in Fs::ALL {
        assert_eq!(or_skip!(lustrated(fs, |_| ())), Vec::<String>::new(), "{fs:?}");
        for (what, spoil) in table {
            assert_seen(&or_skip!(lustrated(fs, spoil)), what);
        }
    }
}

#[test]
fn a_right_revert_passes_and_a_wrong_one_does_not() {
    require_root!();
    for fs in Fs::ALL {
        let (_image, mounted) = or_skip!(typical_root(fs));
        let root = Root { path: mounted.path(), fs };
        let before = Manifest::of(root.path);
        root.rename("etc/NIXOS_LUSTRATE", "nixos-root/etc/NIXOS_LUSTRATE");
        root.rename("var/lib/app", "away");
        root.rename("away", "var/lib/app");
        let after = Manifest::of(root.path);
        let list = not_reverted(&before, &after, typical::KEEPERS);
        assert_eq!(list, Vec::<String>::new(), "{fs:?}");
        assert_seen(&not_reverted(&before, &after, &[]), "var/lib: mtime");
        root.rename("var/lib/app/data", "nixos-root/data");
        let after = Manifest::of(root.path);
        assert_seen(&not_reverted(&before, &after, typical::KEEPERS), "var/lib/app/data: gone");
        assert_eq!(
            lost(&before, &after, &Excuse::none().touched(b"var/lib")),
            Vec::<String>::new()
        );
    }
}
