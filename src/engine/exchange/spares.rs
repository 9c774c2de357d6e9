//! The files that wait in `.lustrate`, and what is written into one of them.

use super::Result;
use crate::engine::names::{PART, SPARE};
use crate::fs::name::Name;
use crate::fs::tree::Tree;

/// Empty files that wait in `.lustrate` until one is needed: for each direction a
/// record and two markers, for a revert its intent, and as many for turning round.
pub(super) const SPARES: u32 = 8;

/// A file with that content in `.lustrate`, on the disk after the next sync; the
/// caller renames it before it asks for another. One that waits is used, if any
/// is left.
pub(super) fn draft<T: Tree>(tree: &T, meta: &T::Dir, content: &[u8]) -> Result<Name> {
    for at in 0..SPARES {
        let name = spare(at);
        if tree.fill(meta, &name, content)? {
            return Ok(name);
        }
    }
    tree.make_empty(meta, &PART)?;
    tree.fill(meta, &PART, content)?;
    Ok(PART)
}

pub(super) fn spare(at: u32) -> Name {
    SPARE.with_suffix(&format!("-{at}"))
}
