//! Immutable and append-only files, and directories that a file of another project
//! cannot enter: the flags are cleared for the exchange and set again at its end.
//! The intent knows them, so a crash in between cannot lose them.
//!
//! Old roots keep theirs until after the commit: they get other names meanwhile.

use super::{Exchange, Result};
use crate::engine::intent::Flagged;
use crate::engine::names::{BOOT, BOOT_BAK, ETC, FLAGS_NOTE, FLAGS_PART, OLD_ROOT, OLD_ROOT_TMP};
use crate::engine::time::is_dated;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{APPEND, IMMUTABLE, PROJECT};
use crate::fs::tree::{self, Tree};

/// The flags that keep a file from being moved, or others from being moved into it.
pub(crate) const HINDERING: u32 = IMMUTABLE | APPEND | PROJECT;

/// What is done with flags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Clear,
    /// Clears those of the root itself.
    ClearRoot,
    /// Clears those of the root and of old roots.
    ClearHolders,
    /// Clears those of an `etc`.
    ClearEtc,
    /// Sets those of files and directories that have their names again.
    Restore,
    /// Sets those of an `etc` that take nothing from it.
    RestoreOpenEtc,
    /// Sets those of an `etc`, once the marker is out of it.
    RestoreEtc,
    /// Sets those of the root and of old roots, after the commit.
    RestoreHolders,
}

impl<T: Tree> Exchange<'_, T> {
    pub(super) fn change_flags(&self, change: Change) -> Result<()> {
        let bases = [self.root, &self.staging, &self.incoming];
        // The marker is in the root's `etc` until the end.
        let from = usize::from(change == Change::RestoreEtc);
        change_flags(self.tree, &bases[from..], &self.intent.flags, change)
    }
}

/// Changes what is noted, wherever it is below one of the bases; the first is the root.
pub(super) fn change_flags<T: Tree>(
    tree: &T,
    bases: &[&T::Dir],
    flags: &[Flagged],
    change: Change,
) -> Result<()> {
    for flagged in flags {
        let (holder, etc) = (is_holder(flagged), is_etc(flagged));
        let due = match change {
            Change::Clear => true,
            Change::ClearRoot => flagged.path.is_none(),
            Change::ClearHolders | Change::RestoreHolders => holder,
            Change::ClearEtc | Change::RestoreEtc => etc,
            Change::RestoreOpenEtc => etc && flagged.flags == PROJECT,
            Change::Restore => !holder && !etc,
        };
        if !due {
            continue;
        }
        let Some(path) = &flagged.path else {
            // The root's own.
            set(tree, bases[0], None, flagged.flags, change)?;
            continue;
        };
        'found: for base in bases {
            for path in places(tree, base, path)? {
                let opened = match path.parents() {
                    [] => None,
                    parents => match tree.open(base, parents)? {
                        None => continue,
                        opened => opened,
                    },
                };
                let dir = opened.as_ref().unwrap_or(base);
                let found = tree.stat(dir, path.last())?;
                if found.is_some_and(|stat| stat.inode == flagged.inode) {
                    set(tree, dir, Some(path.last()), flagged.flags, change)?;
                    break 'found;
                }
            }
        }
    }
    Ok(())
}

/// Whether it is the root, or an old root.
fn is_holder(flagged: &Flagged) -> bool {
    flagged.path.as_ref().is_none_or(|path| path.is_entry() && is_old_root(path.entry()))
}

/// Whether it is an `etc` itself.
fn is_etc(flagged: &Flagged) -> bool {
    flagged.path.as_ref().is_some_and(|path| *path.names() == [ETC])
}

/// Where a file may be: an exchange gives other names to old roots and to `boot`.
fn places<T: Tree>(tree: &T, base: &T::Dir, path: &RelPath) -> Result<Vec<RelPath>> {
    let entry = path.entry();
    let mut names = vec![entry.clone()];
    if path.is_entry() && is_old_root(entry) {
        names = tree.list(base)?;
        names.retain(is_old_root);
    } else if [BOOT, BOOT_BAK].contains(entry) {
        names = vec![BOOT, BOOT_BAK];
    }
    let below = path.names().get(1..).unwrap_or_default();
    let path = |name| RelPath::new([&[name], below].concat());
    Ok(names.into_iter().filter_map(path).collect())
}

fn is_old_root(name: &Name) -> bool {
    [OLD_ROOT, OLD_ROOT_TMP].contains(name) || is_dated(name, &OLD_ROOT)
}

fn set<T: Tree>(
    tree: &T,
    dir: &T::Dir,
    name: Option<&Name>,
    flags: u32,
    change: Change,
) -> Result<()> {
    let now = tree.flags(dir, name)?;
    let new = match change {
        Change::Clear | Change::ClearRoot | Change::ClearHolders | Change::ClearEtc => {
            now & !(flags & HINDERING)
        }
        _ => now | flags,
    };
    if now != new {
        tree.set_flags(dir, name, new)?;
    }
    Ok(())
}

/// The name of our note in `etc` with the flags of an immutable root, and the flags
/// if it is there. Somebody else's file of that name is left alone.
///
/// # Errors
/// What the file system answers.
pub(crate) fn note<T: Tree>(tree: &T, etc: &T::Dir) -> tree::Result<(Name, Option<u32>)> {
    let mut at = 0;
    loop {
        let name = FLAGS_NOTE.numbered(at);
        let note = tree.read(etc, &name, 32)?;
        let digits = note.as_ref().and_then(|n| std::str::from_utf8(n).ok()?.strip_suffix('\n'));
        let flags = digits.and_then(|n| n.parse::<u32>().ok()).filter(|f| f & !HINDERING == 0);
        if flags.is_some() || (note.is_none() && tree.stat(etc, &name)?.is_none()) {
            return Ok((name, flags));
        }
        at += 1;
    }
}

/// Writes that note, whole.
///
/// # Errors
/// [`crate::error::Stop`]; it can be repeated.
pub(crate) fn write_note<T: Tree>(tree: &T, root: &T::Dir, etc: &T::Dir, flags: u32) -> Result<()> {
    let (name, there) = note(tree, etc)?;
    if there != Some(flags) {
        remove_note(tree, etc)?;
        tree.make_file(etc, &FLAGS_PART, format!("{flags}\n").as_bytes())?;
        tree.replace((etc, &FLAGS_PART), (etc, &name))?;
        tree.sync(root)?;
    }
    Ok(())
}

/// Removes our note; whether there was one.
pub(super) fn remove_note<T: Tree>(tree: &T, etc: &T::Dir) -> Result<bool> {
    tree.remove_file(etc, &FLAGS_PART)?;
    let (name, flags) = note(tree, etc)?;
    if flags.is_some() {
        tree.remove_file(etc, &name)?;
    }
    Ok(flags.is_some())
}
