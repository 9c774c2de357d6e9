//! What `prepare` had saved goes with the last old root: nothing can bring back the
//! system that it was for.

use std::ffi::CString;
use std::os::fd::AsFd;

use super::home;
use super::state_file::{HOME, State};
use crate::engine::names::ETC;
use crate::error::Refusal;
use crate::fs::disk::{Dir, Disk};
use crate::fs::name::RelPath;
use crate::fs::remove::{Halt, Manner, Progress, remove};
use crate::fs::tree::Tree;

/// The directory, below the root, of a preparation whose system is not the root any
/// more. One that is not ours, or cannot be read, stays.
///
/// # Errors
/// What the file system answers.
pub(crate) fn of_another(disk: &Disk, root: &Dir) -> Result<Option<RelPath>, Refusal> {
    let Ok(Some(home)) = home::open(disk, root) else { return Ok(None) };
    let Ok(Some(state)) = State::read(disk, &home, &[]) else { return Ok(None) };
    let etc = disk.stat(root, &ETC)?;
    let here = etc.is_some_and(|etc| etc.inode == state.etc);
    Ok(RelPath::new(HOME.to_vec()).filter(|_| !here))
}

/// Removes it.
///
/// # Errors
/// [`Halt`]; it can be repeated, with the next old root that is the last.
pub(crate) fn forget(
    disk: &Disk,
    root: &Dir,
    home: &RelPath,
    watch: &mut dyn Progress,
) -> Result<(), Halt> {
    let Some(parent) = disk.open(root, home.parents()).map_err(Halt::Failed)? else {
        return Ok(());
    };
    // A name has no NUL.
    let name = CString::new(home.last().as_bytes()).unwrap_or_default();
    remove(parent.as_fd(), &name, Manner::Insist, watch)
}
