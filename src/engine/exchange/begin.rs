//! The beginning of an exchange, from whatever state the root is in: the
//! staging directory with the intent in it, and a home for both populations.

use super::close::remove_leftover;
use super::flags::HINDERING;
use super::marker::{Need, arm};
use super::{Boot, Done, Exchange, Result, rename};
use crate::engine::intent::{Direction, Intent};
use crate::engine::names::{
    ETC, FLAGS_NOTE, INTENT, LUSTRATE, NEW, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP, PART,
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
            if rename(tree, (root, &NIXOS_ROOT_TMP), (&meta, &NEW))? == Moved::Missing {
                tree.make_dir(&meta, &NEW, 0o755)?;
            }
        }
        Direction::Revert => {
            if rename(tree, (&meta, &NEW), (root, &NIXOS_ROOT_TMP))? == Moved::Missing {
                tree.make_dir(root, &NIXOS_ROOT_TMP, 0o755)?;
            }
        }
    }
    let incoming = match intent.direction {
        Direction::Lustrate => open(tree, &meta, &NEW)?,
        Direction::Revert => open(tree, root, &NIXOS_ROOT_TMP)?,
    };
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    let staged = tree.list(&staging)?;
    let done = Done::default();
    Ok(Exchange { tree, root, intent, boot, staging, meta, incoming, staged, done })
}

/// Makes a finished lustration one in progress, to revert it.
fn reopen<T: Tree>(tree: &T, root: &T::Dir, intent: &mut Intent) -> Result<T::Dir> {
    let old_root = open(tree, root, &OLD_ROOT)?;
    tree.make_dir(&old_root, &LUSTRATE, 0o700)?;
    let meta = open(tree, &old_root, &LUSTRATE)?;
    write_intent(tree, &meta, intent)?;
    tree.sync(root)?;
    // From here a boot finds work: the marker first, then the staging directory.
    if let Some(etc) = tree.open(root, &[ETC])? {
        arm(tree, &meta, &etc, Need::InProgress(Direction::Revert))?;
    }
    clear_root_flags(tree, root, intent)?;
    if tree.stat(root, &OLD_ROOT_TMP)?.is_some() {
        remove_leftover(tree, root)?;
    }
    rename(tree, (root, &OLD_ROOT), (root, &OLD_ROOT_TMP))?;
    Ok(meta)
}

/// Makes the staging directory, or completes the one that is there.
fn stage<T: Tree>(tree: &T, root: &T::Dir, intent: &mut Intent) -> Result<T::Dir> {
    if tree.stat(root, &OLD_ROOT_TMP)?.is_none() {
        note_root_flags(tree, root, intent)?;
        clear_root_flags(tree, root, intent)?;
        tree.make_dir(root, &OLD_ROOT_TMP, 0o755)?;
    }
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    // The last steps of a revert, backwards.
    if let Some(incoming) = tree.open(root, &[NIXOS_ROOT_TMP])? {
        rename(tree, (&incoming, &LUSTRATE), (&staging, &LUSTRATE))?;
    }
    tree.make_dir(&staging, &LUSTRATE, 0o700)?;
    let meta = open(tree, &staging, &LUSTRATE)?;
    write_intent(tree, &meta, intent)?;
    tree.sync(root)?;
    clear_root_flags(tree, root, intent)?;
    if let Some(etc) = tree.open(root, &[ETC])? {
        tree.remove_file(&etc, &FLAGS_NOTE)?;
    }
    Ok(meta)
}

/// The intent is on the disk, whole, before anything moves.
fn write_intent<T: Tree>(tree: &T, meta: &T::Dir, intent: &mut Intent) -> Result<()> {
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
/// can, its flags are noted in `etc`.
fn note_root_flags<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<()> {
    let Some(flags) = intent.root_flags() else { return Ok(()) };
    let Some(etc) = tree.open(root, &[ETC])? else { return Ok(()) };
    let note = format!("{flags}\n");
    if tree.read(&etc, &FLAGS_NOTE, note.len())?.as_deref() != Some(note.as_bytes()) {
        tree.remove_file(&etc, &FLAGS_NOTE)?;
        tree.make_file(&etc, &FLAGS_NOTE, note.as_bytes())?;
        tree.sync(root)?;
    }
    Ok(())
}

fn clear_root_flags<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<()> {
    if intent.root_flags().is_some() {
        let now = tree.flags(root, None)?;
        if now & HINDERING != 0 {
            tree.set_flags(root, None, now & !HINDERING)?;
        }
    }
    Ok(())
}

pub(super) fn open<T: Tree>(tree: &T, dir: &T::Dir, name: &Name) -> Result<T::Dir> {
    let opened = tree.open(dir, std::slice::from_ref(name))?;
    opened.ok_or_else(|| Stop::changed(format!("'{}' is no directory", tree.show(dir, Some(name)))))
}
