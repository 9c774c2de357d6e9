//! Can anybody get in after the reboot: at the console, and over SSH?

use std::path::Path;

use super::then::leads;
use super::{Finding, Machine};
use crate::engine::time::Timestamp;
use crate::machine::crypt::{self, Hash};
use crate::machine::files::Result;
use crate::system::facts::{PasswordKind, User, Users};
use crate::system::sshd_config::SshdConfig;

mod homes;
mod keys;
mod ssh;

use ssh::Answer;

const FIX: &str = "users.users.root.openssh.authorizedKeys.keys = [ \"ssh-ed25519 …\" ];\n\
     users.users.root.hashedPassword = \"…\"; # mkpasswd";

/// How a user gets past the prompt of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Password {
    /// Not at all.
    None,
    /// One is set.
    Set,
    /// None is asked for.
    Empty,
}

/// Who wants in.
#[derive(Debug, Clone, Copy)]
struct Login<'a> {
    user: &'a User,
    /// The user's id then, if that is known.
    uid: Option<u32>,
    password: Password,
}

/// The ways in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Ways {
    /// Users who get in at a console.
    console: Vec<String>,
    /// There is none to log in at.
    no_console: bool,
    /// Users who have a password, wherever they may use it.
    passwords: usize,
    /// Users who get in over SSH.
    ssh: Vec<String>,
    /// Why it is not known of others.
    unknown: Vec<String>,
    /// Why others do not get in, who have a key or a password.
    out: Vec<String>,
    /// Files with passwords, or keys to them, that are not there then.
    missing_files: Vec<String>,
    /// sshd runs; `None` where that is not known.
    sshd: Option<bool>,
}

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let Some(facts) = &machine.facts else { return };
    let Some(users) = &facts.users else { return };
    match ways(machine, users) {
        Ok(ways) => {
            findings.extend(judge(&ways));
            findings.push(mutable(users, &ways));
        }
        Err(error) => findings.push(Finding::unread("login", &error)),
    }
    match homes::examine(machine, users) {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::unread("homes", &error)),
    }
}

fn ways(machine: &Machine<'_>, users: &Users) -> Result<Ways> {
    let mut ways = Ways::default();
    let (Some(facts), Some(closure)) = (&machine.facts, &machine.closure) else { return Ok(ways) };
    let console = facts.console.as_ref();
    ways.no_console = console.is_some_and(|c| c.screen == Some(false) && c.serial.is_empty());
    ways.sshd = facts.sshd.as_ref().and_then(|sshd| sshd.enable);
    let config = machine.files.text(closure.top.join("etc/ssh/sshd_config"))?;
    let config = config.as_deref().map(SshdConfig::parse);
    let ids = homes::ids(machine, users)?;
    for (user, uid) in users.list.iter().zip(ids) {
        let name = &user.name;
        let expired = user.expires.as_ref().is_some_and(|date| is_past(date, machine.sources.now));
        if !user.lets_in || expired {
            let why = if expired { "has expired" } else { "has a shell that lets nobody in" };
            let has_way = user.keys > 0
                || ![PasswordKind::None, PasswordKind::Locked].contains(&user.password.kind);
            ways.out.extend(has_way.then(|| format!("{name} {why}")));
            continue;
        }
        let password = password(machine, users, user, &mut ways)?;
        ways.passwords += usize::from(password != Password::None);
        let logs_in = console.and_then(|c| c.autologin.as_ref()) == Some(name);
        if (password != Password::None || logs_in) && !ways.no_console {
            ways.console.push(name.clone());
        }
        if ways.sshd != Some(true) {
            continue;
        }
        let Some(config) = &config else {
            ways.unknown.push("the system has no etc/ssh/sshd_config".to_owned());
            continue;
        };
        match ssh::lets_in(machine, config, &Login { user, uid, password })? {
            Answer::In => ways.ssh.push(name.clone()),
            Answer::Unknown(why) => ways.unknown.push(why),
            Answer::Out(why) => ways.out.extend(why),
        }
    }
    ways.missing_files.sort_unstable();
    ways.missing_files.dedup();
    Ok(ways)
}

