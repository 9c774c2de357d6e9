//! The intent and the record as they lie on the disk: never trusted blindly.

use crate::engine::exchange::{self, MAX_INTENT};
use crate::engine::facts::{Journal, Result};
use crate::engine::intent;
use crate::engine::names::{INTENT, LUSTRATE, NEW, NIXOS_ROOT, OLD_ROOT, RECORD};
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;

/// The intent, or else the record, in a staging directory or old root.
pub(super) fn journal<T: Tree>(
    tree: &T,
    home: &T::Dir,
    uid: u32,
    finished: bool,
) -> Result<Journal> {
    let Some(meta) = tree.open(home, &[LUSTRATE])? else {
        if tree.stat(home, &LUSTRATE)?.is_none() {
            return Ok(Journal::None);
        }
        let path = tree.show(home, Some(&LUSTRATE));
        return Ok(Journal::Bad(format!("{path} is no directory")));
    };
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
        return match intent::parse(&text) {
            Err(why) => bad(&why.to_string()),
            Ok(intent) if intent.anchor != tree.stat_dir(&meta)?.inode => {
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

/// Whether `/old-root` is one that a finished revert brought back with the old
/// population: that revert is over, and an earlier lustration is not meant.
///
/// # Errors
/// What the file system answers.
pub(crate) fn older_came_back<T: Tree>(tree: &T, root: &T::Dir) -> Result<bool> {
    let Some(meta) = tree.open(root, &[NIXOS_ROOT, LUSTRATE])? else { return Ok(false) };
    let record = tree.read(&meta, &RECORD, MAX_INTENT)?;
    let older = record.and_then(|text| intent::parse(&text).ok()?.older);
    Ok(older.is_some() && older == exchange::identity(tree, root, &OLD_ROOT)?)
}
