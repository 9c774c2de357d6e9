//! What of boot files is NixOS's, by text and name.

use std::collections::BTreeSet;

const STORE: &[u8] = b"/nix/store/";
const SYSTEM: &[u8] = b"-nixos-system-";

/// The systems in a store that a text, or an image, names as what to boot.
#[must_use]
pub(crate) fn systems(content: &[u8]) -> BTreeSet<String> {
    let is_of_name = |b: &u8| b.is_ascii_alphanumeric() || b"+-._?=".contains(b);
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(next) = content.get(at..).and_then(|rest| find(rest, STORE)) {
        let start = at + next + STORE.len();
        let rest = content.get(start..).unwrap_or_default();
        let length = rest.iter().take_while(|b| is_of_name(b)).count();
        let name = rest.get(..length).unwrap_or_default();
        let before = content.get(..at + next).unwrap_or_default();
        if !name.is_empty() && (before.ends_with(b"init=") || is_system(name)) {
            found.insert(String::from_utf8_lossy(name).into_owned());
        }
        at = start;
    }
    found
}

/// Whether an entry of the store is a system, by its name.
#[must_use]
pub(crate) fn is_system(name: &[u8]) -> bool {
    find(name, SYSTEM).is_some()
}

/// Whether a text chooses among the entries that NixOS's systemd-boot has.
#[must_use]
pub(crate) fn lists_generations(text: &[u8]) -> bool {
    find(text, b"nixos-generation-").is_some()
}

/// Whether a name begins as those in the store do: 32 digits and a hyphen.
#[must_use]
pub(crate) fn is_of_store(name: &[u8]) -> bool {
    let is_digit = |b: &u8| b"0123456789abcdfghijklmnpqrsvwxyz".contains(b);
    name.get(..32).is_some_and(|digits| digits.iter().all(is_digit)) && name.get(32) == Some(&b'-')
}

/// Whether a directory is one that only a boot loader of NixOS makes (nixpkgs,
/// nixos/modules/system/boot/loader).
#[must_use]
pub(crate) fn makes(name: &[u8]) -> bool {
    matches!(name, b"kernels" | b"nixos") || name.starts_with(b"NixOS-boot")
}

/// Quicker than windows of each length: images are large.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = 0;
    loop {
        at += text.get(at..)?.iter().position(|&b| b == first)?;
        if text.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_system_of_any_store_is_seen() {
        let named = |text: &str| systems(text.as_bytes()).into_iter().collect::<Vec<_>>();
        assert_eq!(named("linux /k init=/nix/store/abc-custom/init quiet"), ["abc-custom"]);
        assert_eq!(
            named("x\0/nix/store/abc-nixos-system-m-26.05/init\0"),
            ["abc-nixos-system-m-26.05"]
        );
        assert_eq!(named("font /nix/store/abc-dejavu/x.ttf /nix/store/"), [""; 0]);
        assert_eq!(named("init=/nix/store/a/init init=/nix/store/b/init"), ["a", "b"]);
        assert_eq!(named("/sbin/init"), [""; 0]);
    }

    #[test]
    fn a_name_of_the_store_has_its_hash() {
        assert!(is_of_store(b"0123456789abcdfghijklmnpqrsvwxyz-linux-6.12-bzImage"));
        assert!(!is_of_store(b"0123456789abcdef0123456789abcdef-6.1.conf"), "a machine id");
        assert!(!is_of_store(b"vmlinuz-6.1"));
    }
}
