//! Whether sshd lets a user in: by what stands in the closure's `sshd_config`.

use super::keys::{self, Keys};
use super::{Login, Machine, Password};
use crate::machine::files::Result;
use crate::system::sshd_config::{Settings, SshdConfig, Unknown, Who, glob, is_user};

/// Whether sshd does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    In,
    /// What it depends on.
    Unknown(String),
    /// Why not, where there is a key or a password.
    Out(Option<String>),
}

pub(super) fn lets_in(
    machine: &Machine<'_>,
    config: &SshdConfig,
    login: &Login<'_>,
) -> Result<Answer> {
    let of = |unknown| -> Result<Answer> {
        let who = Who { name: &login.user.name, groups: &login.user.groups, unknown };
        let settings = config.of(who);
        let keys = keys::of(machine, &settings, login)?;
        Ok(judge(&settings, who, login.password, &keys))
    };
    let (fits, fails) = (of(Unknown::Fits)?, of(Unknown::Fails)?);
    let name = &login.user.name;
    if let Some(file) = config.includes.first() {
        return Ok(Answer::Unknown(format!("sshd_config includes {file}, which is not read here")));
    }
    if matches!(fits, Answer::In) != matches!(fails, Answer::In) {
        let why = format!("sshd lets {name} in from some addresses, and not from others");
        return Ok(Answer::Unknown(why));
    }
    Ok(fails)
}

/// Pure: what the settings let in.
fn judge(settings: &Settings, who: Who<'_>, password: Password, keys: &Keys) -> Answer {
    let name = who.name;
    let is_root = name == "root";
    let has_way = keys.any() || (password != Password::None && !is_root);
    let out = |why: String| Answer::Out(has_way.then_some(why));
    let lists = |keyword| settings.all(keyword).iter().any(|pattern| is_user(pattern, who));
    let groups = |keyword| {
        let fits = |pattern: &String| who.groups.iter().any(|group| glob(pattern, group));
        settings.all(keyword).iter().any(fits)
    };
    let set = |keyword| !settings.all(keyword).is_empty();
    for (keyword, refuses) in [
        ("DenyUsers", lists("denyusers")),
        ("AllowUsers", set("allowusers") && !lists("allowusers")),
        ("DenyGroups", groups("denygroups")),
        ("AllowGroups", set("allowgroups") && !groups("allowgroups")),
    ] {
        if refuses {
            return out(format!("{keyword} of sshd keeps {name} out"));
        }
    }
    let root = settings.first("permitrootlogin").unwrap_or("prohibit-password");
    let root = root.to_lowercase();
    if is_root && ["no", "forced-commands-only"].contains(&root.as_str()) {
        return out(format!("PermitRootLogin of sshd is {root}"));
    }
    if settings.first("forcecommand").is_some_and(|command| command != "none") {
        return out(format!("ForceCommand of sshd gives {name} no shell"));
    }
    let by_key = settings.is_on("pubkeyauthentication", true);
    let passwords = match password {
        Password::None => false,
        Password::Set => true,
        Password::Empty => settings.is_on("permitemptypasswords", false),
    } && (!is_root || root == "yes");
    let by_password = passwords && settings.is_on("passwordauthentication", true);
    let asked = passwords
        && settings.is_on("kbdinteractiveauthentication", true)
        && settings.is_on("usepam", false);
    let methods = settings.all("authenticationmethods");
    let usable = |keys: usize, methods: &str| {
        let mut left = keys;
        methods.split(',').all(|method| match method.split(':').next().unwrap_or_default() {
            "publickey" => {
                let has = by_key && left > 0;
                left = left.saturating_sub(1);
                has
            }
            "password" => by_password,
            "keyboard-interactive" => asked,
            _ => false,
        })
    };
    let lets_in = |keys: usize| match methods {
        [] => (by_key && keys > 0) || by_password || asked,
        [any] if any == "any" => (by_key && keys > 0) || by_password || asked,
        list => list.iter().any(|methods| usable(keys, methods)),
    };
    if lets_in(keys.usable) {
        return Answer::In;
    }
    if let Some(unknown) = keys.unknown.first().filter(|_| lets_in(usize::MAX)) {
        return Answer::Unknown(unknown.clone());
    }
    if keys.usable > 0 && !by_key {
        return out(format!("PubkeyAuthentication of sshd is no, and {name} has nothing else"));
    }
    if keys.usable > 0 {
        return out(format!("AuthenticationMethods of sshd ask {name} for more than a key"));
    }
    Answer::Out((!keys.useless.is_empty()).then(|| keys.useless.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(config: &str, name: &str, password: Password, usable: usize) -> Answer {
        let groups = ["users".to_owned()];
        let who = Who { name, groups: &groups, unknown: Unknown::Fails };
        let keys = Keys { usable, ..Keys::default() };
        judge(&SshdConfig::parse(config).of(who), who, password, &keys)
    }

    #[test]
    fn each_keyword_that_keeps_out_is_named() {
        for (config, lets_in) in [
            ("", true),
            ("PubkeyAuthentication no", false),
            ("AllowUsers alice", false),
            ("AllowUsers alice ro*", true),
            ("DenyUsers root", false),
            ("DenyUsers !root", true),
            ("AllowGroups wheel", false),
            ("AllowGroups wheel u?ers", true),
            ("DenyGroups users", false),
            ("AuthenticationMethods publickey,password", false),
            ("AuthenticationMethods publickey,publickey", false),
            ("AuthenticationMethods publickey,password publickey", true),
            ("AuthenticationMethods any", true),
            ("PermitRootLogin no", false),
            ("PermitRootLogin=\"forced-commands-only\"", false),
            ("PermitRootLogin without-password", true),
            ("ForceCommand internal-sftp", false),
            ("Match User root\nForceCommand none", true),
            ("PermitRootLogin yes\nMatch User root\nPermitRootLogin no", false),
        ] {
            let found = answer(config, "root", Password::None, 1);
            assert_eq!(found == Answer::In, lets_in, "{config}: {found:?}");
            assert!(lets_in || matches!(found, Answer::Out(Some(_))), "{config}: {found:?}");
        }
    }

    #[test]
    fn passwords_let_in_others_than_root() {
        let is_in =
            |config: &str, name: &str, password| answer(config, name, password, 0) == Answer::In;
        assert!(is_in("", "alice", Password::Set) && !is_in("", "root", Password::Set));
        assert!(is_in("PermitRootLogin yes", "root", Password::Set));
        assert!(!is_in("PasswordAuthentication no", "alice", Password::Set));
        let asks = "PasswordAuthentication no\nUsePAM yes";
        assert!(is_in(asks, "alice", Password::Set));
        assert!(!is_in(
            &format!("{asks}\nKbdInteractiveAuthentication no"),
            "alice",
            Password::Set
        ));
        assert!(!is_in("", "alice", Password::Empty) && !is_in("", "alice", Password::None));
        assert!(is_in("PermitEmptyPasswords yes", "alice", Password::Empty));
        let both = answer("AuthenticationMethods publickey,password", "alice", Password::Set, 1);
        assert_eq!(both, Answer::In);
    }
}
