//! The intent and the record as they lie on the disk: never trusted blindly.

use crate::engine::exchange::{self, MAX_INTENT};
use crate::engine::facts::{Journal, Result};
use crate::engine::intent::{self, Flagged};
use crate::engine::names::{INTENT, LUSTRATE, NEW, NIXOS_ROOT, OLD_ROOT, RECORD};
use crate::engine::time::is_dated;
use crate::fs::name::Name;
use crate::fs::sys::{Kind, release};
use crate::fs::tree::Tree;

/// How long ago it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// What it says holds.
    InProgress,
    /// The exchange is over but for its last step: some flags are cleared still.
    Fresh,
    /// Months may have passed.
    Old,
}

/// The intent, or else the record, in a staging directory or old root.
pub(super) fn journal<T: Tree>(tree: &T, home: &T::Dir, uid: u32, age: Age) -> Result<Journal> {
    let Some(meta) = tree.open(home, &[LUSTRATE])? else {
        if tree.stat(home, &LUSTRATE)?.is_none() {
            return Ok(Journal::None);
        }
        let path = tree.show(home, Some(&LUSTRATE));
        return Ok(Journal::Bad(format!("{path} is no directory")));
    };
    let finished = age != Age::InProgress;
    let order = if finished { [RECORD, INTENT] } else { [INTENT, RECORD] };
    for name in order {
        let Some(stat) = tree.stat(&meta, &name)? else { continue };
        let path = tree.show(&meta, Some(&name));
        let bad = |why: &str| Ok(Journal::Bad(format!("{path} cannot be followed: {why}")));
        if stat.kind != Kind::File {
            return bad("it is not a regular file");
        }
        if (stat.uid != 0 && stat.uid != uid) || stat.mode & 0o022 != 0 {
            return bad("it may have been written by another user");
        }
        let Some(text) = tree.read(&meta, &name, MAX_INTENT)? else { continue };
        let anchor = tree.stat_dir(&meta)?.inode;
        let parsed = intent::parse(&text);
        release(text);
        return match parsed {
            Err(why) => bad(&why.to_string()),
            // Months later a finished one may have been copied, or restored from a
            // backup; what counts is what is there now.
            Ok(mut record) if finished => {
                if age == Age::Old {
                    record.flags.clear();
                }
                record.flags.extend(begun(tree, &meta, anchor)?);
                Ok(Journal::Good(Box::new(record)))
            }
            Ok(intent) if intent.anchor != anchor => {
                bad("its directory is a copy of the one that it was written for")
            }
            Ok(intent) => Ok(Journal::Good(Box::new(intent))),
        };
    }
    // `new` is made after the intent is on the disk.
    if tree.stat(&meta, &NEW)?.is_some() {
        let path = tree.show(&meta, Some(&INTENT));
        return Ok(Journal::Bad(format!("{path} is missing, and files have been moved")));
    }
    Ok(Journal::None)
}

/// The flags that a revert which had only begun has cleared.
fn begun<T: Tree>(tree: &T, meta: &T::Dir, anchor: u64) -> Result<Vec<Flagged>> {
    let intent = exchange::read_intent(tree, meta, &INTENT)?;
    Ok(intent.filter(|intent| intent.anchor == anchor).map_or(Vec::new(), |intent| intent.flags))
}

/// Whether `/old-root` is one that a finished revert brought back with the old
/// population: that revert is over, and an earlier lustration is not meant.
///
/// # Errors
/// What the file system answers.
pub(crate) fn older_came_back<T: Tree>(tree: &T, root: &T::Dir) -> Result<bool> {
    for name in tree.list(root)? {
        if !is_nixos_root(&name) {
            continue;
        }
        let older = exchange::record(tree, root, &name)?.and_then(|record| record.older);
        let Some((_, time)) = older else { continue };
        // One of the stock function has no time of its own; a later one would have
        // taken this directory away.
        if exchange::lustrated(tree, root, &OLD_ROOT)?.is_none_or(|now| now == time) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a revert may have given this name to what NixOS had written.
pub(crate) fn is_nixos_root(name: &Name) -> bool {
    *name == NIXOS_ROOT || is_dated(name, &NIXOS_ROOT)
}
