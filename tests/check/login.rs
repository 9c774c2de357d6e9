//! Can anybody get in?

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};
use std::os::unix::fs::PermissionsExt;

use crate::common::system::System;
use crate::machine::Machine;

fn users(mutable: bool, root: &str) -> System {
    let json = format!(
        "{{\"mutableUsers\": {mutable}, \"users\": [{{\"name\": \"root\", \"uid\": 0, {root}}}]}}"
    );
    System::new().part("users-groups.json", json)
}

const LOCKED: &str = "\"hashedPassword\": \"!\"";

#[test]
fn nobody_can_get_in() {
    let system = users(true, LOCKED).without("etc/ssh/authorized_keys.d");
    let machine = Machine::with(&system);
    machine.expect("login", Blocker, &["locked out", "authorizedKeys"]);
    // An empty file has no key (nixos-infect#138), one that is kept lets in.
    machine.file("root/root/.ssh/authorized_keys", "# none\n\n");
    machine.expect("login", Blocker, &[]);
    machine.file("root/root/.ssh/authorized_keys", "ssh-ed25519 AAAA x\n");
    machine.expect("login", Warning, &["root can log in over SSH, and no user has a password"]);
    let mut machine = machine;
    machine.options.default_keep = nixos_lustrate::check::DefaultKeep::No;
    machine.expect("login", Blocker, &[]);
}

#[test]
fn sshd_and_its_options_count() {
    Machine::new().expect("login", Ok, &["at the console and over SSH"]);
    let no_sshd = System::new().without("etc/systemd/system/sshd.service");
    Machine::with(&no_sshd).expect("login", Warning, &["no SSH server"]);
    let no_root = System::new().text("etc/ssh/sshd_config", "PermitRootLogin no\n");
    Machine::with(&no_root).expect("login", Warning, &["there are no keys"]);
    let elsewhere = System::new()
        .text("etc/ssh/sshd_config", "AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u\n")
        .without("etc/ssh/authorized_keys.d");
    let machine = Machine::with(&elsewhere);
    machine.file("root/root/.ssh/authorized_keys", "ssh-ed25519 AAAA x\n");
    machine.expect("authorized-keys", Warning, &["authorizedKeysInHomedir"]);
    machine.expect("login", Warning, &["there are no keys"]);
}

#[test]
fn a_password_file_has_to_be_there_then() {
    let system = users(true, "\"hashedPasswordFile\": \"/etc/secrets/root\"");
    let mut machine = Machine::with(&system);
    machine.file("root/etc/secrets/root", "$6$x");
    machine.expect("password-file", Warning, &["--keep etc/secrets/root"]);
    machine.options.keep = nixos_lustrate::engine::keeplist::parse(b"etc/secrets").expect("a list");
    assert!(machine.report().find("password-file").is_none());
    machine.ok("login");
}

#[test]
fn kept_passwords_count() {
    let mut machine = Machine::with(&users(true, LOCKED));
    machine.file("root/etc/shadow", "root:$6$x$y:1::::::\ndaemon:*:1::::::\n");
    machine.expect("login", Warning, &["no user has a password"]);
    machine.options.keep = nixos_lustrate::engine::keeplist::parse(b"etc/shadow").expect("a list");
    machine.ok("login");
    machine.file("root/etc/shadow", "root:!:1::::::\n");
    machine.expect("login", Warning, &["no user has a password"]);
}

#[test]
fn users_that_cannot_be_read_are_not_judged() {
    Machine::with(&System::new().text("activate", "")).unchecked("login", "could not be found");
    Machine::with(&System::new().part("users-groups.json", "{"))
        .unchecked("login", "could not be read");
    let userborn = System::new()
        .text("activate", "")
        .part("userborn.json", "{\"users\": [{\"name\": \"root\", \"hashedPassword\": \"$y$x\"}]}")
        .text(
            "etc/systemd/system/userborn.service",
            "ExecStart=userborn @part:userborn.json@ /etc\n",
        );
    Machine::with(&userborn).ok("login");
}

#[test]
fn users_that_cannot_be_changed_need_passwords() {
    Machine::with(&users(false, LOCKED)).expect(
        "mutable-users",
        Warning,
        &["mutableUsers = false"],
    );
    Machine::with(&users(false, "\"hashedPassword\": \"$6$x\"")).ok("mutable-users");
    Machine::new().ok("mutable-users");
}

#[test]
fn host_keys_are_kept_and_closed() {
    let mut machine = Machine::new();
    machine.expect("host-keys", Ok, &["no SSH host keys"]);
    machine.file("root/etc/ssh/ssh_host_rsa_key", "k");
    let key = machine.path("root/etc/ssh/ssh_host_rsa_key");
    let mode =
        |mode| std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).expect("a mode");
    mode(0o640);
    machine.expect(
        "host-keys",
        Warning,
        &["nixos-infect#120", "chmod 600 /etc/ssh/ssh_host_rsa_key"],
    );
    mode(0o600);
    machine.expect("host-keys", Ok, &["1 SSH host keys are kept"]);
    machine.options.default_keep = nixos_lustrate::check::DefaultKeep::No;
    machine.expect("host-keys", Warning, &["are not kept"]);
}
