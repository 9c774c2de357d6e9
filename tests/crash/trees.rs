//! The trees that are interrupted: every kind of keeper, of flags and of older
//! root that an exchange has a step for.

use crate::common::manifest::{APPEND, IMMUTABLE};
use crate::common::trees::case::OldRoot;
use crate::common::trees::{self, Built, Case, Outcome, Root, Start, typical};

/// A tree, and what moves in it.
#[derive(Debug)]
pub struct Crash {
    pub case: Case,
    pub outcome: Outcome,
    /// Never changed, not even by a revert.
    pub protected: &'static [&'static [u8]],
}

/// Small, but a root.
fn plain(root: &Root<'_>, keep: &[u8]) {
    typical::bare(root, keep);
    root.mode("", 0o755);
    root.file("etc/hostname", "machine\n");
}

/// An old root as the stock function leaves one.
fn older(root: &Root<'_>) {
    root.file("old-root/etc/os-release", "ID=arch\n");
    root.file("old-root/etc/NIXOS_LUSTRATE", "home\n");
    root.file("old-root/home/alice/letter", "older");
}

fn flagged(root: &Root<'_>) -> Built {
    root.flags("locked", IMMUTABLE)?;
    root.flags("locked.d", IMMUTABLE | APPEND)?;
    root.flags("srv/log/journal", IMMUTABLE)?;
    root.flags("srv/log", APPEND)
}

/// Keepers of every kind, flags on entries and below, and an older old root.
pub static KEEPERS: Crash = Crash {
    case: Case {
        name: "keepers",
        keep: b"home\nhome/alice/letter\netc/nixos\nvar/lib/app\nvar/lib/app/data\n\
            usr/share/zoneinfo/Europe/Berlin\nbin/su\nsrv/log/journal\nno/such\n",
        build: |root| {
            older(root);
            root.file("locked", "locked");
            root.file("locked.d/file", "locked");
            root.file("srv/log/journal", "line\n");
            Ok(())
        },
        seal: flagged,
        ..Case::TYPICAL
    },
    outcome: Outcome {
        keepers: &[
            b"home",
            b"etc/nixos",
            b"var/lib/app",
            b"usr/share/zoneinfo/Europe/Berlin",
            b"usr/bin/su",
            b"srv/log/journal",
        ],
        links: &[b"bin"],
        old_root: OldRoot::Dated,
        ..Outcome::NOTHING_KEPT
    },
    protected: &[b"nix", b"boot"],
};

/// An immutable root, and boot files that a revert brings back.
pub static IMMUTABLE_ROOT: Crash = Crash {
    case: Case {
        name: "immutable root, boot.bak",
        base: plain,
        keep: b"var/lib/app\n",
        build: |root| {
            root.file("boot/nixos", "kernel of NixOS");
            root.file("boot.bak/vmlinuz", "old kernel");
            root.file("usr/bin/sh", "sh");
            root.file("var/lib/app/data", "data");
            root.file("locked", "locked");
            Ok(())
        },
        seal: |root| {
            root.flags("locked", IMMUTABLE)?;
            root.flags("", IMMUTABLE | APPEND)
        },
        ..Case::TYPICAL
    },
    outcome: Outcome { keepers: &[b"var/lib/app"], ..Outcome::NOTHING_KEPT },
    protected: &[b"nix"],
};

/// The whole of etc is kept.
pub static KEPT_ETC: Crash = Crash {
    case: Case {
        name: "etc kept",
        base: plain,
        keep: b"etc\nusr/share/app\n",
        build: |root| {
            older(root);
            root.file("usr/bin/sh", "sh");
            root.file("usr/share/app/data", "data");
            Ok(())
        },
        ..Case::TYPICAL
    },
    outcome: Outcome {
        keepers: &[b"etc", b"usr/share/app"],
        old_root: OldRoot::Dated,
        ..Outcome::NOTHING_KEPT
    },
    protected: &[b"nix", b"boot"],
};

/// As little as has every kind of step, to fail each call in many ways.
pub static SMALL: Crash = Crash {
    case: Case {
        name: "small",
        base: plain,
        keep: b"bin/su\nvar/lib/app\n",
        build: |root| {
            root.file("boot/vmlinuz", "kernel");
            older(root);
            root.file("locked", "locked");
            root.file("usr/bin/su", "su");
            root.link("bin", "usr/bin");
            root.directory("var", 0o755);
            root.xattr("var", "user.origin", b"by hand");
            root.file("var/lib/app/data", "data");
            Ok(())
        },
        seal: |root| root.flags("locked", IMMUTABLE),
        ..Case::TYPICAL
    },
    outcome: Outcome {
        keepers: &[b"usr/bin/su", b"var/lib/app"],
        links: &[b"bin"],
        old_root: OldRoot::Dated,
        ..Outcome::NOTHING_KEPT
    },
    protected: &[b"nix", b"boot"],
};

/// What an interrupted lustration by NixOS's stock function has left.
pub static TAKEN_OVER: Crash = Crash {
    case: Case {
        name: "taken over",
        build: |root| (trees::named("stock-stopped-after-etc").build)(root),
        ..Case::TYPICAL
    },
    outcome: Outcome { start: Start::Interrupted, ..Outcome::TYPICAL },
    protected: &[b"nix", b"boot"],
};
