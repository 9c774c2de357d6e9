//! The stations that several scenarios begin from, each come to once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::common::isolation;
use crate::common::manifest::Manifest;
use crate::common::text::says;
use crate::computer::{At, Computer};
use crate::debian::Variant;
use crate::lab::check;
use crate::lab::host::output;
use crate::system::{Built, program};

/// Debian with the built system in its store and the program at hand.
fn debian_with(system: &Built) -> Computer {
    let computer = Computer::with_debian(system.variant);
    let store = isolation::new_directory();
    system.build(&store);
    put(&computer, &store);
    fs::remove_dir_all(store).expect("the store is on the disk");
    computer
}

/// Puts a store and the program onto the disk.
pub fn put(computer: &Computer, store: &Path) {
    computer.disk.mounted(|root| {
        output(Command::new("cp").arg("-a").arg(store.join("nix")).arg(root));
        let place = root.join("usr/local/bin/nixos-lustrate");
        fs::write(&place, program()).expect("the program");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("its mode");
    });
}

/// The same, with a system that is as it should be.
pub fn debian(variant: Variant) -> Computer {
    static BIOS: OnceLock<Computer> = OnceLock::new();
    static UEFI: OnceLock<Computer> = OnceLock::new();
    let station = match variant {
        Variant::Bios => &BIOS,
        Variant::Uefi => &UEFI,
    };
    station.get_or_init(|| debian_with(&Built::new(variant))).copy()
}

/// A computer that was prepared, and what its root held when Debian had stopped.
pub struct Prepared {
    pub computer: Computer,
    pub before: Manifest,
    /// What the console showed, from the first boot.
    pub console: String,
}

/// Debian has been running, was checked and prepared, and was told to reboot.
pub fn prepared(variant: Variant) -> &'static Prepared {
    static BIOS: OnceLock<Prepared> = OnceLock::new();
    static UEFI: OnceLock<Prepared> = OnceLock::new();
    let station = match variant {
        Variant::Bios => &BIOS,
        Variant::Uefi => &UEFI,
    };
    station.get_or_init(|| {
        let computer = debian(variant);
        let mut session = computer.boot(At::Debian);
        assert_debian_is_well(&mut session);
        let said = session.run("nixos-lustrate check");
        assert!(!said.contains('\u{1b}'), "a dumb terminal was given escape sequences: {said}");
        assert!(!says(&said, "blocker "), "{said}");
        session.run("nixos-lustrate prepare --yes");
        let console = session.ends("reboot");
        let before = computer.manifest();
        Prepared { computer, before, console }
    })
}

/// A computer that has been lustrated, and is off after the first boot of NixOS.
pub struct Lustrated {
    pub computer: Computer,
    pub before: Manifest,
    pub console: String,
}

/// What was prepared has booted.
pub fn lustrated(variant: Variant) -> &'static Lustrated {
    static BIOS: OnceLock<Lustrated> = OnceLock::new();
    static UEFI: OnceLock<Lustrated> = OnceLock::new();
    let station = match variant {
        Variant::Bios => &BIOS,
        Variant::Uefi => &UEFI,
    };
    station.get_or_init(|| {
        let prepared = prepared(variant);
        let computer = prepared.computer.copy();
        let mut session = computer.boot(At::Nixos);
        let said = session.run("nixos-lustrate status");
        assert!(says(&said, "Debian GNU/Linux 12"), "{said}");
        session.run("nixos-lustrate purge --keep 1 --yes");
        let console = session.ends("shutdown");
        Lustrated { computer, before: prepared.before.clone(), console }
    })
}

/// The whole Debian is in `/old-root`, what was kept is where it was, and all that
/// is new is what this NixOS makes.
#[track_caller]
pub fn assert_lustrated(before: &Manifest, after: &Manifest, keepers: &[&[u8]]) {
    let stage_2 = ["etc/fstab", "etc/machine-id", "etc/passwd", "etc/ssh", "var/log/boots"];
    check::assert_lustrated_by(before, after, keepers, &stage_2);
}

/// All services of Debian run.
#[track_caller]
pub fn assert_debian_is_well(session: &mut crate::computer::Session) {
    let state = session.run("systemctl is-system-running --wait");
    assert_eq!(state.trim(), "running", "{}", session.run("systemctl --failed --no-pager"));
    for service in ["ssh", "cron", "writer", "systemd-journald"] {
        let state = session.run(&format!("systemctl is-active {service}"));
        assert_eq!(state.trim(), "active", "{service}");
    }
}
