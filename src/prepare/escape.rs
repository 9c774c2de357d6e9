//! Names as text in the state file: as in messages, and back again.

use crate::fs::name::{Name, RelPath, Shown};

/// Any bytes as text.
#[must_use]
pub(crate) fn escape(bytes: &[u8]) -> String {
    Shown(bytes).to_string()
}

/// Undoes [`escape`]; `None` for what it does not write.
#[must_use]
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                rest = after;
            }
            (b'\\', [b'x', a, b, after @ ..]) => {
                let digits = [*a, *b];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            (b'\\', _) => return None,
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    Some(bytes)
}

/// A path; the empty text is the place itself. `None` for what leads elsewhere.
#[must_use]
pub(crate) fn path(text: &str) -> Option<Vec<Name>> {
    let bytes = unescape(text)?;
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    RelPath::parse(&bytes).ok().map(|path| path.names().to_vec())
}

/// A path as text.
#[must_use]
pub(crate) fn of_path(names: &[Name]) -> String {
    escape(&names.iter().map(Name::as_bytes).collect::<Vec<_>>().join(&b'/'))
}

/// Bytes as hexadecimal digits.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_read(text in "[a/.\\\\x0-9]{0,12}") {
            for name in path(&text).unwrap_or_default() {
                prop_assert!(name.as_bytes() != b"..");
            }
        }
    }
}
