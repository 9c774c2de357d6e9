//! Hashes of passwords (crypt(5)), as the libxcrypt of nixpkgs reads them, which
//! has the strong schemes only. Pure.

/// What a hash is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    /// A password is asked for, and one fits.
    Set,
    /// None is asked for.
    Empty,
    /// None fits.
    Locked,
    /// None fits, though it looks as if one did.
    Invalid,
}

/// The schemes, and how many digits the hash has that comes last.
const SCHEMES: [(&str, usize); 7] =
    [("y", 43), ("gy", 43), ("7", 43), ("6", 86), ("2a", 53), ("2b", 53), ("2y", 53)];

/// Of a field of `/etc/shadow`, or a file with a hash.
#[must_use]
pub(crate) fn judge(hash: &str) -> Hash {
    if hash.is_empty() {
        return Hash::Empty;
    }
    if hash.starts_with(['!', '*']) {
        return Hash::Locked;
    }
    let scheme = hash.strip_prefix('$').and_then(|rest| rest.split_once('$'));
    let digits = scheme.and_then(|(id, rest)| {
        let length = SCHEMES.iter().find(|(known, _)| *known == id)?.1;
        Some((length, rest.rsplit('$').next()?))
    });
    let whole = |(length, last): (usize, &str)| {
        let is_digit = |b: u8| b.is_ascii_alphanumeric() || b"./".contains(&b);
        last.len() == length && last.bytes().all(is_digit)
    };
    if digits.is_some_and(whole) { Hash::Set } else { Hash::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_hashes_of_strong_schemes_fit() {
        let (short, long) = ("A".repeat(43), "b/".repeat(43));
        for hash in [
            format!("$y$j9T$salt${short}"),
            format!("$6$salt${long}"),
            format!("$6$rounds=5000$s${long}"),
            format!("$2b$05${}", "a".repeat(53)),
        ] {
            assert_eq!(judge(&hash), Hash::Set, "{hash}");
        }
        for hash in [
            "$y$…",
            "$6$",
            "$6$a$b",
            "$1$salt$abc",
            "hunter2",
            &format!("$5$s${short}"),
            &format!("$y$j9T$salt${short}="),
        ] {
            assert_eq!(judge(hash), Hash::Invalid, "{hash}");
        }
        assert_eq!((judge(""), judge("!"), judge("*")), (Hash::Empty, Hash::Locked, Hash::Locked));
        assert_eq!(judge(&format!("!$6$salt${long}")), Hash::Locked);
    }
}
