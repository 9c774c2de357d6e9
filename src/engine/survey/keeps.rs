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
    // An interrupted stock lustration has moved `etc` with the list in it.
    let old_etc = staging.map_or(Ok(None), |dir| tree.open(dir, &[ETC]))?;
    let old_upper = staging.map_or(Ok(None), |dir| tree.open(dir, &[RW_ETC, UPPER]))?;
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
    let (upper, old_upper) = (upper.is_some(), old_upper.is_some());
    let moved = staging.map_or(Ok(*here), |dir| tree.stat_dir(dir))?;
    list.extend(wishes.keep.iter().cloned());
    list.sort_unstable();
    list.dedup();
    let mut keeps = Vec::new();
    for asked in list {
        let (base, has_upper) = match staging {
            Some(dir) if tree.stat(dir, asked.entry())?.is_some() => ((dir, &moved), old_upper),
            _ => ((root, here), upper),
        };
        let keep = keep(tree, base, asked)?;
        let overlaid = if has_upper { overlaid(tree, base, &keep.asked)? } else { None };
        match overlaid {
            Some(upper) if keep.found == Found::Missing => keeps.push(upper),
            upper => {
                keeps.push(keep);
                keeps.extend(upper);
            }
        }
    }
    Ok(Ok(keeps))
}

/// What a path means, in a directory that was looked at.
pub(super) fn keep<T: Tree>(tree: &T, base: (&T::Dir, &Stat), asked: RelPath) -> Result<Keep> {
    let found = resolve_in(tree, base, &asked, Last::Keep)?;
    let target = match &found {
        Found::Here { real, stat, .. } if stat.kind == Kind::Link => {
            Some(resolve_in(tree, base, real, Last::Follow)?)
        }
        _ => None,
    };
    Ok(Keep { asked, found, target })
}

/// With NixOS's etc overlay, what is `etc/x` on the running system lies in
/// `.rw-etc/upper/x` (nixpkgs, `nixos/modules/system/etc/etc.nix`).
fn overlaid<T: Tree>(tree: &T, base: (&T::Dir, &Stat), asked: &RelPath) -> Result<Option<Keep>> {
    let (true, [_, rest @ ..]) = (*asked.entry() == ETC, asked.names()) else { return Ok(None) };
    if rest.is_empty() {
        return Ok(None);
    }
    let names = [RW_ETC, UPPER].into_iter().chain(rest.iter().cloned()).collect();
    let Some(path) = RelPath::new(names) else { return Ok(None) };
    let keep = keep(tree, base, path)?;
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
