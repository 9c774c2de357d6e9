//! How the fields of an intent are written and read back: each kind of value
//! once, for both ways.

use super::{Direction, Flagged, Pin, RootLook};
use crate::engine::time::Timestamp;
use crate::fs::name::{Name, RelPath};

/// A text in the making.
#[derive(Default)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

impl Text {
    pub(super) fn line(&mut self, key: &str, value: &impl Value) {
        self.bytes.extend(key.bytes());
        value.write(self);
        self.bytes.push(b'\n');
        self.lines += 1;
    }

    fn word(&mut self, value: &[u8]) {
        self.bytes.push(b' ');
        for &b in value {
            match b {
                b'\\' => self.bytes.extend(b"\\x5c"),
                b'!'..=b'~' => self.bytes.push(b),
                _ => {
                    let hex = b"0123456789abcdef";
                    let (high, low) = (usize::from(b >> 4), usize::from(b & 15));
                    self.bytes.extend([b'\\', b'x', hex[high], hex[low]]);
                }
            }
        }
    }
}

/// The words of a line behind its key.
pub(super) struct Words<'a>(pub(super) std::slice::Split<'a, u8, fn(&u8) -> bool>);

impl Words<'_> {
    fn word(&mut self) -> Option<Vec<u8>> {
        unescape(self.0.next()?)
    }

    /// Nothing is left.
    pub(super) fn end(&mut self) -> Option<()> {
        self.0.next().is_none().then_some(())
    }
}

/// What one line can say.
pub(super) trait Value: Sized {
    fn write(&self, text: &mut Text);
    fn read(words: &mut Words<'_>) -> Option<Self>;
}

/// How often a line is there, and what its lines make together.
pub(super) trait Field {
    /// It has to be there.
    const MUST: bool;
    fn lines(&self, key: &str, text: &mut Text);
    /// Takes one more line; `None` if it is not understood, or one too many.
    fn accept(&mut self, words: &mut Words<'_>, seen: bool) -> Option<()>;
}

impl<T: Value> Field for T {
    const MUST: bool = true;

    fn lines(&self, key: &str, text: &mut Text) {
        text.line(key, self);
    }

    fn accept(&mut self, words: &mut Words<'_>, seen: bool) -> Option<()> {
        *self = T::read(words).filter(|_| !seen)?;
        Some(())
    }
}

impl<T: Value> Field for Option<T> {
    const MUST: bool = false;

    fn lines(&self, key: &str, text: &mut Text) {
        if let Some(value) = self {
            text.line(key, value);
        }
    }

    fn accept(&mut self, words: &mut Words<'_>, seen: bool) -> Option<()> {
        *self = Some(T::read(words).filter(|_| !seen)?);
        Some(())
    }
}

impl<T: Value> Field for Vec<T> {
    const MUST: bool = false;

    fn lines(&self, key: &str, text: &mut Text) {
        for value in self {
            text.line(key, value);
        }
    }

    fn accept(&mut self, words: &mut Words<'_>, _: bool) -> Option<()> {
        self.push(T::read(words)?);
        Some(())
    }
}

impl Value for String {
    fn write(&self, text: &mut Text) {
        text.word(self.as_bytes());
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        Self::from_utf8(words.word()?).ok()
    }
}

impl Value for u64 {
    fn write(&self, text: &mut Text) {
        text.word(self.to_string().as_bytes());
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        number(words.0.next()?)
    }
}

impl Value for u32 {
    fn write(&self, text: &mut Text) {
        u64::from(*self).write(text);
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        u64::read(words)?.try_into().ok()
    }
}

impl Value for Timestamp {
    fn write(&self, text: &mut Text) {
        self.0.write(text);
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        u64::read(words).map(Self)
    }
}

impl Value for Direction {
    fn write(&self, text: &mut Text) {
        text.word(self.word().as_bytes());
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        let word = words.0.next()?;
        [Self::Lustrate, Self::Revert].into_iter().find(|d| d.word().as_bytes() == word)
    }
}

impl Value for Name {
    fn write(&self, text: &mut Text) {
        text.word(self.as_bytes());
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        Self::take(words.word()?).ok()
    }
}

impl Value for RelPath {
    fn write(&self, text: &mut Text) {
        text.word(&self.to_bytes());
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        path(&words.word()?)
    }
}

impl Value for (Name, Pin) {
    fn write(&self, text: &mut Text) {
        text.word(self.1.word().as_bytes());
        self.0.write(text);
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        let word = words.0.next()?;
        let (pin, _) = Pin::ALL.into_iter().find(|(_, w)| w.as_bytes() == word)?;
        Some((Name::read(words)?, pin))
    }
}

impl Value for (Name, Name) {
    fn write(&self, text: &mut Text) {
        self.0.write(text);
        self.1.write(text);
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        Some((Name::read(words)?, Name::read(words)?))
    }
}

impl Value for Flagged {
    fn write(&self, text: &mut Text) {
        self.inode.write(text);
        self.flags.write(text);
        match &self.path {
            Some(path) => path.write(text),
            None => text.word(b"/"),
        }
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        let (inode, flags) = (u64::read(words)?, u32::read(words)?);
        let whose = words.word()?;
        let path = if whose == b"/" { None } else { Some(path(&whose)?) };
        Some(Self { path, inode, flags })
    }
}

impl Value for (u64, Timestamp) {
    fn write(&self, text: &mut Text) {
        self.0.write(text);
        self.1.write(text);
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        Some((u64::read(words)?, Timestamp::read(words)?))
    }
}

impl Value for RootLook {
    fn write(&self, text: &mut Text) {
        for number in [self.mode, self.uid, self.gid] {
            number.write(text);
        }
        for (seconds, nanoseconds) in [self.accessed, self.modified] {
            // Before 1970 as the same 64 bits.
            seconds.cast_unsigned().write(text);
            nanoseconds.write(text);
        }
    }

    fn read(words: &mut Words<'_>) -> Option<Self> {
        let [mode, uid, gid] = [u32::read(words)?, u32::read(words)?, u32::read(words)?];
        let mut time = || Some((u64::read(words)?.cast_signed(), u32::read(words)?));
        Some(Self { mode, uid, gid, accessed: time()?, modified: time()? })
    }
}

/// Decimal digits, the way that they are written: no sign, no leading zero.
pub(super) fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]);
    std::str::from_utf8(digits).ok().filter(|_| canonical)?.parse().ok()
}

/// A path exactly as it is written: no empty components.
fn path(bytes: &[u8]) -> Option<RelPath> {
    RelPath::parse(bytes).ok().filter(|p| p.to_bytes() == bytes)
}

/// Undoes the escape; `None` where a byte stands that would have been escaped.
fn unescape(value: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'\\' => {
                let [b'x', high, low, after @ ..] = tail else { return None };
                let byte = digit(*high)? << 4 | digit(*low)?;
                if byte != b'\\' && (b'!'..=b'~').contains(&byte) {
                    return None;
                }
                bytes.push(byte);
                rest = after;
            }
            b'!'..=b'~' => bytes.push(first),
            _ => return None,
        }
    }
    Some(bytes)
}
