//! The keep-list, each path followed through the links on its way; and the
//! flags of what is kept.

use crate::engine::exchange::{MAX_MARKER, direction_of};
use crate::engine::facts::{Keep, Result, Wishes};
use crate::engine::intent::{Flagged, Intent};
use crate::engine::keeplist;
use crate::engine::names::{ETC, MARKER, RW_ETC, UPPER};
use crate::fs::name::RelPath;
use crate::fs::sys::{Kind, PROJECT};
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve};

/// The keep-list, each line followed to what it means.
pub(super) fn keeps<T: Tree>(
    tree: &T,
    root: &T::Dir,
    staging: Option<&T::Dir>,
    wishes: &Wishes,
) -> Result<Result<Vec<Keep>, keeplist::BadKeep>> {
    let mut list = Vec::new();
    if !wishes.always {
        // An interrupted stock lustration has moved `etc` with the list in it.
        for base in [Some(root), staging].into_iter().flatten() {
            for parents in [&[ETC][..], &[RW_ETC, UPPER]] {
                if let Some(etc) = tree.open(base, parents)?
                    && let Some(content) = tree.read(&etc, &MARKER, MAX_MARKER)?
                    && direction_of(&content).is_none()
                {
                    match keeplist::parse(&content) {
                        Ok(paths) => list.extend(paths),
                        Err(bad) => return Ok(Err(bad)),
                    }
                }
            }
        }
    }
    list.extend(wishes.keep.iter().cloned());
    list.sort_unstable();
    list.dedup();
    let mut keeps = Vec::new();
    for asked in list {
        let base = match staging {
            Some(staging) if tree.stat(staging, asked.entry())?.is_some() => staging,
            _ => root,
        };
        let keep = keep(tree, base, asked)?;
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

pub(super) fn keep<T: Tree>(tree: &T, base: &T::Dir, asked: RelPath) -> Result<Keep> {
    let found = resolve(tree, base, &asked, Last::Keep)?;
    let target = match &found {
        Found::Here { real, stat, .. } if stat.kind == Kind::Link => {
            Some(resolve(tree, base, real, Last::Follow)?)
        }
        _ => None,
    };
    Ok(Keep { asked, found, target })
}

/// With NixOS's etc overlay, what is `etc/x` on the running system lies in
/// `.rw-etc/upper/x` (nixpkgs, `nixos/modules/system/etc/etc.nix`).
fn overlaid<T: Tree>(tree: &T, base: &T::Dir, asked: &RelPath) -> Result<Option<Keep>> {
    let (true, [_, rest @ ..]) = (*asked.entry() == ETC, asked.names()) else { return Ok(None) };
    if rest.is_empty() || tree.open(base, &[RW_ETC, UPPER])?.is_none() {
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
