//! `authorized_keys`, as sshd(8) reads it. Pure.

use crate::engine::time::Timestamp;

/// What a line is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// It lets its owner in.
    LetsIn,
    /// It lets in who has a certificate by it.
    Authority,
    /// It lets nobody in, or not to a shell: what it is.
    Useless(&'static str),
}

const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Those that have no value, each also as `no-NAME`.
const SWITCHES: [&str; 5] =
    ["agent-forwarding", "port-forwarding", "pty", "user-rc", "x11-forwarding"];
const FLAGS: [&str; 4] = ["cert-authority", "no-touch-required", "restrict", "verify-required"];
const VALUES: [&str; 8] = [
    "command",
    "environment",
    "expiry-time",
    "from",
    "permitlisten",
    "permitopen",
    "principals",
    "tunnel",
];

/// The lines that are neither empty nor a comment, at a time in seconds.
#[must_use]
pub(crate) fn keys(text: &str, now: u64) -> Vec<Key> {
    let now = Timestamp(now).digits();
    let mut found = Vec::new();
    let mut in_private = false;
    for line in text.lines().map(str::trim) {
        if in_private {
            in_private = !line.starts_with("-----END");
        } else if line.starts_with("-----BEGIN") {
            in_private = true;
            found.push(Key::Useless("a private key"));
        } else if !line.is_empty() && !line.starts_with('#') {
            found.push(key(line, &now));
        }
    }
    found
}

fn key(line: &str, now: &str) -> Key {
    // Options come first, when the line does not begin with a key.
    let Err(why) = blob(line) else { return Key::LetsIn };
    let Some((options, rest)) = options(line) else { return Key::Useless(why) };
    if let Err(in_rest) = blob(rest) {
        // Of a line without options, its own beginning says what is wrong.
        let known = options.iter().all(|(name, _)| is_option(name));
        return Key::Useless(if known { in_rest } else { why });
    }
    let (mut forced, mut expired, mut authority) = (false, false, false);
    for (name, value) in &options {
        match name.as_str() {
            _ if !is_option(name) => return Key::Useless("a key with an unknown option"),
            "command" => forced = true,
            "cert-authority" => authority = true,
            "expiry-time" => {
                let digits = value.trim_end_matches(['Z', 'z']);
                if ![8, 12, 14].contains(&digits.len())
                    || digits.bytes().any(|b| !b.is_ascii_digit())
                {
                    return Key::Useless("a key with a wrong expiry-time");
                }
                expired |= format!("{digits:0<14}").as_str() <= now;
            }
            _ => {}
        }
    }
    match (expired, forced, authority) {
        (true, ..) => Key::Useless("a key that has expired"),
        (_, true, _) => Key::Useless("a key with a forced command"),
        (.., true) => Key::Authority,
        _ => Key::LetsIn,
    }
}

fn is_option(name: &str) -> bool {
    let switch = name.strip_prefix("no-").unwrap_or(name);
    SWITCHES.contains(&switch) || FLAGS.contains(&name) || VALUES.contains(&name)
}

/// The options at the beginning of a line, and what is behind them. A space in
/// quotes ends no options.
fn options(line: &str) -> Option<(Vec<(String, String)>, &str)> {
    let (mut options, mut word) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                options.push(word);
                let split = |word: String| match word.split_once('=') {
                    Some((name, value)) => (name.to_lowercase(), value.to_owned()),
                    None => (word.to_lowercase(), String::new()),
                };
                return Some((options.into_iter().map(split).collect(), line[at..].trim_start()));
            }
            ',' if !quoted => options.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// Whether a text begins with a key that this sshd takes; if not, what it is.
fn blob(text: &str) -> Result<(), &'static str> {
    let mut words = text.split_whitespace();
    let kind = words.next().unwrap_or_default();
    if kind == "ssh-dss" {
        return Err("a DSA key, which sshd does not take");
    }
    if !KINDS.contains(&kind) {
        let bare = kind.starts_with("AAAA") && decoded(kind).is_some();
        return Err(if bare { "a key without its type" } else { "no key" });
    }
    let Some(data) = words.next() else { return Err("a type without a key") };
    if data.contains('…') || data.contains("...") {
        return Err("a placeholder");
    }
    let data = decoded(data).ok_or("a damaged key")?;
    let mut rest = data.as_slice();
    let named = field(&mut rest).ok_or("a damaged key")?;
    let parts: Vec<&[u8]> = std::iter::from_fn(|| field(&mut rest)).collect();
    let whole = rest.is_empty() && parts.iter().all(|part| !part.is_empty());
    let right = match kind {
        "ssh-ed25519" => parts.len() == 1 && parts[0].len() == 32,
        "ssh-rsa" => parts.len() == 2 && parts[1].len() >= 128,
        _ if kind.starts_with("ecdsa") => parts.len() == 2,
        "sk-ssh-ed25519@openssh.com" => parts.len() == 2 && parts[0].len() == 32,
        _ => parts.len() == 3,
    };
    if named == kind.as_bytes() && whole && right { Ok(()) } else { Err("a damaged key") }
}

