//! What stays, stands (I8): links and mounts at and below `nix` and `boot`, and at
//! entries, that lead to something in the root.

use super::case::{Case, Expect, Outcome};
use super::root::Root;
use super::typical::{KEEPERS, TOPLEVEL};
use crate::common::image::Fs;

/// A directory of the root that will be mounted elsewhere.
fn source(root: &Root<'_>, path: &str) {
    root.directory(path, 0o750);
    root.file(format!("{path}/here"), "moved by nobody");
}

const fn with(
    keepers: &'static [&'static [u8]],
    links: &'static [&'static [u8]],
    warnings: &'static [&'static str],
) -> Expect {
    Expect::Lustrates(Outcome { keepers, links, warnings, ..Outcome::NOTHING_KEPT })
}

pub const CASES: &[Case] = &[
    Case {
        name: "nix-mounted-from-the-root",
        keep: b"",
        build: |root| {
            source(root, "var/nix");
            root.file("var/nix/store/any/init", "");
            Ok(())
        },
        seal: |root| {
            root.bind("var/nix", "nix");
            Ok(())
        },
        expect: with(&[b"var/nix"], &[], &["'var/nix' is kept", "/nix is mounted from it"]),
        ..Case::TYPICAL
    },
    Case {
        name: "store-and-boot-mounted-from-the-root",
        keep: b"home\n",
        build: |root| {
            source(root, "home/alice/boot");
            source(root, "data/nix/store");
            source(root, "efi");
            Ok(())
        },
        seal: |root| {
            root.bind("data/nix/store", "nix/store");
            root.bind("home/alice/boot", "boot");
            root.directory("boot/efi", 0o755);
            root.bind("efi", "boot/efi");
            Ok(())
        },
        expect: with(
            &[b"home", b"data/nix/store", b"efi"],
            &[],
            &[
                "'data/nix/store' is kept",
                "/boot is mounted from it",
                "/boot/efi is mounted from it",
            ],
        ),
        ..Case::TYPICAL
    },
    Case {
        name: "an-entry-mounted-from-the-root",
        build: |root| {
            source(root, "var/data");
            root.directory("data", 0o755);
            Ok(())
        },
        seal: |root| {
            root.bind("var/data", "data");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[
                b"etc/nixos",
                b"etc/ssh/ssh_host_ed25519_key",
                b"home",
                b"root/.ssh",
                b"var/lib/app",
                b"var/data",
            ],
            left: &[b"data"],
            warnings: &["'var/data' is kept", "/data is mounted from it"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    // What is mounted on itself, or from what never moves, needs nothing.
    Case {
        name: "mounted-from-what-stays",
        seal: |root| {
            root.bind("nix/store", "nix/store");
            root.bind("nix", "boot");
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "boot-mounted-from-an-older-old-root",
        build: |root| {
            source(root, "old-root/boot");
            Ok(())
        },
        seal: |root| {
            root.bind("old-root/boot", "boot");
            Ok(())
        },
        expect: Expect::Refuses(&["/boot leads to ", "/old-root/boot, which has to move"]),
        ..Case::TYPICAL
    },
    Case {
        name: "subvolumes-mounted-on-nix",
        on: &[Fs::Btrfs],
        keep: b"",
        build: |root| {
            root.subvolume("@nix");
            root.file("@nix/store/any/init", "");
            root.subvolume("srv/@boot");
            Ok(())
        },
        seal: |root| {
            root.bind("@nix", "nix");
            root.bind("srv/@boot", "boot");
            Ok(())
        },
        expect: with(
            &[b"@nix", b"srv/@boot"],
            &[],
            &["'@nix' is kept", "/nix is mounted from it", "'srv/@boot' is kept"],
        ),
        ..Case::TYPICAL
    },
    Case {
        name: "boot-is-a-link",
        keep: b"",
        build: |root| {
            root.rename("boot", "data/boot");
            root.link("boot", "data/boot");
            Ok(())
        },
        expect: with(&[b"data/boot"], &[], &["'data/boot' is kept", "/boot leads to it"]),
        ..Case::TYPICAL
    },
    Case {
        name: "boot-is-a-chain-of-links",
        keep: b"var/lib/app\n",
        build: |root| {
            root.rename("boot", "srv/kernels/now");
            root.link("boot", "/var/lib/../cur/boot");
            root.link("var/cur", "../../../srv/kernels");
            root.link("srv/kernels/boot", "now");
            Ok(())
        },
        expect: with(
            &[b"srv/kernels/now", b"var/lib/app"],
            &[b"var/cur", b"srv/kernels/boot"],
            &["'srv/kernels/now' is kept"],
        ),
        ..Case::TYPICAL
    },
    Case {
        name: "boot-leads-to-a-keeper",
        build: |root| {
            root.rename("boot", "home/alice/boot");
            root.link("boot", "home/alice/boot");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: KEEPERS,
            warnings: &["'home/alice/boot' is kept"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "boot-leads-into-the-store",
        build: |root| {
            root.rename("boot", "nix/boot");
            root.link("boot", "nix/boot");
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "boot-leads-nowhere",
        build: |root| {
            root.remove("boot");
            root.link("boot", "/mnt/../../boot.elsewhere");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            warnings: &["/boot is a link that leads nowhere; it stays as it is"],
            ..Outcome::TYPICAL
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "boot-leads-in-a-circle",
        build: |root| {
            root.remove("boot");
            root.link("boot", "srv/boot");
            root.link("srv/boot", "../boot");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            warnings: &["/boot is a link that leads nowhere; it stays as it is"],
            ..Outcome::TYPICAL
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "boot-leads-to-the-root",
        build: |root| {
            root.remove("boot");
            root.link("boot", "srv/..");
            Ok(())
        },
        expect: Expect::Refuses(&["/boot leads to ", ", which has to move"]),
        ..Case::TYPICAL
    },
    Case {
        name: "boot-leads-to-a-mount",
        build: |root| {
            root.remove("boot");
            root.link("boot", "media/boot");
            Ok(())
        },
        seal: |root| {
            root.mount("media");
            root.directory("media/boot", 0o755);
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            left: &[b"media"],
            warnings: &["media is a mount point"],
            ..Outcome::TYPICAL
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "nix-and-the-store-are-links",
        keep: b"",
        build: |root| {
            root.rename("nix", "srv/nix");
            root.link("nix", "srv/nix");
            root.rename("srv/nix/store", "var/store");
            root.link("srv/nix/store", "/var/store");
            assert!(root.at("var/store").join(&TOPLEVEL["nix/store/".len()..]).exists());
            Ok(())
        },
        expect: with(
            &[b"srv/nix", b"var/store"],
            &[],
            &["'srv/nix' is kept", "'var/store' is kept"],
        ),
        ..Case::TYPICAL
    },
    Case {
        name: "the-store-is-a-link",
        build: |root| {
            root.rename("nix/store", "usr/share/store");
            root.link("nix/store", "../usr/share/store");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[
                b"etc/nixos",
                b"etc/ssh/ssh_host_ed25519_key",
                b"home",
                b"root/.ssh",
                b"var/lib/app",
                b"usr/share/store",
            ],
            warnings: &["'usr/share/store' is kept, since ", "/nix/store leads to it"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "nix-leads-nowhere",
        build: |root| {
            root.remove("nix");
            root.link("nix", "srv/nix");
            Ok(())
        },
        expect: Expect::Refuses(&["/nix is no directory"]),
        ..Case::TYPICAL
    },
];
