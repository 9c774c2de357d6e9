//! Can anybody get in after the reboot: at the console, and over SSH?

use std::path::Path;

use super::{Finding, Machine};
use crate::machine::files::{Files, Result};
use crate::system::closure::Closure;
use crate::system::users::{self, Password, Users};

const FIX: &str = "users.users.root.openssh.authorizedKeys.keys = [ \"ssh-ed25519 …\" ];\n\
     users.users.root.hashedPassword = \"…\"; # mkpasswd";

/// The ways in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Ways {
    /// Users who have a password.
    passwords: Vec<String>,
    /// Files with passwords that are not there.
    missing_files: Vec<String>,
    /// Users whose keys are in the configuration or kept.
    keys: Vec<String>,
    /// Kept keys that sshd will not look at.
    ignored: bool,
    /// sshd runs.
    sshd: bool,
    /// sshd takes passwords, of others than root.
    ssh_passwords: bool,
}

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let Some(closure) = &machine.closure else { return };
    match users::of(&machine.files, closure) {
        Err(error) => findings.push(Finding::unread("login", &error)),
        Ok(None) => findings.push(Finding::unchecked(
            "login",
            "the users of the configuration could not be found in its activation script",
            "See that root or another user has a password or an SSH key in it",
        )),
        Ok(Some(Err(why))) => {
            let why = format!("the users of the configuration could not be read: {why}");
            findings.push(Finding::unchecked("login", why, "See that one of them can log in"));
        }
        Ok(Some(Ok(users))) => match ways(machine, closure, &users) {
            Ok(ways) => {
                findings.extend(judge(&ways));
                findings.push(mutable(&users, &ways));
            }
            Err(error) => findings.push(Finding::unread("login", &error)),
        },
    }
}

fn ways(machine: &Machine<'_>, closure: &Closure, users: &Users) -> Result<Ways> {
    let files = &machine.files;
    let mut ways = Ways::default();
    for user in users.users.iter().filter(|user| user.is_person()) {
        match user.password() {
            Password::None => {}
            Password::Set | Password::Empty => ways.passwords.push(user.name.clone()),
            // What is not kept is gone when the first activation reads it.
            Password::File(file) => {
                let stays = file.starts_with("/nix/") || file.starts_with("/boot/");
                let kept = machine.keeps(file.trim_start_matches('/'));
                let generated = file.starts_with("/run/"); // by agenix, sops-nix
                if generated || ((stays || kept) && files.exists(&file)?) {
                    ways.passwords.push(user.name.clone());
                } else {
                    ways.missing_files.push(file);
                }
            }
        }
    }
    // With mutable users the activation keeps the passwords that it finds.
    if users.mutable_users && machine.keeps("etc/shadow") {
        let shadow = files.text("/etc/shadow")?.unwrap_or_default();
        let fields =
            shadow.lines().filter_map(|line| line.split(':').next().zip(line.split(':').nth(1)));
        for (name, _) in fields.filter(|(_, hash)| hash.starts_with('$')) {
            let user = users.users.iter().find(|user| user.name == name && user.is_person());
            ways.passwords.extend(user.map(|user| user.name.clone()));
        }
    }
    let etc = closure.top.join("etc");
    let unit = |name: &str| files.exists(etc.join("systemd/system").join(name));
    ways.sshd = unit("sshd.service")? || unit("sshd.socket")? || unit("sshd@.service")?;
    let config = files.text(etc.join("ssh/sshd_config"))?.unwrap_or_default();
    let option = |key: &str| option(&config, key);
    ways.ssh_passwords = !option("PasswordAuthentication").is_some_and(|v| v.starts_with("no"));
    let places = option("AuthorizedKeysFile");
    let looks_at_home = places.as_deref().is_none_or(|p| p.contains(".ssh/authorized_keys"));
    let root_may = option("PermitRootLogin").is_none_or(|v| v != "no");
    for user in users.users.iter().filter(|user| user.is_person()) {
        if user.name == "root" && !root_may {
            continue;
        }
        let configured = etc.join("ssh/authorized_keys.d").join(&user.name);
        let kept = format!("{}/.ssh/authorized_keys", user.home());
        let has_kept = stays(machine, &kept) && has_key(files, &Path::new("/").join(&kept))?;
        ways.ignored |= has_kept && !looks_at_home;
        if has_key(files, &configured)? || (has_kept && looks_at_home) {
            ways.keys.push(user.name.clone());
        }
    }
    Ok(ways)
}

