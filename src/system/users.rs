//! The users that a configuration makes, as its activation script has them:
//! `users-groups.json`, or userborn's file of the same form.

use serde::Deserialize;

use crate::machine::files::{Files, Result};
use crate::system::closure::Closure;

/// What is said about the users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Users {
    /// Whether passwords set on the running system last.
    #[serde(default = "yes")]
    pub mutable_users: bool,
    /// All of them.
    pub users: Vec<User>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    /// The name.
    pub name: String,
    #[serde(default)]
    uid: Option<u32>,
    /// userborn's word for a person.
    #[serde(default)]
    is_normal: bool,
    #[serde(default)]
    home: Option<String>,
    #[serde(default)]
    hashed_password: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    initial_hashed_password: Option<String>,
    #[serde(default)]
    initial_password: Option<String>,
    #[serde(default)]
    hashed_password_file: Option<String>,
    #[serde(default)]
    password_file: Option<String>,
}

/// How a user gets past the prompt of a console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Password {
    /// Not at all.
    None,
    /// One is set.
    Set,
    /// None is asked for.
    Empty,
    /// It is in a file, which has to be there.
    File(String),
}

fn yes() -> bool {
    true
}

impl User {
    /// The password that the first boot gives.
    #[must_use]
    pub(crate) fn password(&self) -> Password {
        let file = self.hashed_password_file.as_ref().or(self.password_file.as_ref());
        if let Some(file) = file {
            return Password::File(file.clone());
        }
        if self.password.is_some() || self.initial_password.is_some() {
            return Password::Set;
        }
        match self.hashed_password.as_ref().or(self.initial_hashed_password.as_ref()) {
            Some(hash) if hash.is_empty() => Password::Empty,
            Some(hash) if hash.starts_with('$') || hash.starts_with('_') => Password::Set,
            Some(hash) if hash.len() == 13 => Password::Set, // DES, of long ago
            Some(_) | None => Password::None,
        }
    }

    /// Whether a person may log in as this user.
    #[must_use]
    pub(crate) fn is_person(&self) -> bool {
        self.name == "root"
            || self.uid.is_some_and(|uid| (1000..60_000).contains(&uid))
            || self.is_normal
            || self.home.as_ref().is_some_and(|home| home.starts_with("/home/"))
    }

    /// The home directory, without its leading `/`.
    #[must_use]
    pub(crate) fn home(&self) -> String {
        let default =
            if self.name == "root" { "root".into() } else { format!("home/{}", self.name) };
        self.home.as_ref().map_or(default, |home| home.trim_matches('/').to_owned())
    }
}

/// Reads them; `None` when the closure has no such file.
pub(crate) fn of(
    files: &Files,
    closure: &Closure,
) -> Result<Option<std::result::Result<Users, String>>> {
    let sources = ["activate", "etc/systemd/system/userborn.service"];
    for source in sources {
        let Some(text) = files.text(closure.top.join(source))? else { continue };
        let ends = |c: char| !(c.is_ascii_alphanumeric() || "+-._?=/".contains(c));
        let paths = text
            .match_indices("/nix/store/")
            .map(|(at, _)| text[at..].split(ends).next().unwrap_or_default());
        let named = ["users-groups.json", "userborn.json"];
        for path in paths.filter(|path| named.iter().any(|name| path.ends_with(name))) {
            if let Some(json) = files.read(path)? {
                return Ok(Some(serde_json::from_slice(&json).map_err(|e| format!("{path}: {e}"))));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(fields: &str) -> User {
        serde_json::from_str(&format!("{{\"name\": \"alice\", {fields}}}")).expect("a user")
    }

    #[test]
    fn a_locked_or_missing_hash_is_no_password() {
        for (fields, password) in [
            ("\"hashedPassword\": null", Password::None),
            ("\"hashedPassword\": \"!\"", Password::None),
            ("\"hashedPassword\": \"*\"", Password::None),
            ("\"hashedPassword\": \"\"", Password::Empty),
            ("\"hashedPassword\": \"$y$j9T$x\"", Password::Set),
            ("\"initialPassword\": \"x\"", Password::Set),
            ("\"hashedPasswordFile\": \"/p\"", Password::File("/p".into())),
        ] {
            assert_eq!(user(fields).password(), password, "{fields}");
        }
    }

    #[test]
    fn people_are_told_from_services() {
        assert!(user("\"uid\": 1000").is_person() && user("\"home\": \"/home/alice\"").is_person());
        assert!(!user("\"uid\": 998, \"home\": \"/var/empty\"").is_person());
        assert_eq!(user("\"uid\": 1000").home(), "home/alice");
    }
}
