//! `etc/os-release`: which distribution a root holds; os-release(5).

use super::facts::Result;
use super::names::ETC;
use crate::fs::name::literal;
use crate::fs::name::{Name, RelPath, Shown};
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve};

/// Its name in `etc`.
pub const OS_RELEASE: Name = literal!("os-release");
/// os-release files are a few hundred bytes long.
pub const MAX_LEN: usize = 1 << 16;

/// The fields that the guard and `status` show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID=`, when it is there.
    pub id: Option<String>,
    /// `PRETTY_NAME=`, or the id, or "Linux", as os-release(5) has it.
    pub name: String,
}

/// Reads the content of an os-release file.
#[must_use]
pub fn parse(content: &[u8]) -> OsRelease {
    let field = |key: &[u8]| {
        let line = content.split(|&b| b == b'\n').rev().find_map(|l| l.strip_prefix(key));
        line.map(unquote).filter(|v| !v.is_empty()).map(|v| Shown(&v).to_string())
    };
    let id = field(b"ID=");
    let name = field(b"PRETTY_NAME=").or_else(|| id.clone()).unwrap_or_else(|| "Linux".to_owned());
    OsRelease { id, name }
}

/// Undoes shell quoting: one pair of quotes, and backslashes in it.
fn unquote(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    let inner = match value {
        [a @ (b'"' | b'\''), inner @ .., b] if a == b => inner,
        _ => value,
    };
    let mut escaped = false;
    let keep = |&b: &u8| {
        escaped = b == b'\\' && !escaped;
        !escaped
    };
    inner.iter().copied().filter(keep).collect()
}

/// The name of the system that a root, or an old root, holds.
///
/// # Errors
/// What the file system answers.
pub fn system_name<T: Tree>(tree: &T, root: &T::Dir) -> Result<Option<String>> {
    let Some(path) = RelPath::new(vec![ETC, OS_RELEASE]) else { return Ok(None) };
    let Found::Here { real, .. } = resolve(tree, root, &path, Last::Follow)? else {
        return Ok(None);
    };
    let content = match real.parents() {
        [] => None,
        parents => match tree.open(root, parents)? {
            Some(dir) => tree.read(&dir, real.last(), MAX_LEN)?,
            None => None,
        },
    };
    Ok(content.map(|content| parse(&content).name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_drop_out() {
        let debian =
            b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        let found = parse(debian);
        assert_eq!(found.id.as_deref(), Some("debian"));
        assert_eq!(found.name, "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(parse(b"ID='nixos'\nPRETTY_NAME=\"a \\\"b\\\"\"").name, "a \"b\"");
        assert_eq!(parse(b"VARIANT_ID=x\n").id, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let found = parse(&content);
            prop_assert!(!found.name.is_empty() && !found.name.contains('\n'));
        }
    }
}
