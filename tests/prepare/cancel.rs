//! `cancel` when it is too late, when something is missing, and after a revert.

use std::fs;
use std::path::Path;

use crate::common::command::{arguments, lustrate, on};
use crate::common::compare::Excuse;
use crate::common::strace::{self, Call, Fault};
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, GRUB, Machine, SYSTEMD_BOOT, assert_same};

#[test]
fn a_lustration_that_is_done_is_not_cancelled() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    on("run", machine.path()).expect(0);
    let before = machine.manifest();
    machine.cancel().expect(3).says(&["has been lustrated", "nixos-lustrate revert"]);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

#[test]
fn a_lustration_that_has_begun_is_not_cancelled() {
    require_root!();
    or_skip!(strace::available());
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    let call = Call { name: "renameat2".into(), nth: 8, line: String::new() };
    let run = arguments("run", machine.path(), &[]);
    assert!(strace::run_with(Fault::Kill, &call, run).was_killed());
    let before = machine.manifest();
    machine.cancel().expect(3).says(&["has begun and is not done"]);
    machine.prepare(&[]).expect(3).says(&["has begun and is not done"]);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

fn moved(from: &Path, to: &Path) {
    let mut mount = std::process::Command::new("mount");
    mount.arg("--move").arg(from).arg(to);
    crate::common::command::run_limited(&mut mount, crate::common::command::LIMIT).expect(0);
}

#[test]
fn after_a_revert_the_rest_can_be_cancelled() {
    require_root!();
    for boot in [Boot::Directory, Boot::Mount, Boot::Esp] {
        let installer = if boot == Boot::Esp { SYSTEMD_BOOT } else { GRUB };
        let machine = or_skip!(Machine::new(boot, installer));
        let boot_before = crate::common::manifest::Manifest::of(machine.at("boot"));
        machine.prepare(&[]).expect(0);
        // In an initrd /boot is not mounted.
        let aside = crate::common::isolation::new_directory();
        if boot != Boot::Directory {
            moved(&machine.at("boot"), &aside);
        }
        on("run", machine.path()).expect(0);
        on("revert", machine.path()).expect(0);
        if boot != Boot::Directory {
            moved(&aside, &machine.at("boot"));
        }
        let said = machine.cancel().expect(0).out();
        let boot_after = crate::common::manifest::Manifest::of(machine.at("boot"));
        for (path, node) in boot_before.nodes.iter().filter(|(_, node)| node.content.is_some()) {
            let after = boot_after.get(path).unwrap_or_else(|| panic!("no {path:?}: {said}"));
            assert_eq!((node.content, node.mode), (after.content, after.mode));
        }
        assert_eq!(boot_before.nodes.len(), boot_after.nodes.len(), "{said}");
        assert!(!machine.exists("etc/NIXOS"));
        assert!(!machine.exists("nix/var/nixos-lustrate"));
        assert_eq!(machine.mode("etc/ssh/ssh_host_ed25519_key"), 0o640);
        // What NixOS had is not removed behind one's back.
        assert_eq!(machine.exists("boot.bak"), boot == Boot::Directory);
        assert_eq!(says(&said, "It can be removed: rm -r"), boot == Boot::Directory);
    }
}

#[test]
fn without_its_mounts_nothing_is_taken_for_boot_files() {
    require_root!();
    for (boot, point) in [(Boot::Mount, "boot"), (Boot::Nested, "boot/efi")] {
        let machine = or_skip!(Machine::new(boot, GRUB));
        let before = machine.manifest();
        machine.prepare(&[]).expect(0);
        let place = machine.at(point);
        let aside = machine.at("mnt");
        fs::create_dir(&aside).expect("a directory");
        moved(&place, &aside);
        machine.cancel().expect(3).says(&["was a mount point when the boot files were saved"]);
        moved(&aside, &place);
        fs::remove_dir(&aside).expect("the directory");
        machine.cancel().expect(0);
        assert_same(&before, &machine.manifest(), &Excuse::none());
    }
}

#[test]
fn without_what_was_saved_the_marker_stays() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    machine.tree().rename("boot.bak", "elsewhere");
    machine.cancel().expect(1).says(&["cannot be put back", "boot.bak is missing or damaged"]);
    assert!(machine.exists("etc/NIXOS_LUSTRATE"), "NixOS can still be booted");
    machine.tree().rename("elsewhere", "boot.bak");
    machine.cancel().expect(0);
    assert!(machine.read("boot/grub/grub.cfg").contains("Debian"));
}

