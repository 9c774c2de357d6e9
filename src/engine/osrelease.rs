//! `etc/os-release`, or `usr/lib/os-release`: which distribution a root holds; os-release(5).

use super::facts::Result;
use super::names::{ETC, NIX};
use crate::fs::name::{Name, RelPath, Shown, literal};
use crate::fs::sys::Kind;
use crate::fs::tree::{Stat, Tree};
use crate::fs::walk::{Found, Last, resolve};

/// Its name in `etc`.
pub(crate) const OS_RELEASE: Name = literal!("os-release");
/// os-release files are a few hundred bytes long.
pub(crate) const MAX_LEN: usize = 1 << 16;

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

/// The name of the system that `home` holds: the root, or a directory of it. NixOS's
/// links lead into the store of the root.
///
/// # Errors
/// What the file system answers.
pub(crate) fn system_name<T: Tree>(
    tree: &T,
    root: &T::Dir,
    home: &T::Dir,
) -> Result<Option<String>> {
    let mut found = release(tree, home, ETC_PATH, Last::Through)?;
    if let Release::Unread = found {
        // The small build does without.
        if !cfg!(feature = "full") {
            return Ok(None);
        }
        let Some(path) = in_store(tree, home)? else { return Ok(None) };
        found = release(tree, root, &path.to_bytes(), Last::Through)?;
        if !matches!(found, Release::Read(_)) {
            return Ok(Some("NixOS".to_owned()));
        }
    }
    if let Release::None = found {
        found = release(tree, home, USR, Last::Through)?;
    }
    Ok(match found {
        Release::Read(content) => Some(parse(&content).name),
        _ => None,
    })
}

/// Where systems without one in `etc` have it.
pub(crate) const USR: &[u8] = b"usr/lib/os-release";
/// Where most have it.
pub(crate) const ETC_PATH: &[u8] = b"etc/os-release";

/// An os-release file, as the root would find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Release {
    /// There is no such name.
    None,
    /// There is, and it leads nowhere, or into the store.
    Unread,
    /// Its content.
    Read(Vec<u8>),
}

/// Reads an os-release file through its links; with [`Last::Follow`] what is in the
/// store, or where NixOS's own link leads, is not read.
///
/// # Errors
/// What the file system answers.
pub(crate) fn release<T: Tree>(
    tree: &T,
    root: &T::Dir,
    path: &[u8],
    last: Last,
) -> Result<Release> {
    let Ok(path) = RelPath::parse(path) else { return Ok(Release::None) };
    let found = resolve(tree, root, &path, last)?;
    let Found::Here { real, links, .. } = found else {
        // Is the name itself there?
        let there = resolve(tree, root, &path, Last::Keep)?;
        return Ok(if there == Found::Missing { Release::None } else { Release::Unread });
    };
    if last == Last::Follow {
        let mut nixos = *real.entry() == NIX;
        for link in &links {
            let dir = if link.is_entry() { None } else { tree.open(root, link.parents())? };
            let target = tree.read_link(dir.as_ref().unwrap_or(root), link.last())?;
            nixos |= leads_into_nixos(&target);
        }
        if nixos {
            return Ok(Release::Unread);
        }
    }
    let content = match tree.open(root, real.parents())? {
        Some(dir) => tree.read(&dir, real.last(), MAX_LEN)?,
        None => None,
    };
    Ok(content.map_or(Release::Unread, Release::Read))
}

/// NixOS's own link leads to `/etc/static/os-release`, and that into the store.
#[must_use]
pub(crate) fn leads_into_nixos(target: &[u8]) -> bool {
    let path = target.strip_prefix(b"/").unwrap_or(target);
    match RelPath::parse(path) {
        Ok(path) => match path.names() {
            [first, ..] if *first == NIX || *first == STATIC => true,
            [first, second, ..] => *first == ETC && *second == STATIC,
            _ => false,
        },
        Err(_) => false,
    }
}

/// Where an os-release that is NixOS's leads in the store; `None` when that cannot
/// be told.
fn in_store<T: Tree>(tree: &T, home: &T::Dir) -> Result<Option<RelPath>> {
    let Some(etc) = tree.open(home, &[ETC])? else { return Ok(None) };
    let is_link = |s: Stat| s.kind == Kind::Link;
    let mut names = Vec::new();
    for name in [OS_RELEASE, STATIC] {
        if !tree.stat(&etc, &name)?.is_some_and(is_link) {
            return Ok(None);
        }
        let Ok(target) = RelPath::parse(&tree.read_link(&etc, &name)?) else { return Ok(None) };
        let store = *target.entry() == NIX;
        let last = [target.last().clone()];
        if store {
            names = target.names().to_vec();
            if name == STATIC {
                names.push(OS_RELEASE);
            }
            break;
        }
        if last[0] != OS_RELEASE || target.parents().last() != Some(&STATIC) {
            return Ok(None);
        }
    }
    Ok(RelPath::new(names))
}

/// NixOS's links in `etc` lead to it, and it into the store.
pub(crate) const STATIC: Name = literal!("static");

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
