//! Is there a system, is it whole, and for this processor?

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use serde_json::json;

use crate::common::system::{SYSTEMD, System, elf, kernel};
use crate::machine::Machine;

#[test]
fn a_good_system_is_ok() {
    let machine = Machine::new();
    machine.expect("profile", Ok, &["-nixos-system-test-26.05"]);
    machine.ok("profile-complete");
    machine.ok("bootspec");
    machine.expect("cpu", Ok, &["x86_64"]);
    assert!(machine.report().find("system").is_none());
}

#[test]
fn without_a_system_it_says_how_to_build_one_and_what_was_not_examined() {
    let machine = Machine::bare();
    machine.expect("profile", Blocker, &["profiles/system is missing", "nix-env -p"]);
    machine.unchecked("system", "initrd");
    machine.link("root/nix/var/nix/profiles/system", "system-3-link");
    machine.expect("profile", Blocker, &["leads to system-3-link, which is missing"]);
    machine.link("root/nix/var/nix/profiles/system", "/usr");
    machine.expect("profile", Blocker, &["is /usr, which is no store path", "--system"]);
}

#[test]
fn a_store_path_may_be_named() {
    let mut machine = Machine::bare();
    let top = System::new().place(&machine.root());
    machine.remove("root/nix/var");
    machine.expect("profile", Blocker, &[]);
    machine.options.system = top;
    machine.ok("profile");
}

#[test]
fn each_part_is_missed() {
    for part in ["init", "kernel", "initrd", "bin/switch-to-configuration", "etc/fstab"] {
        let machine = Machine::with(&System::new().without(part));
        machine.expect("profile-complete", Blocker, &[&format!("has no {part}")]);
    }
    // A link that leads nowhere is no part.
    let machine = Machine::with(&System::new().link("initrd", "/nix/store/none"));
    machine.expect("profile-complete", Blocker, &["has no initrd"]);
}

#[test]
fn a_bootspec_is_missed_and_a_broken_one_is_named() {
    let without = System::new().without("boot.json");
    Machine::with(&without).expect("bootspec", Warning, &["there is no boot.json"]);
    let broken = System::new().text("boot.json", "{");
    Machine::with(&broken).expect("bootspec", Warning, &["boot.json cannot be read"]);
}

#[test]
fn what_the_configuration_is_has_to_be_told() {
    let id = "configuration";
    Machine::new().expect(id, Ok, &["says what the configuration is"]);
    let with = |told: &str| {
        let extension = SYSTEMD.replace("@facts@", told);
        Machine::with(&System::new().bootspec(&[&extension]))
    };
    let not_judged = ["login", "network", "fstab-root", "firmware", "initrd-storage", "features"];
    let machines = [
        (Machine::with(&System::new().bootspec(&[])), "nothing says what the configuration is"),
        (with("null"), "the module of nixos-lustrate 0.1.0 does not say"),
        (with("{\"schema\": 2}"), "by schema 2, which is not known here"),
        (with("{\"schema\": 1, \"users\": {\"list\": 5}}"), "cannot be read: invalid type"),
    ];
    for (machine, says) in machines {
        machine.unchecked(id, says);
        let report = machine.report();
        for id in not_judged {
            assert!(report.find(id).is_none(), "{id}: {report:#?}");
        }
    }
    // A group that does not evaluate is the only one that is not judged.
    let part = Machine::with(&System::new().fact("users", json!(null)));
    part.unchecked(id, "does not say what it has for users, which");
    assert!(part.report().find("login").is_none());
    part.ok("network");
}

#[test]
fn a_system_for_another_processor_blocks() {
    let arm = System::new().bootspec_for("aarch64-linux", &[SYSTEMD]);
    let says = ["it is built for aarch64, and this machine is x86_64", "nixpkgs.hostPlatform"];
    Machine::with(&arm).expect("cpu", Blocker, &says);
    // Without a bootspec the kernel tells, and without a kernel the init.
    let arm = System::new().without("boot.json").part("bzImage", kernel("aarch64"));
    Machine::with(&arm).expect("cpu", Blocker, &says);
    let arm = System::new().without("boot.json").part("bzImage", "?");
    let arm = arm.file("init", elf("aarch64"), 0o555);
    Machine::with(&arm).expect("cpu", Blocker, &says);
    let unknown = System::new().without("boot.json").part("bzImage", "?").text("init", "?");
    Machine::with(&unknown).unchecked("cpu", "neither boot.json nor the kernel");
}
