//! Roots that are refused before the first write, each with its reason.

use std::path::Path;

use super::case::{Case, Expect};
use crate::common::sys;

pub const CASES: &[Case] = &[
    Case {
        name: "no-nix",
        build: |root| {
            root.remove("nix");
            Ok(())
        },
        expect: Expect::Refuses(&["nix"]),
        ..Case::TYPICAL
    },
    Case {
        name: "nix-is-a-file",
        build: |root| {
            root.remove("nix");
            root.file("nix", "");
            Ok(())
        },
        expect: Expect::Refuses(&["nix"]),
        ..Case::TYPICAL
    },
    Case {
        name: "etc-is-a-link",
        build: |root| {
            root.rename("etc", "usr/etc");
            root.link("etc", "usr/etc");
            Ok(())
        },
        expect: Expect::Refuses(&["etc", "link"]),
        ..Case::TYPICAL
    },
    Case {
        name: "marker-is-a-fifo",
        build: |root| {
            root.remove("etc/NIXOS_LUSTRATE");
            root.fifo("etc/NIXOS_LUSTRATE");
            Ok(())
        },
        expect: Expect::Refuses(&["NIXOS_LUSTRATE"]),
        ..Case::TYPICAL
    },
    Case {
        name: "marker-is-a-link",
        build: |root| {
            root.rename("etc/NIXOS_LUSTRATE", "srv/list");
            root.link("etc/NIXOS_LUSTRATE", "../srv/list");
            Ok(())
        },
        expect: Expect::Refuses(&["NIXOS_LUSTRATE"]),
        ..Case::TYPICAL
    },
    Case {
        name: "marker-is-a-directory",
        build: |root| {
            root.remove("etc/NIXOS_LUSTRATE");
            root.directory("etc/NIXOS_LUSTRATE", 0o755);
            Ok(())
        },
        expect: Expect::Refuses(&["NIXOS_LUSTRATE"]),
        ..Case::TYPICAL
    },
    Case {
        name: "marker-is-a-device",
        build: |root| {
            root.remove("etc/NIXOS_LUSTRATE");
            root.char_device("etc/NIXOS_LUSTRATE", 1, 5);
            Ok(())
        },
        expect: Expect::Refuses(&["NIXOS_LUSTRATE"]),
        ..Case::TYPICAL
    },
    Case {
        name: "read-only",
        seal: |root| {
            let flags = libc::MS_REMOUNT | libc::MS_RDONLY;
            sys::mount(Path::new("none"), root.path, "", flags, "").expect("a remount");
            Ok(())
        },
        expect: Expect::Refuses(&["read-only"]),
        ..Case::TYPICAL
    },
    Case {
        name: "read-only-bind-mount",
        seal: |root| {
            let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
            sys::mount(Path::new("none"), root.path, "", flags, "").expect("a remount");
            Ok(())
        },
        expect: Expect::Refuses(&["read-only"]),
        ..Case::TYPICAL
    },
    Case {
        name: "no-marker",
        build: |root| {
            root.remove("etc/NIXOS_LUSTRATE");
            Ok(())
        },
        expect: Expect::NothingToDo,
        ..Case::TYPICAL
    },
];