/// `2026-01-31`, whose user does not get in from that day on.
fn is_past(date: &str, now: u64) -> bool {
    let digits: String = date.chars().filter(char::is_ascii_digit).collect();
    digits.len() == 8 && digits.as_str() <= &Timestamp(now).digits()[..8]
}

/// The password that the first activation leaves a user with.
fn password(
    machine: &Machine<'_>,
    users: &Users,
    user: &User,
    ways: &mut Ways,
) -> Result<Password> {
    // With mutable users it keeps the passwords that it finds.
    if users.mutable != Some(false) && leads(machine, Path::new("/etc/shadow"))?.is_some() {
        let shadow = machine.files.text("/etc/shadow")?.unwrap_or_default();
        let mut lines = shadow.lines().map(|line| line.split(':'));
        let kept = lines.find_map(|mut fields| {
            (fields.next() == Some(&user.name)).then(|| fields.next().unwrap_or_default())
        });
        if let Some(hash) = kept {
            return Ok(judged(hash));
        }
    }
    if let Some(file) = &user.password.file {
        if file.starts_with("/run/") {
            // Decrypted there by agenix or sops-nix, with a key that has to be there.
            if has_identity(machine, &users.identities)? {
                return Ok(Password::Set);
            }
            ways.missing_files.extend(users.identities.iter().cloned());
        } else if let Some(real) = leads(machine, Path::new(file))? {
            let text = machine.files.text(&real)?.unwrap_or_default();
            let found = judged(text.lines().next().unwrap_or_default());
            if found == Password::None {
                ways.out.push(format!("{file}, for {}, has no hash of a password", user.name));
            }
            return Ok(found);
        } else {
            ways.missing_files.push(file.clone());
        }
    }
    Ok(match user.password.kind {
        PasswordKind::Crypt | PasswordKind::Text => Password::Set,
        PasswordKind::Empty | PasswordKind::EmptyText => Password::Empty,
        PasswordKind::None | PasswordKind::Locked => Password::None,
        PasswordKind::Invalid => {
            let option = user.password.option.as_deref().unwrap_or("hashedPassword");
            let why = format!("users.users.{}.{option} is no hash of a password", user.name);
            ways.out.push(why);
            Password::None
        }
    })
}

fn judged(hash: &str) -> Password {
    match crypt::judge(hash) {
        Hash::Set => Password::Set,
        Hash::Empty => Password::Empty,
        Hash::Locked | Hash::Invalid => Password::None,
    }
}

/// Whether one of the keys is there with which passwords are decrypted. Where none
/// is named, they are made in a way that is not known here.
fn has_identity(machine: &Machine<'_>, identities: &[String]) -> Result<bool> {
    for identity in identities {
        if leads(machine, Path::new(identity))?.is_some() {
            return Ok(true);
        }
    }
    Ok(identities.is_empty())
}

