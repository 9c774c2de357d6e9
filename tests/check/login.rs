//! Can anybody get in?

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};
use nixos_lustrate::check::{DefaultKeep, Level};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt, chown};

use crate::common::require_root;
use crate::common::system::{KEY, System, normal, root};
use crate::machine::{BOOT, Machine, ROOT};

/// With these users.
fn users(mutable: bool, list: &[Value]) -> System {
    System::new().fact("users", json!({"mutable": mutable, "manager": "perl", "list": list}))
}

/// Nobody has a password, and no key is in the configuration.
fn bare() -> System {
    users(true, &[root("locked")]).without("etc/ssh/authorized_keys.d")
}

const HOME_KEYS: &str = "root/root/.ssh/authorized_keys";

fn keep(machine: &mut Machine, list: &str) {
    machine.options.keep =
        nixos_lustrate::engine::keeplist::parse(list.as_bytes()).expect("a list");
}

fn mode(machine: &Machine, path: &str, mode: u32) {
    std::fs::set_permissions(machine.path(path), PermissionsExt::from_mode(mode)).expect("a mode");
}

#[test]
fn nobody_can_get_in() {
    let mut machine = Machine::with(&bare());
    machine.expect("login", Blocker, &["locked out", "authorizedKeys"]);
    // An empty file has no key (nixos-infect#138), one that is kept lets in.
    machine.file(HOME_KEYS, "# none\n\n");
    machine.expect("login", Blocker, &[]);
    machine.file(HOME_KEYS, KEY);
    machine.expect("login", Warning, &["root can log in over SSH, and no user has a password"]);
    machine.options.default_keep = DefaultKeep::No;
    machine.expect("login", Blocker, &[]);
}

