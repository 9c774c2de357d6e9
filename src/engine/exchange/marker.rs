//! The in-progress marker: `/etc/NIXOS_LUSTRATE` with a content of our own.
//!
//! It is in the root's `etc` from the first step of an exchange to after its
//! commit, so that the scripted stage 1, which asks for the marker, calls us
//! also after a power cut (I5). With this content and no staging directory,
//! only its own removal is missing.

use nix::errno::Errno;

use super::flags::{Change, change_flags};
use super::spares::draft;
use super::{Coming, Exchange, Population, Result, note_aside, open, rename};
use crate::engine::intent::{Direction, Intent};
use crate::engine::names::{ETC, MARKER, MARKER_PART, MARKER_SAVED, NIXOS, PART, SAVED_MARKER};
use crate::error::Stop;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::{Moved, Tree};

/// The content of the in-progress marker.
pub(super) fn content(direction: Direction) -> &'static [u8] {
    match direction {
        Direction::Lustrate => {
            b"# nixos-lustrate: lustration in progress\n\
            # Do not edit or remove this file. To go on: nixos-lustrate run\n\
            # To go back: nixos-lustrate revert\n"
        }
        Direction::Revert => {
            b"# nixos-lustrate: revert in progress\n\
            # Do not edit or remove this file. To go on: nixos-lustrate revert\n\
            # To go back: nixos-lustrate run\n"
        }
    }
}

/// No in-progress marker is longer, in bytes.
pub(crate) const LONGEST_MARKER: usize = 256;

/// Markers longer than the longest keep-list are not read to their end.
pub(crate) const MAX_MARKER: usize = crate::engine::keeplist::MAX_LEN;

/// Which exchange an in-progress marker is of; `None` for any other marker.
#[must_use]
pub(crate) fn direction_of(marker: &[u8]) -> Option<Direction> {
    [Direction::Lustrate, Direction::Revert].into_iter().find(|d| content(*d) == marker)
}

pub(super) fn is_in_progress(marker: &[u8]) -> bool {
    direction_of(marker).is_some()
}

/// Which marker an `etc` needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Any: the one that asked for the lustration serves.
    Any,
    /// The in-progress marker of this direction: one that asks for a lustration
    /// must not be left.
    InProgress(Direction),
}

impl<T: Tree> Exchange<'_, T> {
    /// Sees to a marker in the `etc` that is in the root now.
    pub(super) fn arm_root(&mut self) -> Result<()> {
        let leaves = self.intent.pin(&ETC).is_none();
        let need = match self.intent.direction {
            Direction::Lustrate if leaves => Need::Any,
            direction => Need::InProgress(direction),
        };
        if self.intent.direction == Direction::Revert && leaves {
            self.etc.set(None);
            return arm_nixos(self.tree, self.root, &self.meta, &mut self.intent);
        }
        let Some(etc) = self.tree.open(self.root, &[ETC])? else { return Ok(()) };
        let asked = self.coming == Coming::Made && self.take.markers == 0;
        let there = if asked { self.tree.stat(&etc, &MARKER)? } else { None };
        self.serves = there.is_some_and(|stat| stat.kind == Kind::File);
        if self.serves { Ok(()) } else { arm(self.tree, &self.meta, &etc, need) }
    }

    /// Completes the `etc` that is going to come in.
    pub(super) fn arm_coming(&mut self, coming: Population) -> Result<()> {
        if self.intent.pin(&ETC).is_some() || self.coming == Coming::Made {
            return Ok(());
        }
        if coming == Population::New {
            self.make_new_etc()?;
        }
        let Some(holder) = self.holder(coming, &ETC)? else { return Ok(()) };
        match self.tree.open(holder, &[ETC])? {
            Some(etc) => arm(self.tree, &self.meta, &etc, Need::InProgress(self.intent.direction)),
            None => Ok(()), // the old one may be anything
        }
    }

    /// The new `etc`: a directory with `NIXOS` in it.
    fn make_new_etc(&mut self) -> Result<()> {
        if self.holder(Population::New, &ETC)?.is_none() {
            self.make_parents(&[ETC])?;
        }
        let Some(holder) = self.holder(Population::New, &ETC)? else { return Ok(()) };
        let Some(etc) = self.tree.open(holder, &[ETC])? else { return Ok(()) };
        if self.tree.stat(&etc, &NIXOS)?.is_none() {
            self.tree.make_empty(&etc, &NIXOS)?;
        }
        Ok(())
    }
}

