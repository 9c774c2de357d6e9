//! Keep-lists as people write them, and as nobody should.

use super::case::{Case, Expect, Outcome};

const HOME: Expect = Expect::Lustrates(Outcome { keepers: &[b"home"], ..Outcome::NOTHING_KEPT });

pub const CASES: &[Case] = &[
    Case { name: "empty-list", keep: b"", expect: Expect::Lustrates(Outcome::NOTHING_KEPT), ..Case::TYPICAL },
    Case {
        name: "blank-lines-and-comments",
        keep: b"\n\n# keep these\n   \n\t\nhome\n#root\n\n",
        expect: HOME,
        ..Case::TYPICAL
    },
    Case { name: "no-final-newline", keep: b"etc/nixos\nhome", expect: ETC_NIXOS_AND_HOME, ..Case::TYPICAL },
    Case {
        name: "dos-line-ends",
        keep: b"etc/nixos\r\nhome\r\n\r\n",
        expect: ETC_NIXOS_AND_HOME,
        ..Case::TYPICAL
    },
    Case {
        name: "slashes-spaces-and-dots",
        keep: b"  /etc//nixos/ \n///home///\n./home/.\n/./etc/./nixos\n",
        expect: ETC_NIXOS_AND_HOME,
        ..Case::TYPICAL
    },
    Case {
        name: "twice-and-nested",
        keep: b"home/alice\nhome\nhome\nhome/alice/letter\n/home/\netc/nixos/configuration.nix\netc/nixos\n",
        expect: ETC_NIXOS_AND_HOME,
        ..Case::TYPICAL
    },
    Case {
        name: "siblings-with-a-common-beginning",
        keep: b"home\nhome2/kept\nroot/.ss\n",
        build: |root| {
            root.file("home2/kept", "");
            root.file("home2/other", "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home", b"home2/kept"],
            warnings: &["root/.ss"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "protected-as-keepers",
        keep: b"nix\nboot/grub\nold-root/etc/passwd\nnix/store\nhome\n",
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            warnings: &["nix", "boot/grub", "old-root/etc/passwd"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "etc-kept-whole",
        keep: b"etc\nhome\n",
        expect: Expect::Lustrates(Outcome { keepers: &[b"etc", b"home"], ..Outcome::NOTHING_KEPT }),
        ..Case::TYPICAL
    },
    Case {
        name: "etc-kept-whole-and-parts-of-it",
        keep: b"etc/nixos\n/etc/\netc/ssh\n",
        expect: Expect::Lustrates(Outcome { keepers: &[b"etc"], ..Outcome::NOTHING_KEPT }),
        ..Case::TYPICAL
    },
    // Kept, it would ask for the next lustration at each boot.
    Case {
        name: "the-marker-as-keeper",
        keep: b"etc/NIXOS_LUSTRATE\nhome\n",
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            warnings: &["NIXOS_LUSTRATE"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "the-other-marker-as-keeper",
        keep: b"etc/NIXOS\n",
        expect: Expect::Lustrates(Outcome { keepers: &[b"etc/NIXOS"], ..Outcome::NOTHING_KEPT }),
        ..Case::TYPICAL
    },
    Case {
        name: "everything-kept",
        base: super::typical::bare,
        keep: b"etc\nhome\nusr\n",
        build: |root| {
            root.file("home/file", "");
            root.file("usr/file", "");
            Ok(())
        },
        on: &[crate::common::image::Fs::Xfs, crate::common::image::Fs::Btrfs, crate::common::image::Fs::Tmpfs],
        expect: Expect::Lustrates(Outcome { keepers: &[b"etc", b"home", b"usr"], ..Outcome::NOTHING_KEPT }),
        ..Case::TYPICAL
    },
    Case {
        name: "dots-that-climb",
        keep: b"home\nvar/../../etc\n",
        expect: Expect::Refuses(&[".."]),
        ..Case::TYPICAL
    },
    Case { name: "the-root-as-keeper", keep: b"home\n/\n", expect: Expect::Refuses(&["/"]), ..Case::TYPICAL },
    Case { name: "the-root-as-a-dot", keep: b".\n", expect: Expect::Refuses(&[]), ..Case::TYPICAL },
    Case { name: "a-nul-in-the-list", keep: b"home\nva\0r\n", expect: Expect::Refuses(&["NUL"]), ..Case::TYPICAL },
    Case {
        name: "a-list-of-one-mebibyte",
        keep: &[b'\n'; 1 << 20],
        expect: Expect::Lustrates(Outcome::NOTHING_KEPT),
        ..Case::TYPICAL
    },
    Case {
        name: "a-list-above-one-mebibyte",
        keep: &[b'\n'; (1 << 20) + 1],
        expect: Expect::Refuses(&["1 MiB"]),
        ..Case::TYPICAL
    },
    Case {
        name: "a-component-above-255-bytes",
        keep: &[b'x'; 300],
        expect: Expect::Refuses(&["255 bytes"]),
        ..Case::TYPICAL
    },
    Case {
        name: "a-path-above-4096-bytes",
        keep: &LONG_PATH,
        expect: Expect::Lustrates(Outcome { warnings: &["a/a/a"], ..Outcome::NOTHING_KEPT }),
        ..Case::TYPICAL
    },
];

const ETC_NIXOS_AND_HOME: Expect =
    Expect::Lustrates(Outcome { keepers: &[b"etc/nixos", b"home"], ..Outcome::NOTHING_KEPT });

const LONG_PATH: [u8; 5001] = {
    let mut path = [b'a'; 5001];
    let mut at = 1;
    while at < path.len() {
        path[at] = b'/';
        at += 2;
    }
    path
};
