//! What the stock function of NixOS leaves: interrupted, it leaves a part of
//! the root in `old-root.tmp`; finished, copies of the keepers and no record.
//! It moves what the shell's `/*` names, in that order, dotfiles not.

use std::process::Command;

use super::case::{Case, Expect, Outcome, Start};
use super::root::Root;

/// Moves entries to `staging` as the stock function does, until `stop` says so.
fn displace(root: &Root<'_>, staging: &str, stop: fn(usize, &str) -> bool) {
    root.directory(staging, 0o755);
    let names = std::fs::read_dir(root.path).expect("the entries");
    let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("an entry").file_name();
    let mut names = names.map(name).filter_map(|n| n.into_string().ok()).collect::<Vec<_>>();
    names.sort();
    let stays = |n: &str| n.starts_with('.') || ["nix", "boot", staging].contains(&n);
    for (n, name) in names.iter().filter(|n| !stays(n)).enumerate() {
        if stop(n, name) {
            return;
        }
        root.rename(name, format!("{staging}/{name}"));
    }
}

/// Copies keepers back as the stock function does.
fn copy_keepers(root: &Root<'_>, keepers: &[&str]) {
    root.file("etc/NIXOS", "");
    for keeper in keepers {
        let (from, to) = (root.at(format!("old-root/{keeper}")), root.at(keeper));
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("parents");
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(copied.expect("cp runs").success(), "cp -a {keeper}");
    }
}

const INTERRUPTED: Expect =
    Expect::Lustrates(Outcome { start: Start::Interrupted, ..Outcome::TYPICAL });

pub const CASES: &[Case] = &[
    Case {
        name: "stock-stopped-before-etc",
        build: |root| {
            displace(root, "old-root.tmp", |_, name| name == "etc");
            Ok(())
        },
        expect: INTERRUPTED,
        ..Case::TYPICAL
    },
    Case {
        name: "stock-stopped-at-once",
        build: |root| {
            root.directory("old-root.tmp", 0o755);
            Ok(())
        },
        expect: INTERRUPTED,
        ..Case::TYPICAL
    },
    Case {
        name: "stock-stopped-after-etc",
        build: |root| {
            displace(root, "old-root.tmp", |_, name| name == "home");
            Ok(())
        },
        expect: INTERRUPTED,
        ..Case::TYPICAL
    },
    Case {
        name: "stock-stopped-before-its-rename",
        build: |root| {
            root.file(".dotfile", "");
            displace(root, "old-root.tmp", |_, _| false);
            Ok(())
        },
        expect: INTERRUPTED,
        ..Case::TYPICAL
    },
    Case {
        name: "stock-stopped-beside-a-foreign-nixos-root.tmp",
        build: |root| {
            displace(root, "old-root.tmp", |_, name| name == "etc");
            root.file("nixos-root.tmp/usr/notes", "mine");
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            start: Start::Interrupted,
            left: &[b"nixos-root.tmp"],
            ..Outcome::TYPICAL
        }),
        ..Case::TYPICAL
    },
    // The next boot went on without the marker, and NixOS made itself at home.
    Case {
        name: "stock-stopped-after-etc-then-nixos",
        build: |root| {
            displace(root, "old-root.tmp", |_, name| name == "home");
            root.file("etc/NIXOS", "");
            root.link("etc/os-release", "/etc/static/os-release");
            root.link("etc/static", "/nix/store/etc");
            root.file("etc/machine-id", "0\n");
            root.link("bin/sh", "/nix/store/bash/bin/sh");
            Ok(())
        },
        expect: Expect::Refuses(&["NixOS has used it since", "old copies"]),
        ..Case::TYPICAL
    },
    Case {
        name: "stock-stopped-after-its-rename",
        build: |root| {
            displace(root, "old-root", |_, _| false);
            Ok(())
        },
        expect: Expect::NothingToDo,
        ..Case::TYPICAL
    },
    Case {
        name: "stock-stopped-while-copying-keepers",
        build: |root| {
            displace(root, "old-root", |_, _| false);
            copy_keepers(root, &["etc/nixos"]);
            root.file("home/alice/.half", "");
            Ok(())
        },
        expect: Expect::NothingToDo,
        ..Case::TYPICAL
    },
    Case {
        name: "stock-finished",
        build: |root| {
            displace(root, "old-root", |_, _| false);
            let keepers =
                ["etc/nixos", "etc/ssh/ssh_host_ed25519_key", "home", "root/.ssh", "var/lib/app"];
            copy_keepers(root, &keepers);
            Ok(())
        },
        expect: Expect::NothingToDo,
        ..Case::TYPICAL
    },
];
