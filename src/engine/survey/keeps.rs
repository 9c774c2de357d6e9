//! The keep-list, each path followed through the links on its way; and the
//! flags of what is kept.

use crate::engine::exchange::{MAX_MARKER, direction_of};
use crate::engine::facts::{Keep, Result, Wishes};
use crate::engine::intent::{Flagged, Intent};
use crate::engine::keeplist;
use crate::engine::names::{ETC, MARKER, RW_ETC, UPPER};
use crate::fs::name::RelPath;
use crate::fs::sys::{Kind, PROJECT, Stat};
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve_in};

/// Where kept paths are looked for.
struct Base<'a, D> {
    dir: &'a D,
    here: Stat,
    /// It has an etc overlay's upper layer.
    overlaid: bool,
}

/// The keep-list, each line followed to what it means, in the root with its `etc` or
/// in the staging directory.
pub(super) fn keeps<T: Tree>(
    tree: &T,
    (root, here, etc): (&T::Dir, &Stat, Option<&T::Dir>),
    staging: Option<&T::Dir>,
    wishes: &Wishes,
) -> Result<Result<Vec<Keep>, keeplist::BadKeep>> {
    let mut list = Vec::new();
    let upper = tree.open(root, &[RW_ETC, UPPER])?;
    let root = Base { dir: root, here: *here, overlaid: upper.is_some() };
    // An interrupted stock lustration has moved `etc` with the list in it.
    let old_etc = staging.map_or(Ok(None), |dir| tree.open(dir, &[ETC]))?;
    let old_upper = staging.map_or(Ok(None), |dir| tree.open(dir, &[RW_ETC, UPPER]))?;
    let moved = staging.map(|dir| base(tree, dir, old_upper.is_some())).transpose()?;
    let etcs = [etc, upper.as_ref(), old_etc.as_ref(), old_upper.as_ref()];
    for etc in etcs.into_iter().flatten().filter(|_| !wishes.always) {
        if let Some(content) = tree.read(etc, &MARKER, MAX_MARKER)?
            && direction_of(&content).is_none()
        {
            match keeplist::parse(&content) {
                Ok(paths) => list.extend(paths),
                Err(bad) => return Ok(Err(bad)),
            }
        }
    }
    drop((upper, old_etc, old_upper));
    list.extend(wishes.keep.iter().cloned());
    list.sort_unstable();
    list.dedup();
    let mut keeps = Vec::new();
    for asked in list {
        let base = match &moved {
            Some(moved) if tree.stat(moved.dir, asked.entry())?.is_some() => moved,
            _ => &root,
        };
        let keep = keep_in(tree, base, asked)?;
        match overlaid(tree, base, &keep.asked)? {
            Some(upper) if keep.found == Found::Missing => keeps.push(upper),
            upper => {
                keeps.push(keep);
                keeps.extend(upper);
            }
        }
    }
    Ok(Ok(keeps))
}

fn base<'a, T: Tree>(tree: &T, dir: &'a T::Dir, overlaid: bool) -> Result<Base<'a, T::Dir>> {
    Ok(Base { dir, here: tree.stat_dir(dir)?, overlaid })
}

/// What a path in a directory means.
pub(super) fn keep<T: Tree>(tree: &T, dir: &T::Dir, asked: RelPath) -> Result<Keep> {
    keep_in(tree, &base(tree, dir, false)?, asked)
}

fn keep_in<T: Tree>(tree: &T, base: &Base<'_, T::Dir>, asked: RelPath) -> Result<Keep> {
    let found = resolve_in(tree, (base.dir, &base.here), &asked, Last::Keep)?;
    let target = match &found {
        Found::Here { real, stat, .. } if stat.kind == Kind::Link => {
            Some(resolve_in(tree, (base.dir, &base.here), real, Last::Follow)?)
        }
        _ => None,
    };
    Ok(Keep { asked, found, target })
}

/// With NixOS's etc overlay, what is `etc/x` on the running system lies in
/// `.rw-etc/upper/x` (nixpkgs, `nixos/modules/system/etc/etc.nix`).
fn overlaid<T: Tree>(tree: &T, base: &Base<'_, T::Dir>, asked: &RelPath) -> Result<Option<Keep>> {
    let (true, [_, rest @ ..]) = (*asked.entry() == ETC, asked.names()) else { return Ok(None) };
    if rest.is_empty() || !base.overlaid {
        return Ok(None);
    }
    let names = [RW_ETC, UPPER].into_iter().chain(rest.iter().cloned()).collect();
    let Some(path) = RelPath::new(names) else { return Ok(None) };
    let keep = keep_in(tree, base, path)?;
    Ok(Some(keep).filter(|k| k.found != Found::Missing))
}

/// The hindering flags of keepers, and of the directories that hold them.
pub(super) fn keeper_flags<T: Tree>(
    tree: &T,
    bases: [Option<&T::Dir>; 2],
    intent: &Intent,
) -> Result<Vec<Flagged>> {
    let mut flags = Vec::new();
    for (keeper, base) in
        intent.keepers.iter().flat_map(|k| bases.into_iter().flatten().map(move |b| (k, b)))
    {
        let Some(dir) = tree.open(base, keeper.parents())? else { continue };
        let parent = tree.stat_dir(&dir)?;
        let path = RelPath::new(keeper.parents().to_vec());
        // What another project has must be able to go back into it.
        let project = tree.flags(&dir, None)? & PROJECT;
        flags.push(Flagged { path, inode: parent.inode, flags: parent.flags | project });
        if let Some(stat) = tree.stat(&dir, keeper.last())? {
            let path = Some(keeper.clone());
            flags.push(Flagged { path, inode: stat.inode, flags: stat.flags });
        }
    }
    flags.retain(|f| f.flags != 0 && f.path.is_some());
    Ok(flags)
}
