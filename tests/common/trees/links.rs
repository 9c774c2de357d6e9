//! Keepers that are symlinks or are reached through some. A link is always
//! resolved as inside the root, whatever it says.

use super::case::{Case, Check, Expect, Outcome};

pub const CASES: &[Case] = &[
    Case {
        name: "through-a-symlinked-entry",
        keep: b"bin/su\nlib/os-release\n",
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"usr/bin/su", b"usr/lib/os-release"],
            links: &[b"bin", b"lib"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "through-a-nested-link",
        keep: b"var/service/db\nvar/spool/mail/alice\n",
        build: |root| {
            root.link("var/service", "/srv/service");
            root.file("srv/service/db", "");
            root.file("srv/service/other", "");
            root.link("var/spool/mail", "../mail");
            root.file("var/mail/alice", "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"srv/service/db", b"var/mail/alice"],
            links: &[b"var/service", b"var/spool/mail"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "through-a-chain-of-links",
        keep: b"one/file\n",
        build: |root| {
            root.link("one", "two");
            root.link("two", "sub/three");
            root.link("sub/three", "../sub/../real");
            root.file("real/file", "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"real/file"],
            links: &[b"one", b"two", b"sub/three"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "links-that-lead-out",
        keep: b"var/out/file\nvar/absolute/file\n",
        build: |root| {
            root.link("var/out", "../../../../../../srv/data");
            root.link("var/absolute", "/../../srv/more");
            root.file("srv/data/file", "");
            root.file("srv/more/file", "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"srv/data/file", b"srv/more/file"],
            links: &[b"var/out", b"var/absolute"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    // These exist on the machine that runs the test, not in the root.
    Case {
        name: "links-to-what-only-the-host-has",
        keep: b"host/self/status\nhost2/mounts\n",
        build: |root| {
            root.link("host", "/proc");
            root.link("host2", "../../../../../../../../proc/self");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            warnings: &["host/self/status", "host2/mounts"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "link-loops",
        keep: b"one/file\nself/file\nhome\n",
        build: |root| {
            root.link("one", "two");
            root.link("two", "one");
            root.link("self", "self");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            warnings: &["one/file", "self/file"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "keepers-that-are-missing",
        keep: b"var/missing\nno/where\netc/hostname/below\nhome\n",
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            warnings: &["var/missing", "no/where", "etc/hostname/below"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "keepers-that-are-links",
        keep: b"etc/localtime\ndangling\nvmlinuz\nto-home\nhome\n",
        build: |root| {
            root.link("dangling", "nowhere");
            root.link("to-home", "home/alice");
            Ok(())
        },
        // localtime's target goes; vmlinuz's is protected, to-home's is kept.
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"etc/localtime", b"dangling", b"vmlinuz", b"to-home", b"home"],
            warnings: &["etc/localtime"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "through-a-link-in-a-keeper",
        keep: b"home\nhome/alice/share/file\n",
        build: |root| {
            root.link("home/alice/share", "/srv/share");
            root.file("srv/share/file", "");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home", b"srv/share/file"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "through-a-link-into-a-keeper",
        keep: b"home\nvar/alice/letter\n",
        build: |root| {
            root.link("var/alice", "/home/alice");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            links: &[b"var/alice"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "through-a-link-into-nix",
        keep: b"system/init\nkernels/vmlinuz\nhome\n",
        build: |root| {
            root.link("system", "nix/var/nix/profiles/system");
            root.link("kernels", "boot");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"home"],
            check: Check::NothingLost,
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "one-keeper-by-two-names",
        keep: b"usr/bin/su\nbin/su\nsbin/../bin\nbin/./su\n",
        build: |_| Ok(()),
        // `..` is refused even where it would be harmless.
        expect: Expect::Refuses(&[".."]),
        ..Case::TYPICAL
    },
    Case {
        name: "one-keeper-by-two-ways",
        keep: b"usr/bin/su\nbin/su\nb/su\n",
        build: |root| {
            root.link("b", "bin");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"usr/bin/su"],
            links: &[b"bin", b"b"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
];
