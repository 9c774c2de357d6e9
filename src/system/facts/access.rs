//! Who gets in: users, sshd, consoles.

use serde::Deserialize;

use super::facts;

/// The password that a user has who does not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase")]
pub(crate) enum PasswordKind {
    #[default]
    None,
    Locked,
    /// The hash is an empty text: none is asked for.
    Empty,
    EmptyText,
    Text,
    /// A hash that libxcrypt takes.
    Crypt,
    /// One that it does not.
    Invalid,
}

facts! {
    struct Users {
        mutable: Option<bool>,
        manager: Option<String>,
        identities: Vec<String>,
        list: Vec<User>,
    }
    struct User {
        name: String,
        uid: Option<u32>,
        normal: Option<bool>,
        groups: Vec<String>,
        home: Option<String>,
        create_home: Option<bool>,
        home_mode: Option<String>,
        shell: Option<String>,
        lets_in: bool,
        expires: Option<String>,
        password: Password,
        keys: u64,
        key_files: Vec<String>,
        principals: u64,
    }
    struct Password {
        kind: PasswordKind,
        option: Option<String>,
        file: Option<String>,
    }
    struct Sshd {
        enable: Option<bool>,
        socket: Option<bool>,
        ports: Vec<u16>,
        listen: Vec<Listen>,
        open_firewall: Option<bool>,
        authorized_keys_files: Vec<String>,
        host_keys: Vec<String>,
    }
    struct Listen {
        address: Option<String>,
        port: Option<u16>,
    }
    struct Console {
        screen: Option<bool>,
        serial: Vec<String>,
        autologin: Option<String>,
    }
}
