//! Space is taken, not estimated (I9). Before anything moves, all files and
//! directories that either direction is going to make are there, in `.lustrate`
//! of the staging directory, and beside them a file that gives its space back
//! when a rename finds none: directories grow. What cannot be taken is a refusal
//! that leaves nothing behind.

use nix::errno::Errno;

use super::marker::{is_in_progress, prepare};
use super::spares::{SPARES, spare};
use super::{Exchange, Result};
use crate::engine::intent::{Direction, Intent};
use crate::engine::names::{
    COPIES, DRAFT, INTENT, LUSTRATE, MAKING, NEW, PART, RECORD, RESERVE, SAVED_MARKER, SPARE,
};
use crate::error::{Error, Refusal, Stop};
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::{Moved, Tree};

/// What an exchange has to take before it begins; a plan says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Take {
    /// What a few renames may need, in bytes.
    pub base: u64,
    /// In-progress markers that it is going to place, besides the one in the new
    /// `etc`.
    pub markers: u32,
}

/// The reserve for one direction, in bytes: each name may take its entry three
/// times, in a directory whose blocks are not full; and the text is written again.
#[must_use]
pub(crate) fn reserve(intent: &Intent, base: u64, text: usize) -> u64 {
    let entries: usize = intent.old.iter().map(|name| name.as_bytes().len() + 16).sum();
    base + (3 * entries + 3 * text) as u64
}

/// Puts the empty files there, and takes the space for both directions.
pub(super) fn stock<T: Tree>(
    tree: &T,
    meta: &T::Dir,
    size: u64,
    direction: Direction,
) -> Result<()> {
    for at in 0..SPARES {
        tree.make_empty(meta, &spare(at))?;
    }
    // A run leaves half of it to the revert.
    let floor = if direction == Direction::Lustrate { size } else { 0 };
    Ok(tree.reserve(meta, &RESERVE, size + floor, floor)?)
}

/// What waits is of no use any more: the way back has been gone.
pub(super) fn unstock<T: Tree>(tree: &T, meta: &T::Dir) -> Result<()> {
    tree.remove_file(meta, &RESERVE)?;
    remove_tree(tree, meta, DRAFT)?;
    for at in 0..SPARES {
        tree.remove_file(meta, &spare(at))?;
    }
    Ok(())
}

impl<T: Tree> Exchange<'_, T> {
    /// Takes all that either direction is going to need, and begins with it.
    pub(super) fn take(&mut self) -> Result<()> {
        let take = self.take;
        self.intent.anchor = self.tree.stat_dir(&self.meta)?.inode;
        let direction = self.intent.direction;
        if direction == Direction::Lustrate {
            self.make_coming()?;
        }
        let (tree, meta, text) = (self.tree, &self.meta, self.intent.to_text());
        if !self.intent.copies.is_empty() {
            tree.make_dir(meta, &MAKING, 0o700)?;
            tree.make_dir(meta, &COPIES, 0o700)?;
        }
        tree.make_empty(meta, &PART)?;
        tree.fill(meta, &PART, &text)?;
        stock(tree, meta, reserve(&self.intent, take.base, text.len()), direction)?;
        prepare(tree, meta, direction, take.markers)?;
        tree.sync(meta)?;
        Ok(tree.replace((meta, &PART), (meta, &INTENT))?)
    }

    /// Brings in what was made for the new population, where copies were in its way.
    pub(super) fn bring_draft(&self) -> Result<()> {
        if self.intent.copies.is_empty() {
            return Ok(());
        }
        let Some(draft) = self.tree.open(&self.meta, &[DRAFT])? else { return Ok(()) };
        for name in self.tree.list(&draft)? {
            let there = self.holder(super::Population::New, &name)?.is_some();
            self.etc.set(None);
            if there || self.tree.rename((&draft, &name), (&self.incoming, &name))? != Moved::Done {
                remove_tree(self.tree, &draft, name)?;
            }
        }
        Ok(self.tree.remove_dir(&self.meta, &DRAFT)?)
    }
}

/// Whether a name in `.lustrate` is of something that is there before an intent is.
pub(crate) fn is_taken(name: &Name) -> bool {
    let begins = |base: &Name| name.as_bytes().starts_with(base.as_bytes());
    [PART, DRAFT, MAKING, COPIES, RESERVE].contains(name) || begins(&SPARE) || begins(&SAVED_MARKER)
}

/// Removes what was taken, when it was not enough or the power went before the
/// intent was there: nothing has moved, and all in `.lustrate` is ours. `false`:
/// there is more in it, or an intent.
pub(super) fn give_back<T: Tree>(tree: &T, staging: &T::Dir) -> Result<bool> {
    let Some(meta) = tree.open(staging, &[LUSTRATE])? else { return Ok(false) };
    let names = tree.list(&meta)?;
    if names.iter().any(|name| [INTENT, RECORD, NEW].contains(name)) {
        return Ok(false);
    }
    for name in names {
        let spare = name.as_bytes().starts_with(SPARE.as_bytes());
        if name == DRAFT || name == MAKING {
            remove_tree(tree, &meta, name)?;
        } else if name == COPIES {
            tree.remove_dir(&meta, &name)?;
        } else if spare || name == RESERVE || name == PART || is_our_marker(tree, &meta, &name)? {
            tree.remove_file(&meta, &name)?;
        }
    }
    if !tree.list(&meta)?.is_empty() {
        return Ok(false);
    }
    tree.remove_dir(staging, &LUSTRATE)?;
    Ok(true)
}

fn is_our_marker<T: Tree>(tree: &T, meta: &T::Dir, name: &Name) -> Result<bool> {
    let may_be = name.as_bytes().starts_with(SAVED_MARKER.as_bytes());
    let content = if may_be { tree.read(meta, name, super::LONGEST_MARKER)? } else { None };
    Ok(content.is_some_and(|content| is_in_progress(&content)))
}

/// With one descriptor, whatever the depth: each time down from the top.
fn remove_tree<T: Tree>(tree: &T, dir: &T::Dir, top: Name) -> Result<()> {
    if tree.stat(dir, &top)?.is_some_and(|stat| stat.kind != Kind::Dir) {
        return Ok(tree.remove_file(dir, &top)?);
    }
    let mut path = vec![top];
    while let Some(last) = path.last().cloned() {
        let Some(at) = tree.open(dir, &path)? else { break };
        let mut below = None;
        for name in tree.list(&at)? {
            if tree.stat(&at, &name)?.is_some_and(|stat| stat.kind == Kind::Dir) {
                below = Some(name);
                break;
            }
            tree.remove_file(&at, &name)?;
        }
        if let Some(name) = below {
            path.push(name);
            continue;
        }
        path.pop();
        match tree.open(dir, &path)? {
            Some(parent) => tree.remove_dir(&parent, &last)?,
            None => break,
        }
    }
    Ok(())
}

/// An error before anything moved, once what was made is gone again.
pub(super) fn undone(stop: Stop, undo: Result<()>) -> Error {
    match (stop, undo) {
        (Stop::Op(error), Ok(())) if matches!(error.errno(), Errno::ENOSPC | Errno::EDQUOT) => {
            Refusal::new(
                error.to_string(),
                "The move, or the way back, would have stopped part-way",
                "Free some space there (delete files, or make it larger), then try again",
            )
            .into()
        }
        (Stop::Op(error), Ok(())) => Refusal::from(error).into(),
        (stop, _) => stop.into(),
    }
}
