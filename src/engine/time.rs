//! Points in time, in UTC, as they stand in records and in the names of older
//! old roots. Pure but for [`Timestamp::now`]; no calendar crate in an initrd.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::fs::name::Name;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time by the system's clock; an initrd's may be far off.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
    }

    /// Year, month, day, hour, minute, second.
    fn civil(self) -> [u64; 6] {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        // Years from 1 March, in eras of 400 years (146,097 days), so that a
        // leap day is the last day of its year.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
        let year = era * 400 + year + u64::from(month <= 2);
        [year, month, day, rest / 3_600, rest / 60 % 60, rest % 60]
    }

    /// `BASE-YYYYMMDDTHHMMSSZ`, the name of an older root of ours. A year with
    /// more digits, which a file may claim to be of, would not be known again.
    #[must_use]
    pub fn dated(self, base: &Name) -> Name {
        const LAST: Timestamp = Timestamp(253_402_300_799);
        let [year, month, day, hour, minute, second] = self.min(LAST).civil();
        base.with_suffix(&format!("-{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
    }

    /// `YYYYMMDDhhmmss`, to be compared with dates in files.
    #[cfg(feature = "full")]
    #[must_use]
    pub(crate) fn digits(self) -> String {
        let [year, month, day, hour, minute, second] = self.civil();
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }
}

/// Whether `name` is one that [`Timestamp::dated`] gives for `base`, perhaps
/// with `-N` behind it.
#[must_use]
pub fn is_dated(name: &Name, base: &Name) -> bool {
    let rest = name.as_bytes().strip_prefix(base.as_bytes());
    let Some([b'-', rest @ ..]) = rest else { return false };
    let Some((date, counter)) = rest.split_at_checked(16) else { return false };
    let shape = date.iter().zip(b"00000000T000000Z").all(|(&b, &want)| match want {
        b'0' => b.is_ascii_digit(),
        _ => b == want,
    });
    let suffix = match counter {
        [] => true,
        [b'-', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    shape && suffix
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second] = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_date_u() {
        // `date -u -d @N +%FT%TZ`
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_764_000_000, "2025-11-24T16:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp(seconds).to_string(), text);
        }
    }

    #[test]
    fn a_dated_name_is_known_again() {
        let base = Name::literal("old-root");
        let dated = Timestamp(951_782_399).dated(&base);
        assert_eq!(dated.to_string(), "old-root-20000228T235959Z");
        assert!(is_dated(&dated, &base));
        assert_eq!(Timestamp(u64::MAX).dated(&base).to_string(), "old-root-99991231T235959Z");
        for (name, is) in [
            ("old-root-20000228T235959Z-2", true),
            ("old-root-20000228T235959Z-", false),
            ("old-root-20000228T235959Zx", false),
            ("old-root", false),
            ("old-root-backup", false),
            ("old-rooting-20000228T235959Z", false),
        ] {
            assert_eq!(is_dated(&Name::new(name.as_bytes()).expect("name"), &base), is, "{name}");
        }
    }
}
