//! What `check` calls a blocker is about real things: each that can be staged is
//! staged, `check` says so, and with the blocker overridden the boot fails in the
//! way that `check` foretold.

use std::path::{Path, PathBuf};

use crate::common::compare::{Excuse, assert_none};
use crate::common::isolation;
use crate::common::text::says;
use crate::computer::{At, Computer};
use crate::debian::{BOOT_UUID, Variant};
use crate::golden::{assert_debian_is_well, put};
use crate::lab::stage1::Wiring;
use crate::rescue;
use crate::system::Built;

/// No file system has it.
const NOWHERE: &str = "0bad0bad-0000-4000-8000-000000000000";
const NO_DEVICE: &str = "/dev/disk/by-uuid/0bad0bad-0000-4000-8000-000000000000";

/// A mistake in a configuration, and what `check` has to say about it.
struct Mistake {
    make: fn(&mut Built),
    says: &'static [&'static str],
    then: fn(&Computer, &Path),
}

const MISTAKES: [Mistake; 4] = [
    Mistake {
        make: |system| {
            NOWHERE.clone_into(&mut system.root_uuid);
            system.stage1.layout.root = NO_DEVICE;
        },
        says: &["blocker fstab-root", NOWHERE],
        then: waits_in_vain,
    },
    Mistake {
        make: |system| {
            system.stage1.wiring = Wiring::None;
            system.module = false;
        },
        says: &["blocker initrd-lustrates", "/etc/NIXOS_LUSTRATE would be ignored"],
        then: mixes_the_two,
    },
    Mistake {
        make: |system| system.without = Some("init"),
        says: &["blocker profile-complete", "init"],
        then: finds_no_init,
    },
    Mistake {
        make: |system| NOWHERE.clone_into(&mut system.boot_uuid),
        says: &["blocker fstab-boot", BOOT_UUID],
        then: has_no_boot,
    },
];

#[test]
fn what_would_go_wrong_is_foretold() {
    let store = isolation::new_directory();
    let build = |mistake: &Mistake| {
        let mut system = Built::new(Variant::Bios);
        (mistake.make)(&mut system);
        system.build(&store)
    };
    let tops: Vec<PathBuf> = MISTAKES.iter().map(build).collect();
    let right = Built::new(Variant::Bios).build(&store);
    let computer = Computer::with_debian(Variant::Bios);
    put(&computer, &store);
    let mut session = computer.boot(At::Debian);
    for (mistake, top) in MISTAKES.iter().zip(&tops) {
        let command = format!("nixos-lustrate check --system {}", top.display());
        let (status, said) = session.try_run(&command);
        assert_eq!(status, 3, "{said}");
        assert_says(&said, mistake.says);
    }
    // Not a mistake in the configuration: something in the root is in the way.
    session.run("echo mine >/old-root.tmp");
    let (status, said) = session.try_run("nixos-lustrate check");
    assert_eq!(status, 3, "{said}");
    assert_says(&said, &["blocker plan", "/old-root.tmp"]);
    session.run("rm /old-root.tmp");
    // As the manual has it, and whoever does not ask.
    session.run("touch /etc/NIXOS /etc/NIXOS_LUSTRATE");
    session.ends("poweroff");
    for (mistake, top) in MISTAKES.iter().zip(&tops) {
        (mistake.then)(&computer.copy(), top);
    }
    computer.disk.write("old-root.tmp", "mine\n");
    refuses(&computer, &right);
}

fn waits_in_vain(computer: &Computer, top: &Path) {
    let before = computer.manifest();
    let word = "systemd.default_device_timeout_sec=10";
    let mut session = rescue::start_system(computer, top, word);
    session.expect(At::Stopped);
    let console = session.cut_power();
    assert_says(&console, &["Timed out waiting for device"]);
    let differences = before.diff(&computer.manifest(), &Excuse::none());
    assert_none("the disk was touched", &differences);
}

fn mixes_the_two(computer: &Computer, top: &Path) {
    let mut session = rescue::start_system(computer, top, "");
    session.expect(At::Nixos);
    // It is NixOS, and the files of Debian are all around it.
    session.run("test -e /usr/bin/apt && test -e /etc/NIXOS_LUSTRATE && test ! -e /old-root");
    session.ends("shutdown");
}

fn finds_no_init(computer: &Computer, top: &Path) {
    let mut session = rescue::start_system(computer, top, "");
    session.expect(At::Stopped);
    session.cut_power();
}

fn has_no_boot(computer: &Computer, top: &Path) {
    let mut session = rescue::start_system(computer, top, "");
    session.expect(At::Nixos);
    // The next rebuild would write its kernel where no boot loader looks.
    session.run("! grep -q ' /boot ' /proc/mounts");
    session.ends("shutdown");
}

fn refuses(computer: &Computer, top: &Path) {
    let before = computer.manifest();
    let mut session = rescue::start_system(computer, top, "");
    session.expect(At::Stopped);
    let console = session.cut_power();
    assert_says(&console, &["/old-root.tmp", "That name is needed", "Nothing was touched"]);
    let differences = before.diff(&computer.manifest(), &Excuse::none());
    assert_none("the disk was touched", &differences);
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(says(text, part), "no {part:?} in\n{text}");
    }
}

#[test]
fn what_the_installer_cannot_do_is_taken_back() {
    let store = isolation::new_directory();
    // check cannot know what an installer will do; prepare looks afterwards.
    let mut idle = Built::new(Variant::Bios);
    idle.installs = false;
    let idle = idle.build(&store);
    Built::new(Variant::Bios).build(&store);
    let computer = Computer::with_debian(Variant::Bios);
    put(&computer, &store);
    let mut session = computer.boot(At::Debian);
    let command = format!("nixos-lustrate prepare --yes --system {}", idle.display());
    let (status, said) = session.try_run(&command);
    assert_eq!(status, 1, "{said}");
    assert_says(&said, &["nothing below /boot names init=", "Everything was put back"]);

    session.run("fallocate -l 150M /boot/large");
    let (status, said) = session.try_run("nixos-lustrate check");
    assert_eq!(status, 3, "{said}");
    assert_says(&said, &["blocker boot-room"]);
    let (status, said) = session.try_run("nixos-lustrate prepare --yes --despite boot-room");
    assert_eq!(status, 1, "{said}");
    assert_says(&said, &["No space left", "Everything was put back"]);

    session.run("test ! -e /etc/NIXOS && test ! -e /etc/NIXOS_LUSTRATE");
    session.ends("reboot");
    // Its boot loader is its own again.
    let mut session = computer.boot(At::Debian);
    assert_debian_is_well(&mut session);
    session.ends("poweroff");
}