#[test]
fn a_key_that_lets_nobody_in_is_none() {
    let forced = format!("no-pty,command=\"echo 'Please login as the user debian'\" {KEY}");
    let expired = format!("expiry-time=\"20200101\" {KEY}");
    for (line, what) in [
        ("ssh-ed25519 AAAA… you@home", "a placeholder"),
        (forced.as_str(), "a forced command"),
        (expired.as_str(), "has expired"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "a private key"),
        ("ssh-ed25519", "a type without a key"),
        ("AAAAC3NzaC1lZDI1NTE5AAAAIGarbage me@host", "a key without its type"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACB me", "a DSA key"),
        ("<html><body>404 Not Found</body></html>", "no key"),
    ] {
        let configured = bare().text("etc/ssh/authorized_keys.d/root", line);
        Machine::with(&configured).expect(
            "login",
            Blocker,
            &["/etc/ssh/authorized_keys.d/root of root has ", what],
        );
        let kept = Machine::with(&bare());
        kept.file(HOME_KEYS, line);
        kept.expect("login", Blocker, &["/root/.ssh/authorized_keys of root", what]);
        // Not if somebody else gets in.
        let list = [root("locked"), normal("alice", Some(1000))];
        let others = users(true, &list)
            .text("etc/ssh/authorized_keys.d/root", line)
            .text("etc/ssh/authorized_keys.d/alice", KEY);
        let machine = Machine::with(&others);
        machine.expect("login", Warning, &["alice can log in over SSH"]);
        machine.expect("authorized-keys", Warning, &[what]);
    }
    let good = bare().text("etc/ssh/authorized_keys.d/root", &format!("no-pty {KEY}"));
    let machine = Machine::with(&good);
    machine.expect("login", Warning, &["root can log in over SSH"]);
    assert!(machine.report().find("authorized-keys").is_none());
}

#[test]
fn a_hash_that_no_password_fits_is_none() {
    for (kind, level) in [
        ("crypt", Ok),
        ("text", Ok),
        ("empty", Ok),
        ("emptyText", Ok),
        ("invalid", Blocker),
        ("locked", Blocker),
        ("none", Blocker),
    ] {
        let system = users(true, &[root(kind)]).without("etc/ssh/authorized_keys.d");
        let machine = Machine::with(&system);
        let level = if level == Ok { Warning } else { level };
        let says = if kind == "invalid" {
            "users.users.root.initialHashedPassword is no hash of a password"
        } else {
            ""
        };
        machine.expect("login", level, &[says]);
    }
}

#[test]
fn sshd_is_read_as_it_reads_itself() {
    let with = |config: &str| {
        let system = users(true, &[root("locked")]).text("etc/ssh/sshd_config", config);
        Machine::with(&system)
    };
    let files = "AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/authorized_keys.d/%u\n";
    for (config, says) in [
        ("PubkeyAuthentication no", "PubkeyAuthentication of sshd is no"),
        ("AllowUsers alice", "AllowUsers of sshd keeps root out"),
        ("DenyUsers=root", "DenyUsers of sshd keeps root out"),
        ("AllowGroups \"wheel\"", "AllowGroups of sshd keeps root out"),
        ("AuthenticationMethods publickey,password", "ask root for more than a key"),
        ("PermitRootLogin no", "PermitRootLogin of sshd is no"),
        ("permitrootlogin forced-commands-only", "is forced-commands-only"),
        ("ForceCommand /bin/false", "ForceCommand of sshd gives root no shell"),
        ("Match User root\nPubkeyAuthentication no", "PubkeyAuthentication of sshd is no"),
    ] {
        with(&format!("{files}{config}\n")).expect("login", Blocker, &[says]);
    }
    for config in [
        "PubkeyAuthentication yes\nPubkeyAuthentication no",
        "AllowUsers alice root",
        "DenyUsers alice",
        "PermitRootLogin prohibit-password",
        "Match User alice\nPubkeyAuthentication no",
        "# PermitRootLogin no",
    ] {
        with(&format!("{files}{config}\n")).expect("login", Warning, &["root can log in over SSH"]);
    }
    with("AuthorizedKeysFile none\n").expect("login", Blocker, &["nobody can log in over SSH"]);
    with("AuthorizedKeysFile .ssh/authorized_keys\n").expect("login", Blocker, &[]);
    let address = format!("{files}Match Address 192.0.2.0/24\nPubkeyAuthentication no\n");
    with(&address).unchecked("login", "from some addresses, and not from others");
    with(&format!("{files}Include /etc/ssh/more\n")).unchecked("login", "includes /etc/ssh/more");
    with("AuthorizedKeysFile none\nAuthorizedKeysCommand /bin/x\n").unchecked("login", "a program");
}

#[test]
fn a_console_and_an_sshd_have_to_be_there() {
    Machine::new().expect("login", Ok, &["at the console and over SSH"]);
    let off = System::new().fact("sshd", json!({"enable": false}));
    Machine::with(&off).expect("login", Warning, &["no SSH server"]);
    let blind = System::new().fact("console", json!({"screen": false}));
    Machine::with(&blind).expect("login", Warning, &["there is no console to log in at"]);
    let neither = blind.clone().fact("sshd", json!({"enable": false}));
    Machine::with(&neither).expect("login", Blocker, &["there is no console"]);
    let serial = blind.fact("/console/serial", json!(["ttyS0"]));
    Machine::with(&serial).expect("login", Ok, &[]);
    let auto = bare().fact("/console/autologin", json!("root"));
    Machine::with(&auto).expect("login", Warning, &["Logins are possible at the console only"]);
}

#[test]
fn users_whose_shell_or_time_is_over_are_out() {
    let key = |user: Value| {
        let list = [root("locked"), user];
        users(true, &list)
            .without("etc/ssh/authorized_keys.d")
            .text("etc/ssh/authorized_keys.d/alice", KEY)
    };
    let mut alice = normal("alice", Some(1000));
    alice["keys"] = json!(1);
    Machine::with(&key(alice.clone())).expect("login", Warning, &["alice can log in over SSH"]);
    let mut shell = alice.clone();
    shell["letsIn"] = json!(false);
    Machine::with(&key(shell)).expect("login", Blocker, &["alice has a shell that lets nobody in"]);
    alice["expires"] = json!("2020-01-01");
    Machine::with(&key(alice.clone())).expect("login", Blocker, &["alice has expired"]);
    alice["expires"] = json!("2099-01-01");
    Machine::with(&key(alice)).expect("login", Warning, &["alice can log in over SSH"]);
}

#[test]
fn keys_are_judged_as_the_new_root_has_them() {
    // A link into what moves (Proxmox).
    let machine = Machine::with(&bare());
    machine.file("root/etc/pve/authorized_keys", KEY);
    machine.link(HOME_KEYS, "/etc/pve/authorized_keys");
    let says = "/root/.ssh/authorized_keys of root leads to /etc/pve/authorized_keys, which moves";
    machine.expect("login", Blocker, &[says]);
    let mut kept = machine;
    keep(&mut kept, "etc/pve");
    kept.expect("login", Warning, &["root can log in over SSH"]);
    // A link on the way to what is kept is recreated, and one in it stays.
    let machine = Machine::with(&bare());
    machine.file("root/srv/ssh/authorized_keys", KEY);
    machine.link("root/root/.ssh", "../srv/ssh");
    machine.expect("login", Warning, &["root can log in over SSH"]);
    let list = [root("locked"), normal("alice", Some(1000))];
    let system = users(true, &list).without("etc/ssh/authorized_keys.d");
    let mut machine = Machine::with(&system);
    machine.file("root/srv/ssh/authorized_keys", KEY);
    machine.link("root/home/alice/.ssh", "/srv/ssh");
    keep(&mut machine, "home");
    machine.expect("login", Blocker, &[]);
    keep(&mut machine, "home\nsrv/ssh");
    machine.expect("login", Warning, &["alice can log in over SSH"]);
    // The link moves away, the keys would stay.
    let mut machine = Machine::with(&bare());
    machine.options.default_keep = DefaultKeep::No;
    machine.file("root/srv/ssh/authorized_keys", KEY);
    machine.link("root/root/.ssh", "/srv/ssh");
    keep(&mut machine, "srv");
    machine.expect("login", Blocker, &[]);
    // On a file system that the configuration does not mount (archinstall#781).
    let home = "40 21 254:3 / /root rw - ext4 /dev/vda3 rw";
    let machine = Machine::with(&bare());
    machine.partition("vda", "vda3", "254:3", "h0me");
    machine.file(HOME_KEYS, KEY);
    machine.mounts(&[ROOT, BOOT, home]);
    machine.expect("login", Blocker, &[]);
    let mounted = bare().fstab(&["/dev/vda1 / ext4", "UUID=h0me /root ext4"]);
    let machine = Machine::with(&mounted);
    machine.partition("vda", "vda3", "254:3", "h0me");
    machine.file(HOME_KEYS, KEY);
    machine.mounts(&[ROOT, BOOT, home]);
    machine.expect("login", Warning, &["root can log in over SSH"]);
}

#[test]
fn what_strict_modes_refuse_is_no_way_in() {
    require_root!();
    let at = |path: &str, bits: u32, level: Level, says: &str| {
        let machine = Machine::with(&bare());
        machine.file(HOME_KEYS, KEY);
        mode(&machine, path, bits);
        machine.expect("login", level, &[says]);
    };
    at(HOME_KEYS, 0o666, Blocker, "others may write to /root/.ssh/authorized_keys (0666)");
    at("root/root/.ssh", 0o777, Blocker, "chmod go-w /root/.ssh");
    at("root/root/.ssh", 0o755, Warning, "root can log in");
    // Activation gives /root its mode; / is above it.
    at("root/root", 0o777, Warning, "root can log in");
    at("root", 0o777, Warning, "root can log in");
    let configured = users(true, &[root("locked")]);
    let machine = Machine::with(&configured);
    machine.expect("login", Warning, &["root can log in"]);
    mode(&machine, "root", 0o777);
    machine.expect("login", Blocker, &["others may write to / (0777)"]);
    let lax = bare().text("etc/ssh/sshd_config", "StrictModes no\n");
    let machine = Machine::with(&lax);
    machine.file(HOME_KEYS, KEY);
    mode(&machine, "root/root/.ssh", 0o777);
    machine.expect("login", Warning, &["root can log in"]);
    let machine = Machine::with(&bare());
    machine.file(HOME_KEYS, KEY);
    chown(machine.path("root/root/.ssh"), Some(1000), None).expect("an owner");
    machine.expect("login", Blocker, &["/root/.ssh belongs to the uid 1000"]);
}

#[test]
fn a_kept_home_has_to_be_its_users() {
    require_root!();
    let with = |uid: Option<u32>, key_of_root: bool| {
        let list = [normal("alice", uid), root("locked")];
        let system = users(true, &list);
        let system = if key_of_root { system } else { system.without("etc/ssh/authorized_keys.d") };
        let mut machine = Machine::with(&system);
        let keys = "root/home/alice/.ssh/authorized_keys";
        machine.file(keys, KEY);
        for path in ["root/home/alice", "root/home/alice/.ssh", keys] {
            chown(machine.path(path), Some(1001), Some(1001)).expect("an owner");
        }
        keep(&mut machine, "home");
        machine
    };
    let line = "users.users.alice.uid = 1001;";
    let machine = with(Some(1000), false);
    machine.expect("homes", Warning, &["belongs to the uid 1001", "alice has the uid 1000", line]);
    machine.expect("login", Blocker, &["/home/alice/.ssh/authorized_keys belongs to the uid 1001"]);
    // Without one, the first that is free is handed out.
    with(None, false).expect("homes", Warning, &["alice has the uid 1000", line]);
    with(Some(1000), true).expect("login", Warning, &["root can log in"]);
    let machine = with(Some(1001), false);
    machine.expect("homes", Ok, &["belong to the users"]);
    machine.expect("login", Warning, &["alice can log in over SSH"]);
    // What is not kept has no owner then.
    let mut gone = with(Some(1000), true);
    keep(&mut gone, "srv");
    assert!(gone.report().find("homes").is_none());
    // A kept passwd has the id.
    let mut kept = with(None, false);
    kept.file(
        "root/etc/passwd",
        "root:x:0:0::/root:/bin/sh\nalice:x:1001:100::/home/alice:/bin/sh\n",
    );
    keep(&mut kept, "home\netc/passwd");
    kept.ok("homes");
}

#[test]
fn a_password_file_has_to_be_there_then() {
    let mut user = root("none");
    user["password"]["file"] = json!("/etc/secrets/root");
    let system = users(true, &[user.clone()]).without("etc/ssh/authorized_keys.d");
    let mut machine = Machine::with(&system);
    let hash = format!("$y$j9T$salt${}\n", "A".repeat(43));
    machine.file("root/etc/secrets/root", &hash);
    machine.expect("password-file", Warning, &["--keep etc/secrets/root"]);
    machine.expect("login", Blocker, &[]);
    keep(&mut machine, "etc/secrets");
    assert!(machine.report().find("password-file").is_none());
    machine.expect("login", Warning, &["Logins are possible at the console only"]);
    // What is in it counts: a password itself is no hash of one.
    machine.file("root/etc/secrets/root", "hunter2\n");
    machine.expect("login", Blocker, &["/etc/secrets/root, for root, has no hash"]);
    // Another password than that of the file is there for those who have none.
    user["password"]["kind"] = json!("crypt");
    let machine = Machine::with(&users(true, &[user]));
    machine.expect("password-file", Warning, &["/etc/secrets/root, which will not be there"]);
    machine.ok("login");
}

#[test]
fn a_key_that_decrypts_passwords_has_to_be_there_then() {
    let mut user = root("none");
    user["password"]["file"] = json!("/run/secrets-for-users/root");
    let secret = |identities: &[&str]| {
        let list = json!({"mutable": false, "manager": "perl", "list": [user],
            "identities": identities});
        System::new().fact("users", list).without("etc/ssh/authorized_keys.d")
    };
    let sops = "/var/lib/sops-nix/key.txt";
    let mut machine = Machine::with(&secret(&[sops]));
    machine.file("root/var/lib/sops-nix/key.txt", "AGE-SECRET-KEY-1");
    machine.expect("password-file", Warning, &[sops, "--keep var/lib/sops-nix/key.txt"]);
    machine.expect("login", Blocker, &["no user has a password"]);
    machine.expect("mutable-users", Warning, &["no user has a password"]);
    keep(&mut machine, "var/lib/sops-nix");
    assert!(machine.report().find("password-file").is_none());
    machine.ok("mutable-users");
    // The host keys of agenix are kept.
    let host_key = "/etc/ssh/ssh_host_ed25519_key";
    let machine = Machine::with(&secret(&[host_key, "/nowhere"]));
    machine.expect("login", Blocker, &[]);
    machine.file("root/etc/ssh/ssh_host_ed25519_key", "k");
    machine.expect("login", Warning, &["console only"]);
}

#[test]
fn kept_passwords_count() {
    let mut machine = Machine::with(&users(true, &[root("locked")]));
    let hash = format!("$6$salt${}", "A".repeat(86));
    machine.file("root/etc/shadow", format!("root:{hash}:1::::::\ndaemon:*:1::::::\n"));
    machine.expect("login", Warning, &["no user has a password"]);
    keep(&mut machine, "etc/shadow");
    machine.ok("login");
    for hash in ["!", "$1$salt$abc", "$y$…"] {
        machine.file("root/etc/shadow", format!("root:{hash}:1::::::\n"));
        machine.expect("login", Warning, &["no user has a password"]);
    }
    // With mutable users, what is kept counts before what is configured.
    let mut machine = Machine::new();
    machine.file("root/etc/shadow", "root:!:1::::::\n");
    keep(&mut machine, "etc/shadow");
    machine.expect("login", Warning, &["no user has a password"]);
}

#[test]
fn users_that_cannot_be_changed_need_passwords() {
    Machine::with(&users(false, &[root("locked")])).expect(
        "mutable-users",
        Warning,
        &["mutableUsers = false"],
    );
    Machine::with(&users(false, &[root("crypt")])).ok("mutable-users");
    Machine::new().ok("mutable-users");
}

#[test]
fn host_keys_are_kept_and_closed() {
    let mut machine = Machine::new();
    machine.expect("host-keys", Ok, &["no SSH host keys"]);
    machine.file("root/etc/ssh/ssh_host_rsa_key", "k");
    mode(&machine, "root/etc/ssh/ssh_host_rsa_key", 0o640);
    machine.expect(
        "host-keys",
        Warning,
        &["nixos-infect#120", "chmod 600 /etc/ssh/ssh_host_rsa_key"],
    );
    mode(&machine, "root/etc/ssh/ssh_host_rsa_key", 0o600);
    machine.expect("host-keys", Ok, &["1 SSH host keys are kept"]);
    machine.options.default_keep = DefaultKeep::No;
    machine.expect("host-keys", Warning, &["are not kept"]);
}
