//! `/nix`, and whether the closure is all there.

use std::os::unix::fs::{PermissionsExt, chown};

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use crate::common::require_root;
use crate::machine::Machine;

#[test]
fn a_store_of_a_users_is_told() {
    require_root!();
    let machine = Machine::new();
    machine.expect("nix-owner", Ok, &["/nix is root's"]);
    for path in ["root/nix", "root/nix/store"] {
        let machine = Machine::new();
        chown(machine.path(path), Some(1000), Some(1000)).expect("an owner");
        let says = ["belongs to the user with the id 1000", "chown -R 0:0 /nix"];
        machine.expect("nix-owner", Warning, &says);
    }
    let mode = |path: &str, mode| {
        std::fs::set_permissions(machine.path(path), PermissionsExt::from_mode(mode))
            .expect("a mode");
    };
    mode("root/nix/store", 0o1775);
    machine.ok("nix-owner");
    mode("root/nix/store", 0o777);
    machine.expect("nix-owner", Warning, &["others than root may write"]);
}

#[test]
fn how_nix_is_installed_is_told() {
    let machine = Machine::new();
    machine.expect("nix-install", Ok, &["without a daemon"]);
    machine.file("root/nix/var/nix/daemon-socket/socket", "");
    machine.expect("nix-install", Ok, &["multi-user"]);
    machine.remove("root/nix/var/nix/db/db.sqlite");
    machine.expect("nix-install", Warning, &["no database"]);
    Machine::bare().expect("nix-install", Blocker, &["there is no /nix/store"]);
}

#[test]
fn a_database_that_cannot_be_read_is_said() {
    let machine = Machine::new();
    machine.unchecked("closure", "no SQLite database");
    machine.remove("root/nix/var/nix/db/db.sqlite");
    machine.unchecked("closure", "there is no database of Nix");
}