/// Puts an in-progress marker into an `etc`; one that asks for a lustration is
/// put aside in the same step.
pub(super) fn arm<T: Tree>(tree: &T, meta: &T::Dir, etc: &T::Dir, need: Need) -> Result<()> {
    let there = tree.stat(etc, &MARKER)?;
    let marker = tree.read(etc, &MARKER, MAX_MARKER)?;
    let direction = match (need, marker.as_deref().and_then(direction_of)) {
        (Need::Any, _) if marker.is_some() => return Ok(()),
        (Need::Any, _) => Direction::Lustrate,
        (Need::InProgress(direction), Some(found)) if found == direction => return Ok(()),
        (Need::InProgress(direction), Some(_)) => {
            // One of ours for the other way: nothing of the user's.
            let ours = draft(tree, meta, content(direction))?;
            tree.sync(meta)?;
            return match tree.replace((meta, &ours), (etc, &MARKER)) {
                Err(error) if error.errno() == Errno::EXDEV => make_in(tree, etc, direction),
                done => Ok(done?),
            };
        }
        (Need::InProgress(direction), None) => direction,
    };
    let ours = marker_aside(tree, meta, direction)?;
    let exchanged = match there {
        Some(_) => tree.exchange((etc, &MARKER), (meta, &ours)),
        None => Ok(false),
    };
    match exchanged {
        Ok(true) => return Ok(()),
        Err(error) if error.errno() == Errno::EXDEV => {
            // It stays in this directory, where no boot looks for it.
            let mut at = 0;
            while tree.rename((etc, &MARKER), (etc, &MARKER_SAVED.numbered(at)))? == Moved::Taken {
                at += 1;
            }
            return make_in(tree, etc, direction);
        }
        exchanged => drop(exchanged?),
    }
    if there.is_some() {
        // Without RENAME_EXCHANGE ours makes room first: the one that was
        // there has to get the name that `disarm` looks for.
        tree.remove_file(meta, &PART)?;
        rename(tree, (meta, &ours), (meta, &PART))?;
        rename(tree, (etc, &MARKER), (meta, &ours))?;
        tree.replace((meta, &PART), (etc, &MARKER))?;
        return Ok(());
    }
    match rename(tree, (meta, &ours), (etc, &MARKER)) {
        // NixOS's is a subvolume, or has files of one project only: made in it, then.
        Err(Stop::Op(error)) if error.errno() == Errno::EXDEV => make_in(tree, etc, direction),
        done => done.map(drop),
    }
}

/// Makes the marker in an `etc` that nothing can be moved into.
fn make_in<T: Tree>(tree: &T, etc: &T::Dir, direction: Direction) -> Result<()> {
    let mut at = 0;
    let part = loop {
        let name = MARKER_PART.numbered(at);
        match tree.read(etc, &name, LONGEST_MARKER)? {
            // The power went before it had its name.
            Some(there) if there.is_empty() || is_in_progress(&there) => {
                tree.remove_file(etc, &name)?;
                break name;
            }
            None if tree.stat(etc, &name)?.is_none() => break name,
            _ => at += 1,
        }
    };
    tree.make_file(etc, &part, content(direction))?;
    if let Err(error) = tree.replace((etc, &part), (etc, &MARKER)) {
        tree.remove_file(etc, &part)?;
        return Err(error.into());
    }
    Ok(())
}

/// The same for a revert of the `etc` that NixOS leaves. One that takes no marker, a
/// read-only subvolume, does not keep the old system from coming back: another stands in
/// for it, since without a marker half a root would boot (I5, I7).
pub(super) fn arm_nixos<T: Tree>(
    tree: &T,
    root: &T::Dir,
    meta: &T::Dir,
    intent: &mut Intent,
) -> Result<()> {
    let Some(etc) = tree.open(root, &[ETC])? else { return Ok(()) };
    match arm(tree, meta, &etc, Need::InProgress(Direction::Revert)) {
        Err(Stop::Op(error))
            if error.errno() == Errno::EROFS && tree.is_read_only(root, &ETC)? =>
        {
            change_flags(tree, &[root], &intent.flags, Change::ClearRoot)?;
            let dated = note_aside(tree, root, meta, intent, &ETC)?;
            tree.make_dir(root, &dated, 0o755)?;
            make_in(tree, &open(tree, root, &dated)?, Direction::Revert)?;
            // Within one directory a read-only subvolume gets another name.
            if tree.exchange((root, &ETC), (root, &dated))? {
                return Ok(());
            }
            Err(error.into())
        }
        done => done,
    }
}

