//! Immutable and append-only inodes: the flag is cleared for the rename, set
//! again, and never lost.

use super::case::{Case, Expect, OldRoot, Outcome};
use crate::common::manifest::{APPEND, IMMUTABLE};

pub const CASES: &[Case] = &[
    Case {
        name: "immutable-entries",
        build: |root| {
            root.file("locked", "");
            root.file("locked.d/file", "");
            root.file("log.d/file", "");
            root.file("journal", "");
            Ok(())
        },
        seal: |root| {
            root.flags("locked", IMMUTABLE)?;
            root.flags("locked.d", IMMUTABLE)?;
            root.flags("log.d", APPEND)?;
            root.flags("journal", APPEND | IMMUTABLE)
        },
        ..Case::TYPICAL
    },
    Case {
        name: "immutable-below-entries",
        build: |root| {
            root.directory("var/empty", 0o555);
            Ok(())
        },
        seal: |root| {
            root.flags("var/empty", IMMUTABLE)?;
            root.flags("var/log/syslog", APPEND)?;
            root.flags("usr/bin/su", IMMUTABLE)
        },
        ..Case::TYPICAL
    },
    Case { name: "immutable-root", seal: |root| root.flags("", IMMUTABLE), ..Case::TYPICAL },
    Case { name: "append-only-root", seal: |root| root.flags("", APPEND), ..Case::TYPICAL },
    Case {
        name: "immutable-root-and-entries",
        seal: |root| {
            root.flags("usr", IMMUTABLE)?;
            root.flags("var", APPEND)?;
            root.flags("", IMMUTABLE | APPEND)
        },
        ..Case::TYPICAL
    },
    Case {
        name: "immutable-parents-of-keepers",
        seal: |root| {
            root.flags("var/lib", IMMUTABLE)?;
            root.flags("root", APPEND)?;
            root.flags("etc/ssh", IMMUTABLE)
        },
        ..Case::TYPICAL
    },
    Case {
        name: "immutable-keepers",
        seal: |root| {
            root.flags("etc/ssh/ssh_host_ed25519_key", IMMUTABLE)?;
            root.flags("etc/nixos", IMMUTABLE)?;
            root.flags("var/lib/app", APPEND)?;
            root.flags("home", IMMUTABLE)
        },
        ..Case::TYPICAL
    },
    // Of an immutable etc or marker, a run may also ask that it be cleared.
    Case {
        name: "immutable-etc",
        seal: |root| root.flags("etc", IMMUTABLE),
        expect: Expect::Safe(Outcome::TYPICAL),
        ..Case::TYPICAL
    },
    Case {
        name: "immutable-marker",
        seal: |root| root.flags("etc/NIXOS_LUSTRATE", IMMUTABLE),
        expect: Expect::Safe(Outcome::TYPICAL),
        ..Case::TYPICAL
    },
    Case {
        name: "immutable-marker-in-kept-etc",
        keep: b"etc\n",
        seal: |root| root.flags("etc/NIXOS_LUSTRATE", IMMUTABLE),
        expect: Expect::Safe(Outcome { keepers: &[b"etc"], ..Outcome::NOTHING_KEPT }),
        ..Case::TYPICAL
    },
    // An older old root makes room, and has its name and its flags again.
    Case {
        name: "immutable-old-roots",
        build: |root| {
            root.file("old-root/etc/os-release", "ID=debian\n");
            root.file("old-root-20240102T030405Z/etc/os-release", "ID=debian\n");
            root.file("old-root-backup/file", "");
            Ok(())
        },
        seal: |root| {
            root.flags("old-root", IMMUTABLE)?;
            root.flags("old-root-20240102T030405Z", IMMUTABLE | APPEND)?;
            root.flags("old-root-backup", APPEND)
        },
        expect: Expect::Lustrates(Outcome {
            protected: &[b"old-root-20240102T030405Z"],
            old_root: OldRoot::Dated,
            ..Outcome::TYPICAL
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "immutable-root-with-a-foreign-note",
        build: |root| {
            root.file("etc/NIXOS_LUSTRATE.flags", "mine\n");
            Ok(())
        },
        seal: |root| root.flags("", IMMUTABLE),
        ..Case::TYPICAL
    },
    Case {
        name: "immutable-protected",
        seal: |root| {
            root.flags("boot", IMMUTABLE)?;
            root.flags("nix/store", IMMUTABLE)
        },
        ..Case::TYPICAL
    },
];
