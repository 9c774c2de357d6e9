//! A lock in the state directory, beside that on the root: the boot loader's
//! installer inherits it.

use std::fs::File;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::state_file::LOCK;
use crate::error::{OpError, Refusal};
use crate::fs::disk::{Dir, Disk};
use crate::fs::lock::{self, Lock, TWO_AT_ONCE, WAIT};
use crate::fs::tree::Tree;

/// A second lock, in the state directory: the boot loader's installer inherits it,
/// and may outlive a `prepare` that is killed.
///
/// # Errors
/// A refusal while the installer has it.
pub(crate) fn take(
    disk: &Disk,
    home: &Dir,
    shown: &str,
) -> std::result::Result<Lock<File>, Refusal> {
    let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let wrong = |errno| Refusal::from(OpError::new("lock", disk.show(home, Some(&LOCK)), errno));
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let file = nix::fcntl::openat(home, LOCK.as_os_str(), flags, mode).map_err(wrong)?;
    lock::take(File::from(file), &disk.show(home, Some(&LOCK)), || {
        let found = format!("the boot loader's installer is still at work on {shown}");
        Refusal::new(found, TWO_AT_ONCE, WAIT)
    })
}
