//! What proves that an exchange is in progress (I5): a directory has a name that
//! anybody can give.

use crate::engine::exchange::is_taken;
use crate::engine::facts::{Marker, Result, Staging};
use crate::engine::names::{LUSTRATE, OLD_ROOT_TMP, is_reserved};
use crate::fs::name::RelPath;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;

/// What the staging directory is.
pub(super) fn staging<T: Tree>(tree: &T, root: &T::Dir, marker: &Marker) -> Result<Staging> {
    let dir = tree.stat(root, &OLD_ROOT_TMP)?.is_some_and(|s| s.kind == Kind::Dir);
    let opened = if dir { tree.open(root, &[OLD_ROOT_TMP])? } else { None };
    let Some(staging) = opened else { return Ok(Staging::None) };
    if matches!(marker, Marker::InProgress(_)) {
        return Ok(Staging::Proved);
    }
    for text in [".lustrate/intent", ".lustrate/record", ".lustrate/new"] {
        if kind_at(tree, &staging, text)?.is_some() {
            return Ok(Staging::Proved);
        }
    }
    // The stock function moves `etc` with the marker in it.
    if asked_here(tree, &staging)? {
        let used = is_used(tree, root, &staging, &[])?;
        return Ok(if used { Staging::Used } else { Staging::Proved });
    }
    let mut staged = tree.list(&staging)?;
    staged.retain(|name| *name != LUSTRATE);
    if staged.is_empty() {
        let meta = tree.open(&staging, &[LUSTRATE])?;
        let inside = meta.map_or(Ok(Vec::new()), |meta| tree.list(&meta))?;
        let ours = inside.iter().all(is_taken);
        return Ok(if ours { Staging::Empty } else { Staging::Foreign });
    }
    if *marker == Marker::None {
        return Ok(Staging::Foreign);
    }
    // Before it has moved `etc`, what it has moved is in the root no more.
    for name in staged.iter().filter(|name| !is_reserved(name)) {
        if tree.stat(root, name)?.is_some() {
            return Ok(Staging::Foreign);
        }
    }
    Ok(Staging::Proved)
}

/// Whether a directory holds an `etc` with a marker in it.
pub(crate) fn asked_here<T: Tree>(tree: &T, home: &T::Dir) -> Result<bool> {
    Ok(kind_at(tree, home, "etc/NIXOS_LUSTRATE")? == Some(Kind::File))
}

/// Whether a system has lived in a root since the stock function moved what is in
/// `home` out of it, and copied `keeps` back.
pub(super) fn is_used<T: Tree>(
    tree: &T,
    root: &T::Dir,
    home: &T::Dir,
    keeps: &[RelPath],
) -> Result<bool> {
    for text in ["etc/static", "etc/os-release", "var/lib/nixos"] {
        let Ok(path) = RelPath::parse(text.as_bytes()) else { continue };
        if keeps.iter().all(|keep| !keep.covers(&path))
            && tree.stat(home, path.entry())?.is_some()
            && kind_at(tree, root, text)?.is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is at a path of at least two names; no links are followed.
pub(crate) fn kind_at<T: Tree>(tree: &T, base: &T::Dir, path: &str) -> Result<Option<Kind>> {
    let Ok(path) = RelPath::parse(path.as_bytes()) else { return Ok(None) };
    Ok(match tree.open(base, path.parents())? {
        Some(dir) => tree.stat(&dir, path.last())?.map(|stat| stat.kind),
        None => None,
    })
}