/// Kept, or on a file system of its own, which stays.
fn stays(machine: &Machine<'_>, path: &str) -> bool {
    let closure = machine.closure.as_ref();
    let below =
        |point: &Path| point != Path::new("/") && Path::new("/").join(path).starts_with(point);
    let mounted = machine
        .mounts
        .iter()
        .flat_map(crate::machine::mounts::Mounts::iter)
        .any(|m| below(&m.point) && closure.is_some_and(|c| c.mounts_at(&m.point).is_some()));
    mounted || machine.keeps(path)
}

/// A line that is neither empty nor a comment.
fn has_key(files: &Files, path: &Path) -> Result<bool> {
    let text = files.text(path)?.unwrap_or_default();
    Ok(text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#')))
}

/// The first value counts (`sshd_config(5)`).
fn option(config: &str, key: &str) -> Option<String> {
    let lines = config.lines().map(str::trim).take_while(|line| !line.starts_with("Match"));
    lines
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(name, _)| name.eq_ignore_ascii_case(key))
        .map(|(_, value)| value.trim().to_lowercase())
}

fn judge(ways: &Ways) -> Vec<Finding> {
    let mut findings = Vec::new();
    let people = ways.passwords.iter().filter(|user| *user != "root").count();
    let remote = ways.sshd && (!ways.keys.is_empty() || (ways.ssh_passwords && people > 0));
    if !ways.missing_files.is_empty() {
        findings.push(Finding::warning(
            "password-file",
            format!("passwords are in {}, which will not be there", ways.missing_files.join(", ")),
            "Those users would have none",
            format!("Keep it: --keep {}", ways.missing_files[0].trim_start_matches('/')),
        ));
    }
    findings.push(match (ways.passwords.is_empty(), remote) {
        (true, false) => Finding::blocker(
            "login",
            "no user has a password, and nobody can log in over SSH",
            "Everybody would be locked out (nixos-infect#138)",
            FIX,
        ),
        (true, true) => Finding::warning(
            "login",
            format!("{} can log in over SSH, and no user has a password", ways.keys.join(", ")),
            "If the network does not come up, the console lets nobody in",
            "users.users.root.hashedPassword = \"…\"; # mkpasswd",
        ),
        (false, true) => Finding::ok("login", "logins are possible at the console and over SSH"),
        (false, false) => Finding::warning(
            "login",
            if ways.sshd {
                "nobody can log in over SSH: there are no keys"
            } else {
                "there is no SSH server in the configuration"
            },
            "Logins are possible at the console only",
            "services.openssh.enable = true;\n\
             users.users.root.openssh.authorizedKeys.keys = [ \"ssh-ed25519 …\" ];",
        ),
    });
    if ways.ignored {
        findings.push(Finding::warning(
            "authorized-keys",
            "authorized_keys is kept, and sshd of the configuration does not read it",
            "Those keys would not let anybody in",
            "services.openssh.authorizedKeysInHomedir = true; or \
             users.users.NAME.openssh.authorizedKeys.keys",
        ));
    }
    findings
}

fn mutable(users: &Users, ways: &Ways) -> Finding {
    let id = "mutable-users";
    if users.mutable_users {
        return Finding::ok(id, "passwords can be set on the running NixOS");
    }
    if ways.passwords.is_empty() {
        return Finding::warning(
            id,
            "users.mutableUsers = false, and no user has a password",
            "None can be set later either: passwd is undone at each boot",
            "users.users.root.hashedPassword = \"…\"; # mkpasswd",
        );
    }
    Finding::ok(id, "users.mutableUsers = false; the configuration has passwords")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    fn level(passwords: &[&str], keys: &[&str], sshd: bool, ssh_passwords: bool) -> Level {
        let names = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        let (passwords, keys) = (names(passwords), names(keys));
        let ways = Ways { passwords, keys, sshd, ssh_passwords, ..Ways::default() };
        judge(&ways)[0].level
    }

    #[test]
    fn only_no_way_in_at_all_blocks() {
        assert_eq!(level(&[], &[], true, true), Level::Blocker);
        assert_eq!(level(&[], &["root"], false, true), Level::Blocker, "keys without sshd");
        assert_eq!(level(&[], &["root"], true, true), Level::Warning);
        assert_eq!(level(&["root"], &[], true, true), Level::Warning, "root's is not taken");
        assert_eq!(level(&["alice"], &[], true, false), Level::Warning);
        assert_eq!(level(&["alice"], &[], true, true), Level::Ok);
        assert_eq!(level(&["root"], &["root"], true, false), Level::Ok);
    }

    #[test]
    fn the_first_value_of_an_option_counts() {
        let config = "PasswordAuthentication no\nPasswordAuthentication yes\nMatch user x\nPermitRootLogin yes";
        assert_eq!(option(config, "passwordauthentication").as_deref(), Some("no"));
        assert_eq!(option(config, "PermitRootLogin"), None);
    }
}