#[test]
fn a_damaged_copy_is_not_put_back() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    let cfg = machine.read("boot.bak/grub/grub.cfg");
    machine.tree().file("boot.bak/grub/grub.cfg", "damaged");
    machine.cancel().expect(1).says(&["grub/grub.cfg cannot be put back"]);
    assert!(machine.read("boot/grub/grub.cfg").contains("init="), "half a configuration is none");
    assert!(machine.exists("etc/NIXOS_LUSTRATE"));
    machine.tree().file("boot.bak/grub/grub.cfg", &cfg);
    machine.cancel().expect(0);
    assert_eq!(machine.read("boot/grub/grub.cfg"), cfg);
}

#[test]
fn while_something_names_nixos_the_marker_stays() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    // Somebody else has changed it since, and it still boots NixOS.
    let mut cfg = machine.read("boot/grub/grub.cfg");
    cfg.push_str("# by hand\n");
    machine.tree().file("boot/grub/grub.cfg", &cfg);
    machine.cancel().expect(1).says(&["still names NixOS, so that the marker has to stay"]);
    assert!(machine.exists("etc/NIXOS_LUSTRATE") && machine.exists("etc/NIXOS"));
    machine.tree().file("boot/grub/grub.cfg", "menuentry 'Debian' {\n}\n");
    machine.cancel().expect(0);
    assert_eq!(machine.read("boot/grub/grub.cfg"), "menuentry 'Debian' {\n}\n");
    assert!(!machine.exists("etc/NIXOS_LUSTRATE"));
}

/// With the last old root nothing is left that `cancel` could bring back, and the
/// copies of /boot are of no use.
#[test]
fn what_prepare_had_saved_goes_with_the_last_old_root() {
    require_root!();
    for boot in [Boot::Directory, Boot::Mount] {
        let machine = or_skip!(Machine::new(boot, GRUB));
        machine.prepare(&[]).expect(0);
        on("run", machine.path()).expect(0);
        let home = "nix/var/nixos-lustrate";
        // Not while an older one is there.
        fs::create_dir_all(machine.at("old-root-20240102T030405Z/etc")).expect("a directory");
        fs::write(machine.at("old-root-20240102T030405Z/etc/os-release"), "ID=arch\n")
            .expect("a file");
        let purge = |more: &[&str]| lustrate(arguments("purge", machine.path(), more));
        purge(&["--yes", "old-root"]).expect(0);
        assert!(machine.exists(home), "{boot:?}");
        let shown = purge(&["--dry-run"]).expect(0);
        assert!(says(&shown.out(), "what prepare had saved"), "{}", shown.out());
        purge(&["--yes"])
            .expect(0)
            .says(&[&format!("Removed {}/{home}: ", machine.path().display())]);
        assert!(!machine.exists(home), "{boot:?}");
        purge(&["--yes"]).expect(0).says(&["there is nothing to purge"]);
    }
}

/// The root is still the one that was prepared.
#[test]
fn what_prepare_has_saved_of_the_system_that_is_there_stays() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    let purge = lustrate(arguments("purge", machine.path(), &["--yes"]));
    purge.expect(0).says(&["there is nothing to purge"]);
    machine.cancel().expect(0);
}

/// A purge that was cut, or somebody's rm, has removed the old root itself.
#[test]
fn what_prepare_had_saved_of_a_system_that_is_gone_goes() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    on("run", machine.path()).expect(0);
    fs::remove_dir_all(machine.at("old-root")).expect("removed");
    lustrate(arguments("purge", machine.path(), &["--yes"])).expect(0);
    assert!(!machine.exists("nix/var/nixos-lustrate"));
}
