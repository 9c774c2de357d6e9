//! A machine that is as it should be.

use nixos_lustrate::check::{Colour, Level};

use crate::common::require_root;
use crate::common::text::says;
use crate::machine::Machine;

#[test]
fn a_good_machine_has_nothing_to_mend() {
    require_root!();
    let report = Machine::new().report();
    // The tests' closure is placed without a database.
    let bad = report.findings.iter().filter(|f| f.level != Level::Ok && f.id != "closure");
    let bad: Vec<_> = bad.collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(!report.blocks() && report.count(Level::Ok) > 20);
    let text = report.to_text(Colour::None);
    assert!(says(&text, "(Debian GNU/Linux 12)") && says(&text, "(26.05)"), "{text}");
}

#[test]
fn what_it_would_keep_is_in_the_report() {
    let mut machine = Machine::new();
    machine.file("root/etc/ssh/ssh_host_ed25519_key", "k");
    machine.file("root/root/.ssh/authorized_keys", crate::common::system::KEY);
    let keep = |machine: &Machine| -> Vec<String> {
        machine.report().keep.iter().map(ToString::to_string).collect()
    };
    let want = ["etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "root/.ssh/authorized_keys"];
    assert_eq!(keep(&machine), want);
    machine.options.keep = nixos_lustrate::engine::keeplist::parse(b"home").expect("a list");
    assert_eq!(keep(&machine)[3..], ["home"]);
    machine.options.default_keep = nixos_lustrate::check::DefaultKeep::No;
    assert_eq!(keep(&machine), ["home"]);
}
