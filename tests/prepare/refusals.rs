//! What is refused, with nothing touched: exit status 3, and a clear message.

use std::fs;

use crate::common::command::lustrate;
use crate::common::compare::Excuse;
use crate::common::nobody::{HERE, as_nobody};
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, GRUB, Machine, assert_same};

/// Nothing is touched, and each text is said.
#[track_caller]
fn refused(machine: &Machine, more: &[&str], parts: &[&str]) {
    let before = machine.manifest();
    machine.prepare(more).expect(3).says(parts);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

#[test]
fn a_dry_run_names_every_step_and_writes_nothing() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().own("nix/store", 1000, 1000);
    let before = machine.manifest();
    let said =
        lustrate(machine.arguments(&["--dry-run", "--keep", "etc/resolv.conf"])).expect(0).out();
    for step in [
        "to do      marker files /etc/NIXOS and /etc/NIXOS_LUSTRATE: write them; kept: etc/machine-id, ",
        "to do      owner of /nix: to root; /nix/store is user 1000's",
        "to do      plain /etc/resolv.conf: a copy instead of the link into /run",
        "to do      modes of the SSH host keys: 0600 for ssh_host_ed25519_key (0640)",
        "to do      boot files saved: /boot copied to /boot.bak",
        "to do      boot loader of NixOS: /nix/store/",
        "Moves to /old-root:",
        "nothing was written",
    ] {
        assert!(says(&said, step), "no {step:?} in {said}");
    }
    let after = machine.manifest();
    assert_same(&before, &after, &Excuse::none());
    assert_eq!(before[0].1, after[0].1, "not even a time");
}

#[test]
fn a_blocker_blocks_unless_it_is_named() {
    require_root!();
    let machine = or_skip!(Machine::bare(Boot::Directory));
    let mut system = crate::machine::system(GRUB);
    system = system.without("etc/fstab");
    system.place(machine.path());
    let before = machine.manifest();
    let mut arguments = machine.arguments(&["--yes"]);
    let ids: Vec<_> = arguments.iter().filter_map(|a| a.to_str()).map(str::to_owned).collect();
    let at = ids.iter().rposition(|a| a == "--despite").expect("a system without etc/fstab blocks");
    let id = ids[at + 1].clone();
    arguments.drain(at..at + 2);
    lustrate(&arguments).expect(3).says(&[&format!("If you know better: --despite {id}")]);
    arguments.extend(["--despite".into(), "no-such-check".into()]);
    lustrate(&arguments).expect(2).says(&["no-such-check"]);
    assert_same(&before, &machine.manifest(), &Excuse::none());
    machine.prepare(&[]).expect(0);
}

#[test]
fn without_a_terminal_it_has_to_be_told_yes() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let before = machine.manifest();
    lustrate(machine.arguments(&[]))
        .expect(3)
        .says(&["standard input is no terminal", "--dry-run, then add --yes"]);
    assert_same(&before, &machine.manifest(), &Excuse::none());
    machine.prepare(&[]).expect(0);
    let prepared = machine.manifest();
    let cancel = crate::common::command::arguments("cancel", machine.path(), &[]);
    // It has no --dry-run to name.
    lustrate(cancel).expect(3).says(&["standard input is no terminal", "is said above: add --yes"]);
    assert_same(&prepared, &machine.manifest(), &Excuse::none());
}

#[test]
fn prepare_and_cancel_need_root() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let before = machine.manifest();
    for verb in ["prepare", "cancel"] {
        let ended = or_skip!(as_nobody(machine.path(), &[verb, "--yes", "--root", HERE]));
        ended.expect(3).says(&[&format!("nixos-lustrate {verb} needs root"), "sudo"]);
    }
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

#[test]
fn a_boot_bak_of_somebody_elses_is_in_the_way() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("boot.bak/precious", "x");
    refused(&machine, &[], &["boot.bak is there, and nixos-lustrate did not make it", "mv "]);
    // A dry run finds what the real one would.
    let dry = lustrate(machine.arguments(&["--dry-run"]));
    dry.expect(3).says(&["boot.bak is there, and nixos-lustrate did not make it"]);
}

/// As a hardened fstab has it: found before the old boot loader is touched.
#[test]
fn a_place_that_is_mounted_read_only_is_refused() {
    require_root!();
    for (boot, at) in [(Boot::Mount, "boot"), (Boot::Esp, "boot"), (Boot::Nested, "boot/efi")] {
        let machine = or_skip!(Machine::new(boot, GRUB));
        let shown = machine.at(at);
        let remount = |how: &str| {
            let mut mount = std::process::Command::new("mount");
            mount.args(["-o", &format!("remount,{how}")]).arg(&shown);
            crate::common::command::run_limited(&mut mount, crate::common::command::LIMIT)
                .expect(0);
        };
        remount("ro");
        let found = format!("{} is mounted read-only", shown.display());
        refused(&machine, &[], &[&found, &format!("remount,rw {}", shown.display())]);
        lustrate(machine.arguments(&["--dry-run"])).expect(3).says(&[&found]);
        remount("rw");
        machine.prepare(&[]).expect(0);
        machine.cancel().expect(0);
    }
}

#[test]
fn a_missing_system_is_named() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    refused(&machine, &["--system", "/nix/store/none"], &["/nix/store/none leads to no system"]);
    refused(&machine, &["--system", "/etc"], &["/etc leads to no system"]);
}

#[test]
fn a_boot_that_is_a_link_is_refused() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().rename("boot", "real-boot");
    machine.tree().link("boot", "real-boot");
    refused(&machine, &[], &["boot is no directory"]);
}

#[test]
fn a_keep_list_that_cannot_be_meant_is_refused() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("etc/NIXOS_LUSTRATE", "../x\n");
    refused(&machine, &[], &["has a '..' component"]);
}

#[test]
fn a_damaged_state_file_is_not_guessed_at() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    let good = machine.read("nix/var/nixos-lustrate/state.json");
    machine.tree().file("nix/var/nixos-lustrate/state.json", &good[..good.len() / 2]);
    let before = machine.manifest();
    machine.cancel().expect(3).says(&["state.json is damaged"]);
    machine.tree().file(
        "nix/var/nixos-lustrate/state.json",
        good.replacen("\"version\": 1", "\"version\": 99", 1),
    );
    machine.cancel().expect(3).says(&["a newer one"]);
    machine.tree().file("nix/var/nixos-lustrate/state.json", &good);
    assert_eq!(before[0].1.nodes.len(), machine.manifest()[0].1.nodes.len());
    machine.cancel().expect(0);
}

#[test]
fn one_at_a_time() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    let root = fs::File::open(machine.path()).expect("the root");
    let lock = nix::fcntl::Flock::lock(root, nix::fcntl::FlockArg::LockExclusive).expect("a lock");
    machine.cancel().expect(3).says(&["another nixos-lustrate is at work"]);
    machine.prepare(&[]).expect(3).says(&["another nixos-lustrate is at work"]);
    drop(lock);
    // The installer of a prepare that was killed.
    let file = fs::File::open(machine.at("nix/var/nixos-lustrate/lock")).expect("the lock");
    let lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).expect("a lock");
    machine.cancel().expect(3).says(&["installer is still at work"]);
    drop(lock);
    machine.cancel().expect(0);
}