/// A length in four bytes, and as many bytes.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (field, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = behind;
    Some(field)
}

/// Base64.
fn decoded(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes();
    let values: Option<Vec<usize>> =
        digits.map(|digit| DIGITS.iter().position(|&known| known == digit)).collect();
    let mut bytes = Vec::new();
    for chunk in values?.chunks(4) {
        let number =
            chunk.iter().fold(0, |number, value| number << 6 | value) << (6 * (4 - chunk.len()));
        let [_, triple @ ..] = u32::try_from(number).ok()?.to_be_bytes();
        bytes.extend_from_slice(triple.get(..chunk.len() - 1)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFvBpOO6nAFRUHk5WdZ0BtG0BXbIxjlZGNJiiMc3MdyB";
    const EC: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAAB\
        AgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8= a";

    fn one(line: &str) -> Key {
        // 2027-01-15T08:00:00Z
        let found = keys(line, 1_800_000_000);
        assert_eq!(found.len(), 1, "{line}");
        found[0]
    }

    #[test]
    fn keys_let_in_whatever_else_their_options_say() {
        for line in [
            KEY.to_owned(),
            format!("{KEY} alice@home"),
            EC.to_owned(),
            format!("from=\"192.0.2.0/24,!192.0.2.9\",no-pty {KEY} x"),
            format!("environment=\"A=\\\"b c\\\"\" {KEY}"),
            format!("expiry-time=\"20270116\" {KEY}"),
            format!("expiry-time=\"202701150801Z\",Restrict,pty {KEY}"),
        ] {
            assert_eq!(one(&line), Key::LetsIn, "{line}");
        }
        assert_eq!(keys(&format!("\n # none\n{KEY}\n\t{EC}\n"), 0).len(), 2);
        assert_eq!(one(&format!("cert-authority,principals=\"a\" {KEY}")), Key::Authority);
    }

    #[test]
    fn what_lets_nobody_in_is_told_apart() {
        let blob = KEY.split(' ').nth(1).expect("a blob");
        let private =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";
        for (line, what) in [
            ("ssh-ed25519 AAAA… you@home".to_owned(), "a placeholder"),
            ("ssh-ed25519 AAAA... you@home".to_owned(), "a placeholder"),
            ("ssh-ed25519".to_owned(), "a type without a key"),
            ("ssh-ed25519 AAAA".to_owned(), "a damaged key"),
            (format!("ssh-rsa {blob}"), "a damaged key"),
            (KEY[..KEY.len() - 4].to_owned(), "a damaged key"),
            (format!("{blob} me@host"), "a key without its type"),
            ("ssh-dss AAAAB3NzaC1kc3MAAACB me".to_owned(), "a DSA key, which sshd does not take"),
            ("<html><body>404 Not Found</body></html>".to_owned(), "no key"),
            (private.to_owned(), "a private key"),
            (
                format!(
                    "no-pty,command=\"echo 'Please login as \\\"debian\\\"';sleep 10\" {KEY} x"
                ),
                "a key with a forced command",
            ),
            (format!("expiry-time=\"20270115\" {KEY}"), "a key that has expired"),
            (format!("expiry-time=\"soon\" {KEY}"), "a key with a wrong expiry-time"),
            (format!("allow-all {KEY}"), "a key with an unknown option"),
            (format!("from=\"192.0.2.1 {KEY}"), "no key"),
        ] {
            assert_eq!(one(&line), Key::Useless(what), "{line}");
        }
    }

    #[test]
    fn base64_of_any_length_is_decoded() {
        assert_eq!(decoded("TWFu").as_deref(), Some(&b"Man"[..]));
        assert_eq!(decoded("TWE=").as_deref(), Some(&b"Ma"[..]));
        assert_eq!(decoded("TQ==").as_deref(), Some(&b"M"[..]));
        assert_eq!((decoded("T"), decoded("T*==")), (Some(Vec::new()), None));
    }
}
