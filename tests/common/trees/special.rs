//! Inodes other than files and directories, hard links, and parents with
//! unusual metadata.

use super::case::{Case, Check, Expect, Outcome};

pub const CASES: &[Case] = &[
    Case::TYPICAL,
    Case {
        name: "special-files-as-entries",
        build: |root| {
            root.socket("socket");
            root.fifo("fifo");
            root.char_device("character", 1, 7);
            root.block_device("block", 7, 200);
            root.char_device("whiteout", 0, 0);
            root.link("dangling", "nowhere");
            root.link("self", "self");
            root.file("empty", "");
            root.sparse("swapfile", 3 << 20);
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "special-files-as-keepers",
        keep: b"socket\nfifo\nblock\ndevices/null\nvar/lib/app/control\nvar/lib/app/queue\n",
        build: |root| {
            root.socket("socket");
            root.fifo("fifo");
            root.block_device("block", 7, 200);
            root.char_device("devices/null", 1, 3);
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[
                b"socket",
                b"fifo",
                b"block",
                b"devices/null",
                b"var/lib/app/control",
                b"var/lib/app/queue",
            ],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "hard-links-across-entries",
        keep: b"home\na/kept\n",
        build: |root| {
            root.file("a/one", "shared");
            for path in ["b/two", "c", "home/alice/three", "a/kept", "nix/var/four", "boot/five"] {
                root.hard_link(path, "a/one");
            }
            root.link("a/link", "one");
            root.hard_link("b/link", "a/link");
            root.fifo("a/fifo");
            root.hard_link("fifo", "a/fifo");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home", b"a/kept"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "parents-with-unusual-metadata",
        keep: b"data/inner/kept\nsticky/kept\nsecret/kept\nowned/a/b/c/kept\n",
        build: |root| {
            root.file("data/inner/kept", "");
            root.acl("data", "default");
            root.acl("data/inner", "default");
            root.acl("data/inner", "access");
            root.xattr("data/inner", "user.note", b"x");
            root.xattr("data/inner", "trusted.note", b"y");
            root.file("sticky/kept", "");
            root.mode("sticky", 0o1777);
            root.file("secret/kept", "");
            root.mode("secret", 0o000);
            root.file("owned/a/b/c/kept", "");
            root.own("owned/a", 1000, 100);
            root.own("owned/a/b", 4_000_000_000, 4_000_000_001);
            root.mode("owned/a/b", 0o6711);
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"data/inner/kept", b"sticky/kept", b"secret/kept", b"owned/a/b/c/kept"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "a-root-with-a-default-acl",
        build: |root| {
            root.acl("", "default");
            root.xattr("", "user.note", b"root");
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "a-setgid-root",
        build: |root| {
            root.own("", 0, 50);
            root.mode("", 0o2755);
            Ok(())
        },
        ..Case::TYPICAL
    },
    // The marker of NixOS's etc overlay is in the upper directory.
    Case {
        name: "etc-overlay-marker",
        build: |root| {
            root.rename("etc/NIXOS_LUSTRATE", ".rw-etc/upper/NIXOS_LUSTRATE");
            root.directory(".rw-etc/work", 0o755);
            Ok(())
        },
        expect: Expect::Lustrates(Outcome { check: Check::NothingLost, ..Outcome::TYPICAL }),
        ..Case::TYPICAL
    },
];
