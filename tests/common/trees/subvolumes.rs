//! btrfs: subvolumes as entries and below, read-only ones, and keepers in them.

use super::case::{Case, Expect, Outcome};
use crate::common::image::Fs;

const BTRFS: Case = Case { on: &[Fs::Btrfs], ..Case::TYPICAL };

pub const CASES: &[Case] = &[
    Case {
        name: "subvolumes",
        build: |root| {
            root.subvolume("@data");
            root.file("@data/file", "");
            root.subvolume("@data/inner");
            root.file("@data/inner/file", "");
            root.subvolume("var/lib/machines");
            root.file("var/lib/machines/a/file", "");
            root.subvolume("home/carol");
            root.file("home/carol/file", "");
            Ok(())
        },
        ..BTRFS
    },
    Case {
        name: "read-only-subvolumes",
        build: |root| {
            root.subvolume("snapshot");
            root.file("snapshot/file", "");
            root.subvolume("var/snapshot");
            root.file("var/snapshot/file", "");
            Ok(())
        },
        seal: |root| {
            root.make_subvolume_read_only("snapshot");
            root.make_subvolume_read_only("var/snapshot");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            left: &[b"snapshot"],
            warnings: &["snapshot"],
            ..Outcome::TYPICAL
        }),
        ..BTRFS
    },
    Case {
        name: "keeper-in-a-subvolume",
        keep: b"var/lib/machines/a/file\n@data/kept\nhome\n",
        build: |root| {
            root.subvolume("var/lib/machines");
            root.file("var/lib/machines/a/file", "");
            root.file("var/lib/machines/b/file", "");
            root.subvolume("@data");
            root.file("@data/kept", "");
            root.file("@data/other", "");
            Ok(())
        },
        // Nothing can be renamed out of a subvolume: it is kept whole.
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"var/lib/machines", b"@data", b"home"],
            warnings: &["var/lib/machines", "@data"],
            ..Outcome::NOTHING_KEPT
        }),
        ..BTRFS
    },
    Case {
        name: "keeper-in-subvolumes-in-subvolumes",
        keep: b"var/a/b/c/file\n",
        build: |root| {
            root.subvolume("var/a");
            root.subvolume("var/a/b");
            root.file("var/a/b/c/file", "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"var/a"],
            warnings: &["var/a"],
            ..Outcome::NOTHING_KEPT
        }),
        ..BTRFS
    },
    Case {
        name: "subvolume-as-keeper",
        keep: b"var/lib/machines\n@data\n",
        build: |root| {
            root.subvolume("var/lib/machines");
            root.file("var/lib/machines/a/file", "");
            root.subvolume("@data");
            root.file("@data/file", "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"var/lib/machines", b"@data"],
            ..Outcome::NOTHING_KEPT
        }),
        ..BTRFS
    },
    Case {
        name: "keeper-in-a-read-only-entry",
        keep: b"snapshot/file\nhome\n",
        build: |root| {
            root.subvolume("snapshot");
            root.file("snapshot/file", "");
            Ok(())
        },
        seal: |root| {
            root.make_subvolume_read_only("snapshot");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            left: &[b"snapshot"],
            ..Outcome::NOTHING_KEPT
        }),
        ..BTRFS
    },
    // It cannot go to another directory, and its flag is not ours to clear
    // (that would end incremental send).
    Case {
        name: "read-only-subvolume-as-nested-keeper",
        keep: b"var/snapshot\n",
        build: |root| {
            root.subvolume("var/snapshot");
            root.file("var/snapshot/file", "");
            Ok(())
        },
        seal: |root| {
            root.make_subvolume_read_only("var/snapshot");
            Ok(())
        },
        expect: Expect::Refuses(&["var/snapshot", "read-only"]),
        ..BTRFS
    },
    Case {
        name: "etc-is-a-subvolume",
        keep: b"home\n",
        build: |root| {
            root.rename("etc", "etc-content");
            root.subvolume("etc");
            root.file("etc/NIXOS_LUSTRATE", "home\n");
            root.file("etc/os-release", "ID=debian\n");
            Ok(())
        },
        expect: Expect::Refuses(&["etc", "subvolume"]),
        ..BTRFS
    },
    // etc would be kept whole, as a subvolume that holds a keeper.
    Case {
        name: "keeper-in-an-etc-subvolume",
        keep: b"etc/nixos\n",
        build: |root| {
            root.rename("etc", "etc-content");
            root.subvolume("etc");
            root.file("etc/NIXOS_LUSTRATE", "etc/nixos\n");
            root.file("etc/nixos/configuration.nix", "{ }\n");
            Ok(())
        },
        expect: Expect::Safe(Outcome { keepers: &[b"etc"], ..Outcome::NOTHING_KEPT }),
        ..BTRFS
    },
    Case {
        name: "nix-and-boot-are-subvolumes",
        base: |root, keep| {
            root.subvolume("nix");
            root.subvolume("boot");
            super::typical::typical(root, keep);
        },
        ..BTRFS
    },
];
