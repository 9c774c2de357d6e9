//! Mount points at and below entries, and an etc that cannot be exchanged.

use super::case::{Case, Expect, Outcome};

pub const CASES: &[Case] = &[
    Case {
        name: "mount-point-at-an-entry",
        seal: |root| {
            root.mount("srv");
            root.mount("mount here");
            root.mount("run");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            left: &[b"srv", b"mount here", b"run"],
            warnings: &["srv", "mount here", "run"],
            ..Outcome::TYPICAL
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "mount-point-below-an-entry",
        seal: |root| {
            root.mount("var/lib");
            Ok(())
        },
        expect: Expect::Refuses(&["var/lib", "mount point", "umount", "Nothing was touched"]),
        ..Case::TYPICAL
    },
    Case {
        name: "mount-point-with-an-odd-name",
        seal: |root| {
            root.mount(b"srv/a b\n\\c");
            Ok(())
        },
        expect: Expect::Refuses(&["srv/a", "mount point"]),
        ..Case::TYPICAL
    },
    Case {
        name: "mount-points-below-several-entries",
        seal: |root| {
            root.mount("usr/lib");
            root.mount("opt/vendor");
            Ok(())
        },
        expect: Expect::Refuses(&["usr/lib", "opt/vendor"]),
        ..Case::TYPICAL
    },
    Case {
        name: "mount-point-below-a-kept-entry",
        seal: |root| {
            root.mount("home/bob");
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "mount-points-in-protected-entries",
        seal: |root| {
            root.mount("boot");
            root.mount("boot/efi");
            root.mount("nix/var/log");
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "keeper-in-a-mounted-entry",
        seal: |root| {
            root.mount("home");
            root.file("home/alice/letter", "");
            Ok(())
        },
        keep: b"home/alice\netc/nixos\n",
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"etc/nixos"],
            left: &[b"home"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    Case {
        name: "keeper-that-is-a-mount-point",
        keep: b"var/lib/app\n",
        seal: |root| {
            root.mount("var/lib/app");
            Ok(())
        },
        expect: Expect::Refuses(&["var/lib/app"]),
        ..Case::TYPICAL
    },
    Case {
        name: "etc-is-a-mount-point",
        build: |root| {
            root.rename("etc", "etc-below");
            root.directory("etc", 0o755);
            Ok(())
        },
        seal: |root| {
            root.mount("etc");
            root.file("etc/NIXOS_LUSTRATE", "home\n");
            Ok(())
        },
        expect: Expect::Refuses(&["etc"]),
        ..Case::TYPICAL
    },
    Case {
        name: "nix-is-a-mount-point",
        seal: |root| {
            root.mount("nix");
            root.file("nix/store/any/init", "");
            Ok(())
        },
        ..Case::TYPICAL
    },
];
