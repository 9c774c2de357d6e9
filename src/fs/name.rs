//! A single path component and relative paths made of them.
//!
//! File names are bytes. A [`Name`] can never be empty, `.`, `..`, or hold a
//! `/` or NUL, so (directory, name) never leads out of the directory (I2).

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// The longest name that Linux file systems store, in bytes (`NAME_MAX`).
pub(crate) const NAME_MAX: usize = 255;

/// The small build ends soon, and gives no memory back (`fs/sys/memory.rs`): there the
/// bytes of a name stay, so that neither cloning nor dropping one is code.
#[cfg(not(any(feature = "full", fuzzing)))]
mod bytes {
    pub(super) type Bytes = &'static [u8];

    pub(super) const fn of(bytes: &'static [u8]) -> Bytes {
        bytes
    }

    pub(super) fn kept(bytes: Vec<u8>) -> Bytes {
        bytes.leak()
    }

    pub(super) const fn seen(bytes: &Bytes) -> &[u8] {
        bytes
    }
}

#[cfg(any(feature = "full", fuzzing))]
mod bytes {
    use std::borrow::Cow;

    pub(super) type Bytes = Cow<'static, [u8]>;

    pub(super) const fn of(bytes: &'static [u8]) -> Bytes {
        Cow::Borrowed(bytes)
    }

    pub(super) fn kept(bytes: Vec<u8>) -> Bytes {
        Cow::Owned(bytes)
    }

    pub(super) fn seen(bytes: &Bytes) -> &[u8] {
        bytes
    }
}

/// One path component.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(bytes::Bytes);

/// A constant name, checked when it is compiled.
macro_rules! literal {
    ($name:literal) => {
        const { $crate::fs::name::Name::literal($name) }
    };
}
pub(crate) use literal;

/// Why bytes are not a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No bytes at all.
    #[error("an empty name")]
    Empty,
    /// `.` or `..`, which lead elsewhere.
    #[error("the name '.' or '..'")]
    Dots,
    /// A byte that no name can hold.
    #[error("a name with '/' or a NUL byte")]
    Byte,
    /// More than [`NAME_MAX`] bytes.
    #[error("a name of more than 255 bytes")]
    Long,
}

impl Name {
    /// Takes the bytes if they are a single path component.
    ///
    /// # Errors
    /// [`BadName`] says what they are instead.
    pub fn new(bytes: &[u8]) -> Result<Self, BadName> {
        Self::take(bytes.to_vec())
    }

    /// The same without a copy.
    pub(crate) fn take(bytes: Vec<u8>) -> Result<Self, BadName> {
        match bytes.as_slice() {
            [] => Err(BadName::Empty),
            b"." | b".." => Err(BadName::Dots),
            _ if bytes.iter().any(|b| matches!(b, b'/' | 0)) => Err(BadName::Byte),
            _ if bytes.len() > NAME_MAX => Err(BadName::Long),
            _ => Ok(Self(bytes::kept(bytes))),
        }
    }

    /// A name known when the program is compiled.
    ///
    /// # Panics
    /// When it is no name: in a constant, that does not compile.
    #[must_use]
    pub const fn literal(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= NAME_MAX);
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] != b'/' && bytes[at] != 0);
            at += 1;
        }
        assert!(!(bytes[0] == b'.' && (bytes.len() == 1 || bytes.len() == 2 && bytes[1] == b'.')));
        Self(bytes::of(bytes))
    }

    /// The name with something behind it, shortened to fit in [`NAME_MAX`].
    #[must_use]
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        let room = NAME_MAX.saturating_sub(suffix.len()).min(self.0.len());
        let mut name = self.0[..room].to_vec();
        name.extend(suffix.bytes());
        Self(bytes::kept(name))
    }

    /// The name itself, then with `-1` behind it, and so on.
    #[must_use]
    pub fn numbered(&self, at: u32) -> Self {
        match at {
            0 => self.clone(),
            at => self.with_suffix(&format!("-{at}")),
        }
    }

    /// The first of these that is free.
    #[must_use]
    pub(crate) fn free(&self, taken: impl Fn(&Self) -> bool) -> Self {
        let mut at = 0;
        while taken(&self.numbered(at)) {
            at += 1;
        }
        self.numbered(at)
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        bytes::seen(&self.0)
    }

    /// The name as C has it.
    #[cfg(feature = "full")]
    #[must_use]
    pub(crate) fn to_c_string(&self) -> std::ffi::CString {
        // No name has a NUL.
        std::ffi::CString::new(self.as_bytes()).unwrap_or_default()
    }

    /// The name as system calls take it.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(self.as_bytes())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Shown(self.as_bytes()), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

