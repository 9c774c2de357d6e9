//! What `check` calls a blocker is about real things: each that can be staged is
//! staged, `check` says so, and with the blocker overridden the boot fails in the
//! way that `check` foretold.

use crate::computer::{At, Computer};
use crate::debian::Variant;
use crate::golden::{assert_debian_is_well, debian_with};
use crate::lab::stage1::Wiring;
use crate::system::Built;

/// Debian with this system, and what `check` says about it.
fn staged(break_it: impl FnOnce(&mut Built)) -> (Computer, String, crate::computer::Session) {
    let mut system = Built::new(Variant::Bios);
    break_it(&mut system);
    let computer = debian_with(&system);
    let mut session = computer.boot(At::Debian);
    let (status, said) = session.try_run("nixos-lustrate check");
    assert_eq!(status, 3, "{said}");
    (computer, said, session)
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(flat.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn a_root_that_is_not_there_is_waited_for_in_vain() {
    let other = "0bad0bad-0000-4000-8000-000000000000";
    let (computer, said, mut session) = staged(|system| {
        system.root_uuid = other.to_owned();
        system.stage1.layout.root = "/dev/disk/by-uuid/0bad0bad-0000-4000-8000-000000000000";
    });
    assert_says(&said, &["blocker fstab-root", other]);
    let (status, said) = session.try_run("nixos-lustrate prepare --yes");
    assert_eq!(status, 3, "{said}");
    session.run("nixos-lustrate prepare --yes --despite fstab-root");
    session.ends("reboot");
    let before = computer.manifest();
    let session = computer.start();
    assert!(session.wait_for("Timed out waiting for device", BOOT), "{}", session.console());
    session.watch(std::time::Duration::from_secs(1));
    session.cut_power();
    assert_untouched(&before, &computer);
}

#[test]
fn a_systemd_initrd_without_the_module_mixes_the_two() {
    let (computer, said, mut session) = staged(|system| {
        system.stage1.wiring = Wiring::None;
        system.module = false;
    });
    assert_says(&said, &["blocker initrd-lustrates", "/etc/NIXOS_LUSTRATE would be ignored"]);
    session.run("nixos-lustrate prepare --yes --despite initrd-lustrates");
    session.ends("reboot");
    let mut session = computer.boot(At::Nixos);
    // It is NixOS, and the files of Debian are all around it.
    session.run("test -e /usr/bin/apt && test -e /etc/NIXOS_LUSTRATE && test ! -e /old-root");
    session.ends("shutdown");
}

#[test]
fn an_installer_that_does_nothing_is_found_out() {
    // check cannot know what an installer will do; prepare looks afterwards.
    let mut system = Built::new(Variant::Bios);
    system.installs = false;
    let computer = debian_with(&system);
    let mut session = computer.boot(At::Debian);
    session.run("nixos-lustrate check");
    let (status, said) = session.try_run("nixos-lustrate prepare --yes");
    assert_eq!(status, 2, "{said}");
    session.run("test ! -e /etc/NIXOS_LUSTRATE");
    session.ends("reboot");
    let mut session = computer.boot(At::Debian);
    assert_debian_is_well(&mut session);
    session.ends("poweroff");
}

#[test]
fn a_full_boot_stops_the_installer_and_debian_boots() {
    let system = Built::new(Variant::Bios);
    let computer = debian_with(&system);
    let mut session = computer.boot(At::Debian);
    session.run("fallocate -l 150M /boot/large");
    let (status, said) = session.try_run("nixos-lustrate check");
    assert_eq!(status, 3, "{said}");
    assert_says(&said, &["blocker boot-room"]);
    let (status, said) = session.try_run("nixos-lustrate prepare --yes --despite boot-room");
    assert_eq!(status, 2, "{said}");
    assert_says(&said, &["No space left"]);
    session.ends("reboot");
    let mut session = computer.boot(At::Debian);
    assert_debian_is_well(&mut session);
    session.ends("poweroff");
}

const BOOT: std::time::Duration = std::time::Duration::from_secs(180);

#[track_caller]
fn assert_untouched(before: &crate::common::manifest::Manifest, computer: &Computer) {
    let none = crate::common::compare::Excuse::none();
    let differences = before.diff(&computer.manifest(), &none);
    crate::common::compare::assert_none("the disk was touched", &differences);
}