/// The way back from that, once the lustration is whole again: with its stand-in the
/// marker goes. The name that the stand-in has then, if there is more in it.
pub(super) fn take_etc_again<T: Tree>(
    tree: &T,
    root: &T::Dir,
    intent: &Intent,
) -> Result<Option<Name>> {
    let dated = intent.aside.iter().find(|(name, _)| *name == ETC);
    let Some((_, dated)) = dated else { return Ok(None) };
    let Some(etc) = tree.open(root, &[ETC])? else { return Ok(None) };
    if intent.etc == Some(tree.stat_dir(&etc)?.inode)
        || tree.stat(root, dated)?.is_none()
        || !tree.exchange((root, &ETC), (root, dated))?
    {
        return Ok(None);
    }
    for name in [MARKER, NIXOS] {
        tree.remove_file(&etc, &name)?;
    }
    if tree.list(&etc)?.is_empty() {
        tree.remove_dir(root, dated)?;
        return Ok(None);
    }
    Ok(Some(dated.clone()))
}

/// An in-progress marker in `.lustrate`, under a name that no marker that was
/// put aside has.
fn marker_aside<T: Tree>(tree: &T, meta: &T::Dir, direction: Direction) -> Result<Name> {
    let mut at = 0;
    loop {
        let name = SAVED_MARKER.numbered(at);
        match tree.read(meta, &name, MAX_MARKER)? {
            Some(marker) if marker == content(direction) => return Ok(name),
            Some(marker) if is_in_progress(&marker) => tree.remove_file(meta, &name)?,
            None if tree.stat(meta, &name)?.is_none() => {
                let ours = draft(tree, meta, content(direction))?;
                // Without its content it would ask for a lustration.
                tree.sync(meta)?;
                rename(tree, (meta, &ours), (meta, &name))?;
                return Ok(name);
            }
            _ => at += 1,
        }
    }
}

/// Makes in-progress markers before anything else of an exchange; the sync that
/// the intent needs is theirs too.
pub(super) fn prepare<T: Tree>(
    tree: &T,
    meta: &T::Dir,
    direction: Direction,
    many: u32,
) -> Result<()> {
    let (mut at, mut there) = (0, 0);
    while there < many {
        let name = SAVED_MARKER.numbered(at);
        match tree.read(meta, &name, LONGEST_MARKER)? {
            Some(marker) => there += u32::from(marker == content(direction)),
            None if tree.stat(meta, &name)?.is_some() => {}
            None => {
                let ours = draft(tree, meta, content(direction))?;
                rename(tree, (meta, &ours), (meta, &name))?;
                there += 1;
            }
        }
        at += 1;
    }
    Ok(())
}

/// Takes our marker out of an `etc` that goes home; when that is the old one,
/// the marker that was put aside comes back into it.
pub(super) fn disarm<T: Tree>(
    tree: &T,
    meta: &T::Dir,
    etc: &T::Dir,
    direction: Direction,
) -> Result<()> {
    let armed = holds_in_progress(tree, etc)?;
    let saved = tree.read(meta, &SAVED_MARKER, MAX_MARKER)?;
    let comes_back = direction == Direction::Lustrate
        && saved.as_ref().is_some_and(|content| !is_in_progress(content));
    if comes_back && armed && tree.exchange((etc, &MARKER), (meta, &SAVED_MARKER))? {
        return Ok(tree.remove_file(meta, &SAVED_MARKER)?);
    }
    if armed {
        tree.remove_file(etc, &MARKER)?;
    }
    if comes_back {
        rename(tree, (meta, &SAVED_MARKER), (etc, &MARKER))?;
    } else if saved.is_some_and(|content| is_in_progress(&content)) {
        tree.remove_file(meta, &SAVED_MARKER)?;
    }
    Ok(())
}

/// Whether the marker in an `etc` is ours.
pub(super) fn holds_in_progress<T: Tree>(tree: &T, etc: &T::Dir) -> Result<bool> {
    let content = tree.read(etc, &MARKER, MAX_MARKER)?;
    Ok(content.is_some_and(|content| is_in_progress(&content)))
}
