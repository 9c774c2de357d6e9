//! What the boot loaders of distributions have on an ESP, by name. Pure.

/// What is never a distribution's own, whatever it is called: the firmware's, another
/// system's, or NixOS's.
const NEVER: [&str; 7] = ["boot", "microsoft", "apple", "nixos", "systemd", "linux", "tools"];

/// Distributions whose directory below `EFI` is not called as their `ID=`.
const OTHER: [(&str, &str); 12] = [
    ("rhel", "redhat"),
    ("ol", "redhat"),
    ("scientific", "redhat"),
    ("nobara", "fedora"),
    ("ultramarine", "fedora"),
    ("raspbian", "debian"),
    ("linuxmint", "ubuntu"),
    ("zorin", "ubuntu"),
    ("elementary", "ubuntu"),
    ("tuxedo", "ubuntu"),
    ("sled", "sles"),
    ("sle_hpc", "sles"),
];

/// Whether a directory below `EFI` is that of the distribution with this `ID=`: upper
/// and lower case are the same there.
#[must_use]
pub(crate) fn has(id: &str, directory: &str) -> bool {
    let (id, directory) = (id.to_ascii_lowercase(), directory.to_ascii_lowercase());
    if id.is_empty() || NEVER.contains(&directory.as_str()) {
        return false;
    }
    // `Pop_OS-` and the UUID of its root; opensuse-leap, opensuse-tumbleweed.
    directory == id
        || OTHER.contains(&(id.as_str(), directory.as_str()))
        || id == "pop" && directory.starts_with("pop_os-")
        || id.starts_with("opensuse-") && directory == "opensuse"
        || id.starts_with("sles_") && directory == "sles"
}

/// Whether a token of kernel-install can be the name of a directory of its.
#[must_use]
pub(crate) fn is_token(token: &str) -> bool {
    let lower = token.to_ascii_lowercase();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let of_others = ["efi", "loader", "grub", "grub2", "extlinux"].contains(&lower.as_str());
    !of_others
        && !NEVER.contains(&lower.as_str())
        && !token.is_empty()
        && !token.starts_with('.')
        && token.bytes().all(is_plain)
}

/// The file system that a `grub.cfg` on an ESP leads to, by its UUID.
#[must_use]
pub(crate) fn searched(cfg: &str) -> Option<&str> {
    let is_search = |line: &&str| line.contains("search.fs_uuid") || line.contains("--fs-uuid");
    let line =
        cfg.lines().map(str::trim).find(|line| line.starts_with("search") && is_search(line))?;
    let is_uuid = |word: &&str| {
        let digits = word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        digits && word.len() >= 9 && !word.starts_with('-')
    };
    line.split_whitespace().map(|word| word.trim_matches(['"', '\''])).find(is_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distribution_has_its_directory() {
        for (id, directory) in [
            ("debian", "debian"),
            ("ubuntu", "ubuntu"),
            ("fedora", "fedora"),
            ("rhel", "redhat"),
            ("ol", "redhat"),
            ("rocky", "rocky"),
            ("opensuse-leap", "opensuse"),
            ("opensuse-tumbleweed", "opensuse"),
            ("sles", "SLES"),
            ("linuxmint", "ubuntu"),
            ("pop", "Pop_OS-0a1b"),
            ("manjaro", "Manjaro"),
            ("arch", "arch"),
        ] {
            assert!(has(id, directory), "{id} {directory}");
        }
        for (id, directory) in [
            ("debian", "ubuntu"),
            ("ubuntu", "debian"),
            ("", ""),
            ("pop", "ubuntu"),
            ("boot", "BOOT"),
            ("microsoft", "Microsoft"),
            ("nixos", "nixos"),
            ("opensuse-leap", "sles"),
        ] {
            assert!(!has(id, directory), "{id} {directory}");
        }
    }

    #[test]
    fn a_token_is_no_directory_of_others() {
        for token in ["0123456789abcdef0123456789abcdef", "fedora", "arch-1.0"] {
            assert!(is_token(token), "{token}");
        }
        for token in ["", "EFI", "loader", "..", "a/b", "nixos", ".x", "a b"] {
            assert!(!is_token(token), "{token}");
        }
    }

    #[test]
    fn a_grub_cfg_on_an_esp_says_which_file_system_it_leads_to() {
        let uuid = "3a6f1f3c-0000-4000-8000-000000000001";
        for cfg in [
            format!("search.fs_uuid {uuid} root hd0,gpt2 \nset prefix=($root)'/boot/grub'\n"),
            format!("search --no-floppy --root-dev-only --fs-uuid --set=dev {uuid}\nset x\n"),
            format!("set x=1\n  search --no-floppy --fs-uuid --set=root --hint='a' \"{uuid}\"\n"),
        ] {
            assert_eq!(searched(&cfg), Some(uuid), "{cfg}");
        }
        assert_eq!(searched("configfile (hd0)/boot/grub/grub.cfg\n"), None);
    }
}
