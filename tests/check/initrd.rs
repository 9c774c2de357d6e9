//! Will its initrd lustrate?

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use crate::common::system::{SYSTEMD, System};
use crate::machine::Machine;

const ID: &str = "initrd-lustrates";

#[test]
fn the_module_says_so_in_the_bootspec() {
    Machine::new().expect(ID, Ok, &["nixos-lustrate 0.1.0 is in its systemd stage 1"]);
    let scripted = SYSTEMD.replace("\"systemd\"", "\"scripted\"");
    Machine::with(&System::new().bootspec(&[&scripted])).expect(ID, Ok, &["scripted stage 1"]);
}

#[test]
fn systemd_stage_1_without_the_module_blocks() {
    let stock = System::new().bootspec(&[]);
    let says = ["nixpkgs#357878", "boot.initrd.lustrate.enable = true;"];
    Machine::with(&stock).expect(ID, Blocker, &says);
    // nixos-init has no prepare-root; then init is no script.
    Machine::with(&stock.clone().without("prepare-root")).expect(ID, Blocker, &says);
    Machine::with(&stock.without("boot.json")).expect(ID, Blocker, &says);
}

#[test]
fn scripted_stage_1_has_a_function_of_its_own() {
    let stock = System::new().bootspec(&[]).without("prepare-root");
    let stock = stock.text("init", "#!/bin/sh\nsystemConfig=@out@\n");
    Machine::with(&stock).expect(ID, Warning, &["copies what is kept"]);
}

#[test]
fn a_module_that_does_more_or_less_is_a_warning() {
    let with = |from: &str, to: &str| {
        let extension = SYSTEMD.replace(from, to);
        assert_ne!(extension, SYSTEMD);
        Machine::with(&System::new().bootspec(&[&extension]))
    };
    with("\"everyBoot\": false", "\"everyBoot\": true").expect(ID, Warning, &["Every boot"]);
    with("\"guard\": true", "\"guard\": false").expect(ID, Warning, &["without the guard"]);
    with("\"systemd\"", "\"dracut\"").unchecked(ID, "stage 1 is 'dracut'");
}
