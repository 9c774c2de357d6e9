//! With a system that the real Nix built, offline: its store is as good after
//! `prepare` and `cancel` as before.

use std::process::Command;

use crate::common::command::{LIMIT, run_limited};
use crate::common::compare::Excuse;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, GRUB, Machine, assert_same, system};

#[test]
fn a_system_of_real_nix_is_prepared_and_cancelled() {
    require_root!();
    let machine = or_skip!(Machine::bare(Boot::Directory));
    or_skip!(system(GRUB).build(machine.path()));
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    let mut verify = Command::new("nix-store");
    verify.arg("--store").arg(machine.path()).args(["--verify", "--check-contents"]);
    run_limited(&mut verify, LIMIT).expect(0);
    machine.cancel().expect(0);
    // Nix writes into its own database when it is asked.
    assert_same(&before, &machine.manifest(), &Excuse::none().below(b"nix/var/nix/db"));
}