fn judge(ways: &Ways) -> Vec<Finding> {
    let mut findings = Vec::new();
    let locked_out = ways.console.is_empty() && ways.ssh.is_empty();
    if let Some(first) = ways.missing_files.first() {
        let found =
            format!("passwords need {}, which will not be there", ways.missing_files.join(", "));
        let fix = format!("Keep it: --keep {}", first.trim_start_matches('/'));
        findings.push(Finding::warning(
            "password-file",
            found,
            "Those users would have the password of their other options, or none",
            fix,
        ));
    }
    let why =
        if ways.out.is_empty() { String::new() } else { format!(": {}", ways.out.join("; ")) };
    let names = ways.ssh.join(", ");
    let unknown = ways.unknown.first();
    findings.push(match (ways.console.is_empty(), ways.ssh.is_empty(), ways.sshd) {
        (true, true, None) => Finding::unchecked(
            "login",
            format!("no user has a password, and whether sshd runs is not known{why}"),
            FIX,
        ),
        (true, true, _) if unknown.is_some() => Finding::unchecked(
            "login",
            format!(
                "no user has a password, and whether one gets in over SSH is not known: {}",
                ways.unknown.join("; ")
            ),
            FIX,
        ),
        (true, true, _) if ways.passwords > 0 => Finding::blocker(
            "login",
            format!("there is no console to log in at, and nobody can log in over SSH{why}"),
            "Everybody would be locked out (nixos-infect#138)",
            "users.users.root.openssh.authorizedKeys.keys = [ \"ssh-ed25519 …\" ];",
        ),
        (true, true, _) => Finding::blocker(
            "login",
            format!("no user has a password, and nobody can log in over SSH{why}"),
            "Everybody would be locked out (nixos-infect#138)",
            FIX,
        ),
        (true, false, _) if ways.no_console => Finding::warning(
            "login",
            format!("{names} can log in over SSH, and there is no console to log in at"),
            "If the network does not come up, nobody gets in",
            "console.enable = true;",
        ),
        (true, false, _) => Finding::warning(
            "login",
            format!("{names} can log in over SSH, and no user has a password"),
            "If the network does not come up, the console lets nobody in",
            "users.users.root.hashedPassword = \"…\"; # mkpasswd",
        ),
        (false, false, _) => {
            Finding::ok("login", "logins are possible at the console and over SSH")
        }
        (false, true, Some(false)) => Finding::warning(
            "login",
            "there is no SSH server in the configuration",
            "Logins are possible at the console only",
            "services.openssh.enable = true;\n\
             users.users.root.openssh.authorizedKeys.keys = [ \"ssh-ed25519 …\" ];",
        ),
        (false, true, _) => match unknown {
            Some(unknown) => Finding::unchecked(
                "login",
                format!("whether somebody gets in over SSH is not known: {unknown}"),
                "Logins at the console are possible",
            ),
            None => Finding::warning(
                "login",
                format!("nobody can log in over SSH{why}"),
                "Logins are possible at the console only",
                "users.users.root.openssh.authorizedKeys.keys = [ \"ssh-ed25519 …\" ];",
            ),
        },
    });
    // Where they are the reason, that has been said.
    if !locked_out && !ways.ssh.is_empty() && !ways.out.is_empty() {
        findings.push(Finding::warning(
            "authorized-keys",
            ways.out.join("; "),
            "They would not get in by that",
            "users.users.NAME.openssh.authorizedKeys.keys = [ \"ssh-ed25519 …\" ];",
        ));
    }
    findings
}

fn mutable(users: &Users, ways: &Ways) -> Finding {
    let id = "mutable-users";
    if users.mutable != Some(false) {
        return Finding::ok(id, "passwords can be set on the running NixOS");
    }
    if ways.passwords == 0 {
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

    fn level(console: &[&str], ssh: &[&str], sshd: bool) -> Level {
        let names = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        let (console, ssh, sshd) = (names(console), names(ssh), Some(sshd));
        judge(&Ways { console, ssh, sshd, ..Ways::default() })[0].level
    }

    #[test]
    fn only_no_way_in_at_all_blocks() {
        assert_eq!(level(&[], &[], true), Level::Blocker);
        assert_eq!(level(&[], &[], false), Level::Blocker);
        assert_eq!(level(&[], &["root"], true), Level::Warning);
        assert_eq!(level(&["root"], &[], true), Level::Warning);
        assert_eq!(level(&["root"], &["alice"], true), Level::Ok);
        let unknown = Ways { unknown: vec!["x".into()], sshd: Some(true), ..Ways::default() };
        assert!(!judge(&unknown)[0].checked);
    }

    #[test]
    fn a_day_is_past_when_it_has_begun() {
        // 2027-01-15
        assert!(is_past("2020-01-01", 1_800_000_000) && is_past("2027-01-15", 1_800_000_000));
        assert!(!is_past("2027-01-16", 1_800_000_000) && !is_past("never", 1_800_000_000));
    }
}
