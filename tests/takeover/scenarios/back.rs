//! And back: each way to revert gives Debian back, whole, and it boots.

use std::process::Command;

use super::story::KEPT;
use crate::common::compare::{Excuse, assert_none};
use crate::common::isolation;
use crate::common::manifest::Manifest;
use crate::computer::{At, Computer};
use crate::debian::{self, Variant};
use crate::golden::{assert_debian_is_well, lustrated};
use crate::lab::check::assert_reverted;
use crate::lab::command::output;
use crate::rescue;
use crate::system::program;

/// What a Debian that runs writes: below these, anything.
const RUNNING: [&[u8]; 5] =
    [b"var/log", b"var/lib/systemd", b"var/lib/writer", b"var/lib/dbus", b"run"];
/// Files and directories that it touches.
const TOUCHED: [&[u8]; 6] = [b"", b"etc", b"tmp", b"var/tmp", b"var/lib", b"var/cache"];

#[test]
fn a_revert_from_a_rescue_initrd_and_the_guard() {
    let (computer, before) = start();
    let mut session = rescue::start(&computer);
    session.run("mount /dev/vda2 /mnt");
    session.run("nixos-lustrate revert --root /mnt");
    session.run("umount /mnt");
    session.ends("poweroff -f");
    assert_reverted(&before, &computer.manifest(), &KEPT);

    // The boot loader still starts NixOS, which must leave this root alone.
    let reverted = computer.manifest();
    let session = computer.boot(At::Stopped);
    let console = session.cut_power();
    for text in ["Debian GNU/Linux", "lustrate=off"] {
        assert!(console.contains(text), "no {text:?} on the console\n{console}");
    }
    assert_none("the guard", &reverted.diff(&computer.manifest(), &Excuse::none()));

    let mut session = rescue::start(&computer);
    session.run("mount /dev/vda2 /mnt && mount /dev/vda1 /mnt/boot");
    session.run("nixos-lustrate cancel --yes --root /mnt");
    session.run("umount /mnt/boot /mnt");
    session.ends("poweroff -f");
    assert_debian_is_back(&computer, &before);
}

#[test]
fn a_revert_by_the_kernel_parameter() {
    let (computer, before) = start();
    let console = rescue::start_nixos(&computer, "lustrate=revert").goes_off();
    assert!(console.contains("reboot: Restarting system"), "{console}");
    assert_reverted(&before, &computer.manifest(), &KEPT);
    by_hand(&computer, &["cancel", "--yes"]);
    assert_debian_is_back(&computer, &before);
}

#[test]
fn a_revert_by_hand_and_another_lustration() {
    let (computer, before) = start();
    by_hand(&computer, &["revert"]);
    assert_reverted(&before, &computer.manifest(), &KEPT);
    by_hand(&computer, &["cancel", "--yes"]);
    assert_debian_is_back(&computer, &before);

    // Once more, and this time NixOS is used before it is taken back.
    let mut session = computer.boot(At::Debian);
    session.run("nixos-lustrate prepare --yes");
    session.ends("reboot");
    let before = computer.manifest();
    let mut session = computer.boot(At::Nixos);
    session.run("mkdir -p /home/carol && echo mine >/home/carol/file");
    session.run("echo state >/var/lib/state");
    session.ends("shutdown");
    by_hand(&computer, &["revert"]);
    // The first revert set its NixOS aside, too.
    assert_reverted(&before, &computer.manifest(), &KEPT);
    let entries = computer.disk.entries();
    let newest = entries.iter().filter(|name| name.starts_with("nixos-root")).find_map(|name| {
        let file = computer.disk.read(&format!("{name}/home/carol/file"))?;
        Some((file, computer.disk.read(&format!("{name}/var/lib/state"))))
    });
    assert_eq!(newest, Some(("mine\n".to_owned(), Some("state\n".to_owned()))), "{entries:?}");
}

/// A computer that runs NixOS, switched off, and what it held before.
fn start() -> (Computer, Manifest) {
    let lustrated = lustrated(Variant::Bios);
    (lustrated.computer.copy(), lustrated.before.clone())
}

/// Runs the program here, on the disk mounted as a rescue system mounts it.
fn by_hand(computer: &Computer, arguments: &[&str]) {
    let place = isolation::new_directory();
    let path = place.join("nixos-lustrate");
    std::fs::write(&path, program()).expect("the program");
    output(Command::new("chmod").arg("+x").arg(&path));
    computer.disk.mounted(|root| {
        let options = format!("loop,{}", debian::first_partition());
        let boot = root.join("boot");
        output(Command::new("mount").args(["-o", &options]).arg(computer.disk.path()).arg(&boot));
        output(Command::new(&path).args(arguments).arg("--root").arg(root));
        output(Command::new("umount").arg(boot));
    });
    std::fs::remove_dir_all(place).expect("the program is no longer needed");
}

/// Debian boots from its own boot loader, all its services start, and its files
/// are what they were, but for what a running system writes.
#[track_caller]
fn assert_debian_is_back(computer: &Computer, before: &Manifest) {
    let mut session = computer.boot(At::Debian);
    assert_debian_is_well(&mut session);
    session.ends("poweroff");
    let after = computer.manifest();
    let excuse = RUNNING.iter().fold(Excuse::none(), |excuse, path| excuse.below(path));
    let excuse = TOUCHED.iter().fold(excuse, |excuse, path| excuse.touched(path));
    let ours: [&[u8]; 5] =
        [b"nix", b"nixos-root", b"etc/NIXOS", b"etc/NIXOS_LUSTRATE", b"boot.bak"];
    let excuse = ours.iter().fold(excuse, |excuse, path| excuse.below(path));
    assert_none("Debian is not what it was", &before.diff(&after, &excuse));
}