/// Bytes as a console may show them: UTF-8 stays, and control characters and
/// broken UTF-8 appear as `\xHH`, so that a name cannot forge a log line.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    c if c.is_control() => write_escaped(f, c.encode_utf8(&mut [0; 4]).as_bytes())?,
                    c => write!(f, "{c}")?,
                }
            }
            write_escaped(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "\\x{b:02x}"))
}

/// A path below the root: its components, at least one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Vec<Name>);

impl RelPath {
    /// Takes the components; `None` when there are none.
    #[must_use]
    pub fn new(components: Vec<Name>) -> Option<Self> {
        (!components.is_empty()).then_some(Self(components))
    }

    /// Splits bytes at `/`; empty components drop out.
    ///
    /// # Errors
    /// A component that is no [`Name`], or [`BadName::Empty`] when there is no
    /// component.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadName> {
        let names = bytes.split(|&b| b == b'/').filter(|c| !c.is_empty());
        let names = names.map(Name::new).collect::<Result<Vec<_>, _>>()?;
        Self::new(names).ok_or(BadName::Empty)
    }

    /// All components.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// The entry of the root that holds the path.
    #[must_use]
    pub fn entry(&self) -> &Name {
        &self.0[0]
    }

    /// The last component.
    #[must_use]
    pub fn last(&self) -> &Name {
        &self.0[self.0.len() - 1]
    }

    /// The components above the last one.
    #[must_use]
    pub fn parents(&self) -> &[Name] {
        &self.0[..self.0.len() - 1]
    }

    /// Whether the path is an entry of the root itself.
    #[must_use]
    pub(crate) fn is_entry(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether `other` is this path or lies below it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The bytes, with `/` between the components.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        joined(&self.0)
    }
}

impl From<Name> for RelPath {
    fn from(name: Name) -> Self {
        Self(vec![name])
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { "/" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

/// Components with `/` between them.
pub(crate) fn joined(names: &[Name]) -> Vec<u8> {
    let mut path = Vec::new();
    for name in names {
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name.as_bytes());
    }
    path
}

/// A path as a word of a shell command; mostly it is one as it is.
#[must_use]
pub fn word(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@:,".contains(&b);
    if path.bytes().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for (bytes, why) in [
            (&b""[..], BadName::Empty),
            (b".", BadName::Dots),
            (b"..", BadName::Dots),
            (b"a/b", BadName::Byte),
            (b"a\0", BadName::Byte),
            (&[b'a'; 256], BadName::Long),
        ] {
            assert_eq!(Name::new(bytes), Err(why));
        }
        assert!(Name::new(&[b'a'; 255]).is_ok());
        assert!(Name::new(b"...").is_ok());
    }

    #[test]
    fn a_hostile_name_shows_on_one_line() {
        let name = Name::new(b"a\nb\x1b[2J\xff\\\xc3\xa9").expect("name");
        assert_eq!(name.to_string(), "a\\x0ab\\x1b[2J\\xff\\\\\u{e9}");
    }

    proptest! {
        #[test]
        fn a_name_is_a_single_component(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            match Name::new(&bytes) {
                Ok(name) => {
                    prop_assert_eq!(name.as_bytes(), &bytes[..]);
                    prop_assert!(!bytes.contains(&b'/') && !bytes.contains(&0));
                    prop_assert!(bytes != b"." && bytes != b".." && (1..=255).contains(&bytes.len()));
                }
                Err(BadName::Empty) => prop_assert!(bytes.is_empty()),
                Err(BadName::Dots) => prop_assert!(bytes == b"." || bytes == b".."),
                Err(BadName::Byte) => prop_assert!(bytes.contains(&b'/') || bytes.contains(&0)),
                Err(BadName::Long) => prop_assert!(bytes.len() > 255),
            }
        }

        #[test]
        fn covers_is_a_prefix_of_components(a in "[ab/]{1,6}", b in "[ab/]{1,6}") {
            if let (Ok(p), Ok(q)) = (RelPath::parse(a.as_bytes()), RelPath::parse(b.as_bytes())) {
                let (x, y) = (format!("{p}/"), format!("{q}/"));
                prop_assert_eq!(p.covers(&q), y.starts_with(&x));
            }
        }
    }
}
