//! The beginning of an exchange, from whatever state the root is in: the
//! staging directory with the intent in it, and a home for both populations.

use super::close::remove_leftover;
use super::flags::{Change, HINDERING, change_flags, remove_note, write_note};
use super::marker::arm_nixos;
use super::{Boot, Done, Exchange, Result, gave_way, rename};
use crate::engine::intent::{Direction, Intent};
use crate::engine::names::{
    ETC, INTENT, LEFT, LUSTRATE, NEW, OLD_ROOT, OLD_ROOT_TMP, PART, RECORD,
};
use crate::error::Stop;
use crate::fs::name::Name;
use crate::fs::tree::{Moved, Tree};

/// What an exchange begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// A finished lustration, to revert it.
    Finished,
    /// A root that is whole, or an exchange in progress.
    Anywhere,
}

/// Begins an exchange, or takes up one in progress, whichever way it went.
///
/// # Errors
/// [`Stop`]; nothing has moved yet.
pub fn begin<'a, T: Tree>(
    tree: &'a T,
    root: &'a T::Dir,
    mut intent: Intent,
    boot: Boot,
    from: From,
) -> Result<Exchange<'a, T>> {
    let home = intent.incoming();
    let meta = match from {
        From::Finished => reopen(tree, root, &mut intent)?,
        From::Anywhere => stage(tree, root, &mut intent)?,
    };
    // An older old root makes room; also when the stock function had buried
    // another one, which a revert brings back under that name.
    if (intent.direction == Direction::Lustrate || intent.moves(&OLD_ROOT))
        && let Some(rotated) = &intent.rotated
        && tree.stat(root, rotated)?.is_none()
    {
        rename(tree, (root, &OLD_ROOT), (root, rotated))?;
    }
    // A revert in progress shows in the name of the new population's home.
    match intent.direction {
        Direction::Lustrate => {
            if rename(tree, (root, &home), (&meta, &NEW))? == Moved::Missing {
                tree.make_dir(&meta, &NEW, 0o755)?;
            }
        }
        Direction::Revert => {
            if rename(tree, (&meta, &NEW), (root, &home))? == Moved::Missing {
                tree.make_dir(root, &home, 0o755)?;
            }
        }
    }
    let incoming = match intent.direction {
        Direction::Lustrate => open(tree, &meta, &NEW)?,
        Direction::Revert => open(tree, root, &home)?,
    };
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    let staged = tree.list(&staging)?;
    let mut done = Done::default();
    if let (Direction::Revert, Some((etc, dated))) =
        (intent.direction, intent.aside.iter().find(|(name, _)| *name == ETC))
    {
        done.notes.push(gave_way(etc, dated));
    }
    Ok(Exchange { tree, root, intent, boot, staging, meta, incoming, staged, done })
}

/// Makes a finished lustration one in progress, to revert it.
fn reopen<T: Tree>(tree: &T, root: &T::Dir, intent: &mut Intent) -> Result<T::Dir> {
    let old_root = open(tree, root, &OLD_ROOT)?;
    if tree.stat(&old_root, &LUSTRATE)?.is_none() {
        // The stock function's: there is no place yet to note its flags in.
        unlock(tree, &old_root)?;
    }
    tree.make_dir(&old_root, &LUSTRATE, 0o700)?;
    let meta = open(tree, &old_root, &LUSTRATE)?;
    unlock(tree, &meta)?;
    write_intent(tree, &meta, intent)?;
    tree.sync(root)?;
    // From here a boot finds work: the marker first, then the staging directory.
    change_flags(tree, &[root], &intent.flags, Change::ClearEtc)?;
    arm_nixos(tree, root, &meta, intent)?;
    change_flags(tree, &[root], &intent.flags, Change::Clear)?;
    if tree.stat(root, &OLD_ROOT_TMP)?.is_some() {
        remove_leftover(tree, root)?;
    }
    rename(tree, (root, &OLD_ROOT), (root, &OLD_ROOT_TMP))?;
    Ok(meta)
}

/// Makes the staging directory, or completes the one that is there.
fn stage<T: Tree>(tree: &T, root: &T::Dir, intent: &mut Intent) -> Result<T::Dir> {
    let home = intent.incoming();
    if tree.stat(root, &OLD_ROOT_TMP)?.is_none() {
        note_root_flags(tree, root, intent)?;
        clear_root_flags(tree, root, intent)?;
        // What a revert had to leave there comes with it.
        let left = tree.open(root, &[home.clone(), LUSTRATE])?;
        let left = left.map(|meta| rename(tree, (&meta, &LEFT), (root, &OLD_ROOT_TMP)));
        if left.transpose()?.is_none_or(|moved| moved == Moved::Missing) {
            tree.make_dir(root, &OLD_ROOT_TMP, 0o755)?;
        }
    }
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    // The last steps of a revert, backwards.
    if let Some(incoming) = tree.open(root, &[home])? {
        rename(tree, (&incoming, &LUSTRATE), (&staging, &LUSTRATE))?;
    }
    tree.make_dir(&staging, &LUSTRATE, 0o700)?;
    let meta = open(tree, &staging, &LUSTRATE)?;
    write_intent(tree, &meta, intent)?;
    tree.sync(root)?;
    change_flags(tree, &[root], &intent.flags, Change::ClearHolders)?;
    if let Some(etc) = tree.open(root, &[ETC])?.filter(|_| intent.root_flags().is_some()) {
        remove_note(tree, &etc)?;
    }
    Ok(meta)
}

/// The intent is on the disk, whole, before anything moves.
pub(super) fn write_intent<T: Tree>(tree: &T, meta: &T::Dir, intent: &mut Intent) -> Result<()> {
    intent.anchor = tree.stat_dir(meta)?.inode;
    let text = intent.to_text();
    if tree.read(meta, &INTENT, text.len())?.as_ref() != Some(&text) {
        tree.remove_file(meta, &PART)?;
        tree.make_file(meta, &PART, &text)?;
        tree.replace((meta, &PART), (meta, &INTENT))?;
    }
    Ok(())
}

/// An immutable root can hold no staging directory and so no intent: until it
/// does, a note in `etc` has the flags.
fn note_root_flags<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<()> {
    match (intent.root_flags(), tree.open(root, &[ETC])?) {
        (Some(flags), Some(etc)) => write_note(tree, root, &etc, flags),
        _ => Ok(()),
    }
}

fn clear_root_flags<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<()> {
    change_flags(tree, &[root], &intent.flags, Change::ClearRoot)
}

/// Clears the flags of a directory of ours, and of the notes in it.
fn unlock<T: Tree>(tree: &T, meta: &T::Dir) -> Result<()> {
    let now = tree.flags(meta, None)?;
    if now & HINDERING != 0 {
        tree.set_flags(meta, None, now & !HINDERING)?;
    }
    for name in [RECORD, INTENT, PART] {
        if tree.stat(meta, &name)?.is_some_and(|stat| stat.flags != 0) {
            let now = tree.flags(meta, Some(&name))?;
            tree.set_flags(meta, Some(&name), now & !HINDERING)?;
        }
    }
    Ok(())
}

pub(super) fn open<T: Tree>(tree: &T, dir: &T::Dir, name: &Name) -> Result<T::Dir> {
    let opened = tree.open(dir, std::slice::from_ref(name))?;
    opened.ok_or_else(|| Stop::changed(format!("'{}' is no directory", tree.show(dir, Some(name)))))
}
