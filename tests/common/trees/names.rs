//! Names that a shell, a terminal or a careless parser trips over, and names
//! that resemble those with a meaning.

use super::case::{Case, Expect, Outcome};

pub const CASES: &[Case] = &[
    Case {
        name: "dotfiles",
        build: |root| {
            root.file(".autorelabel", "");
            root.directory(".cache", 0o700);
            root.file("..data", "");
            root.file("...", "");
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "names-of-any-bytes",
        build: |root| {
            for name in ODD {
                root.file(name, name);
                root.file([b"odd/", *name].concat(), name);
                root.directory([*name, b".d"].concat(), 0o755);
            }
            root.file([b'x'; 255], "255 bytes");
            root.directory([0xff; 255], 0o755);
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "keepers-of-any-bytes",
        keep: b"odd/new\\nline\nodd/back\\slash\nodd/\xff\xfe\nodd/a b\nodd/-rf\nodd/$(reboot)\n",
        build: |root| {
            for name in
                [&b"new\\nline"[..], b"back\\slash", b"\xff\xfe", b"a b", b"-rf", b"$(reboot)"]
            {
                root.file([b"odd/", name].concat(), name);
            }
            root.file("odd/other", "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[
                b"odd/new\\nline",
                b"odd/back\\slash",
                b"odd/\xff\xfe",
                b"odd/a b",
                b"odd/-rf",
                b"odd/$(reboot)",
            ],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "a-keeper-of-255-bytes",
        keep: &LONG_KEEPER,
        build: |root| {
            root.file(LONG_KEEPER, "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome { keepers: &[&LONG_KEEPER], ..Outcome::NOTHING_KEPT }),
        ..Case::TYPICAL
    },
    Case {
        name: "names-like-protected-ones",
        build: |root| {
            for name in [
                "nix2",
                "nixos",
                ".nix",
                "Nix",
                "boot.backup",
                "boot2",
                "old-roots",
                "old-root.tmp2",
            ] {
                root.file(format!("{name}/file"), name);
            }
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case { name: "nothing-but-etc-and-nix", base: super::typical::bare, keep: b"", ..BARE },
    Case {
        name: "deep-and-wide-entry",
        build: |root| {
            let mut path = b"deep".to_vec();
            for level in 0..60 {
                path.extend_from_slice(format!("/level-{level}").as_bytes());
            }
            root.file(path, "at the bottom");
            Ok(())
        },
        ..Case::TYPICAL
    },
];

const BARE: Case = Case { expect: Expect::Lustrates(Outcome::NOTHING_KEPT), ..Case::TYPICAL };

const ODD: &[&[u8]] = &[
    b"new\nline",
    b"tab\there",
    b"back\\slash",
    b"\xff\xfe not UTF-8",
    b" ",
    b" leading and trailing ",
    b"-rf",
    b"*",
    b"\x1b[31mred",
    b"\x01\x7f",
    b"quote'\"",
    b"$(reboot)",
    b"#comment",
    "\u{e9}t\u{e9} \u{202e}".as_bytes(),
];

const LONG_KEEPER: [u8; 259] = {
    let mut path = [b'k'; 259];
    path[0] = b'o';
    path[1] = b'd';
    path[2] = b'd';
    path[3] = b'/';
    path
};
