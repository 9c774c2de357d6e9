//! Old roots of earlier lustrations, and other things with the names that a
//! run or a revert wants for itself.

use super::case::{Case, Check, Expect, OldRoot, Outcome};
use super::root::Root;

/// As the stock function leaves one.
fn old_root(root: &Root<'_>, path: &str) {
    root.file(format!("{path}/etc/os-release"), "ID=debian\n");
    root.file(format!("{path}/etc/NIXOS_LUSTRATE"), "home\n");
    root.file(format!("{path}/usr/bin/sh"), "old");
    root.file(format!("{path}/home/alice/letter"), "old");
}

const SAFE: Expect = Expect::Safe(Outcome { check: Check::NothingLost, ..Outcome::TYPICAL });
const DATED: Outcome = Outcome { old_root: OldRoot::Dated, ..Outcome::TYPICAL };

pub const CASES: &[Case] = &[
    Case {
        name: "an-old-root-of-the-stock-function",
        build: |root| {
            old_root(root, "old-root");
            Ok(())
        },
        expect: Expect::Lustrates(DATED),
        ..Case::TYPICAL
    },
    Case {
        name: "dated-old-roots",
        build: |root| {
            old_root(root, "old-root-20240102T030405Z");
            old_root(root, "old-root-20240102T030405Z-2");
            old_root(root, "old-root-backup");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            protected: &[b"old-root-20240102T030405Z", b"old-root-20240102T030405Z-2"],
            ..Outcome::TYPICAL
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "old-roots-in-an-old-root",
        build: |root| {
            old_root(root, "old-root");
            old_root(root, "old-root/old-root");
            Ok(())
        },
        expect: Expect::Lustrates(DATED),
        ..Case::TYPICAL
    },
    Case {
        name: "keepers-in-an-old-root",
        keep: b"old-root/home\nhome\n",
        build: |root| {
            old_root(root, "old-root");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            warnings: &["old-root/home"],
            old_root: OldRoot::Dated,
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "old-root-is-a-file",
        build: |root| {
            root.file("old-root", "mine");
            Ok(())
        },
        expect: SAFE,
        ..Case::TYPICAL
    },
    Case {
        name: "old-root-is-a-link",
        build: |root| {
            root.link("old-root", "srv/old");
            root.directory("srv/old", 0o755);
            Ok(())
        },
        expect: SAFE,
        ..Case::TYPICAL
    },
    Case {
        name: "staging-is-a-file",
        build: |root| {
            root.file("old-root.tmp", "mine");
            Ok(())
        },
        expect: Expect::Refuses(&["old-root.tmp"]),
        ..Case::TYPICAL
    },
    Case {
        name: "staging-is-a-fifo",
        build: |root| {
            root.fifo("old-root.tmp");
            Ok(())
        },
        expect: Expect::Refuses(&["old-root.tmp"]),
        ..Case::TYPICAL
    },
    Case {
        name: "staging-is-a-link",
        build: |root| {
            root.link("old-root.tmp", "srv/staging");
            root.directory("srv/staging", 0o755);
            Ok(())
        },
        expect: Expect::Refuses(&["old-root.tmp"]),
        ..Case::TYPICAL
    },
    Case {
        name: "an-entry-named-lustrate",
        build: |root| {
            root.file(".lustrate/intent", "not ours");
            Ok(())
        },
        expect: SAFE,
        ..Case::TYPICAL
    },
    Case {
        name: "entries-named-lustrate-of-other-kinds",
        build: |root| {
            root.fifo(".lustrate");
            Ok(())
        },
        expect: SAFE,
        ..Case::TYPICAL
    },
    // They move like any entry; a revert must not stumble over them.
    Case {
        name: "entries-named-nixos-root",
        build: |root| {
            root.file("nixos-root/file", "mine");
            root.link("nixos-root.tmp", "etc");
            Ok(())
        },
        // A revert gives its own another name.
        expect: Expect::Lustrates(Outcome { left: &[b"nixos-root.tmp"], ..Outcome::TYPICAL }),
        ..Case::TYPICAL
    },
    Case {
        name: "nixos-root-is-a-fifo",
        build: |root| {
            root.fifo("nixos-root");
            root.file("nixos-root.tmp", "mine");
            Ok(())
        },
        // A revert gives its own another name.
        expect: Expect::Lustrates(Outcome { left: &[b"nixos-root.tmp"], ..Outcome::TYPICAL }),
        ..Case::TYPICAL
    },
    Case {
        name: "nixos-root-as-keeper",
        keep: b"nixos-root/file\n",
        build: |root| {
            root.file("nixos-root/file", "mine");
            root.file("nixos-root/other", "mine");
            Ok(())
        },
        expect: Expect::Safe(Outcome { keepers: &[b"nixos-root/file"], ..Outcome::NOTHING_KEPT }),
        ..Case::TYPICAL
    },
    Case {
        name: "staging-as-keeper",
        keep: b"old-root.tmp\nold-root.tmp/file\nhome\n",
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            warnings: &["old-root.tmp"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
];
