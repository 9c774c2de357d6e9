//! And back: each way to revert gives Debian back, whole, and it boots.

use std::process::Command;

use super::story::KEPT;
use crate::common::compare::{Excuse, assert_none};
use crate::common::isolation;
use crate::common::manifest::Manifest;
use crate::common::text::says;
use crate::computer::{At, Computer};
use crate::debian::{self, Variant};
use crate::golden::{assert_debian_is_well, lustrated, prepared};
use crate::lab::check::assert_reverted;
use crate::lab::drive::Path;
use crate::lab::host::output;
use crate::rescue;
use crate::system::program;
use crate::transcript;

/// What a Debian that runs writes: below these, anything.
const RUNNING: [&[u8]; 5] =
    [b"var/log", b"var/lib/systemd", b"var/lib/writer", b"root/.bash_history", b"tmp"];
/// Files and directories that it touches.
const TOUCHED: [&[u8]; 6] = [b"", b"etc", b"root", b"var/tmp", b"var/lib", b"var/cache"];

#[test]
fn a_revert_from_a_rescue_initrd_and_the_guard() {
    let (computer, before) = start();
    let reverting = revert_in_rescue(&computer);
    assert_reverted(&before, &computer.manifest(), &KEPT);

    // The boot loader still starts NixOS, which must leave this root alone.
    let reverted = computer.manifest();
    let session = computer.boot(At::Stopped);
    let guard = session.cut_power();
    for text in ["Debian GNU/Linux", "lustrate=off"] {
        assert!(says(&guard, text), "no {text:?} on the console\n{guard}");
    }
    assert_none("the guard", &reverted.diff(&computer.manifest(), &Excuse::none()));

    let cancelling = cancel_in_rescue(&computer);
    let debian = assert_debian_is_back(&computer, &before);
    let there = [&prepared(Variant::Bios).console, &lustrated(Variant::Bios).console];
    let back = [&reverting, &guard, &cancelling, &debian];
    let all: Vec<&str> = there.into_iter().chain(back).map(String::as_str).collect();
    transcript::hold(&all);
}

#[test]
fn a_revert_by_the_kernel_parameter() {
    let (computer, before) = start();
    let console = rescue::start_nixos(&computer, "lustrate=revert", Path::Plain).goes_off();
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
    let after = computer.manifest();
    let first = before.get(b"nixos-root").expect("the NixOS of the first time").id;
    let mut aside = after.children(b"");
    aside.retain(|name| name.starts_with(b"nixos-root"));
    // What the first revert set aside is dated now.
    assert!(aside.iter().any(|name| after.get(name).is_some_and(|node| node.id == first)));
    assert_eq!(aside.len(), 2);
    assert_reverted(&before.without(b"nixos-root"), &after, &KEPT);
    for (path, text) in [("home/carol/file", "mine\n"), ("var/lib/state", "state\n")] {
        assert_eq!(computer.disk.read(&format!("nixos-root/{path}")).as_deref(), Some(text));
    }
}

/// Brings the old population back, in a rescue system; the console.
#[track_caller]
pub fn revert_in_rescue(computer: &Computer) -> String {
    let mut session = rescue::start(computer);
    session.run("mount /dev/vda2 /mnt");
    session.run("nixos-lustrate revert --root /mnt");
    session.run("umount /mnt");
    session.ends("poweroff -f")
}

/// Takes back what `prepare` did, in a rescue system; the console.
#[track_caller]
pub fn cancel_in_rescue(computer: &Computer) -> String {
    let boot = match computer.variant {
        Variant::Bios => "/mnt/boot",
        Variant::Uefi => "/mnt/boot/efi",
    };
    let mut session = rescue::start(computer);
    session.run("mount /dev/vda2 /mnt");
    session.run(&format!("mount /dev/vda1 {boot}"));
    session.run("nixos-lustrate cancel --yes --root /mnt");
    session.run(&format!("umount {boot} /mnt"));
    session.ends("poweroff -f")
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
pub fn assert_debian_is_back(computer: &Computer, before: &Manifest) -> String {
    let mut session = computer.boot(At::Debian);
    assert_debian_is_well(&mut session);
    let console = session.ends("poweroff");
    let after = computer.manifest();
    let excuse = RUNNING.iter().fold(Excuse::none(), |excuse, path| excuse.below(path));
    let excuse = TOUCHED.iter().fold(excuse, |excuse, path| excuse.touched(path));
    // A keeper that came and went is an entry that came and went.
    let excuse = excuse.parents_of(&KEPT);
    // A /boot that is no mount point is the copy that was made of it.
    let boot: &[u8] = if computer.variant == Variant::Bios { b"boot.bak" } else { b"boot" };
    let ours: [&[u8]; 6] =
        [b"nix", b"nixos-root", b"etc/NIXOS", b"etc/NIXOS_LUSTRATE", b"boot.bak", boot];
    let excuse = ours.iter().fold(excuse, |excuse, path| excuse.below(path));
    assert_none("Debian is not what it was", &before.diff(&after, &excuse));
    console
}
