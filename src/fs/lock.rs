//! One at a time: a lock on an open file, which ends with the process.

use std::mem::ManuallyDrop;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, Flockable};

use crate::error::{OpError, Refusal};

/// Never dropped by itself: that would unlock it, and panic if this failed.
pub(crate) type Lock<T> = ManuallyDrop<Flock<T>>;

/// What would happen without it.
pub(crate) const TWO_AT_ONCE: &str = "Two at once would get in each other's way";
/// What to do while somebody else has it.
pub(crate) const WAIT: &str = "Wait until it has ended";

/// Who has it, behind a colon, as far as that can be seen.
#[cfg(feature = "full")]
pub(crate) fn holders(file: impl std::os::fd::AsFd) -> String {
    let found = crate::fs::processes::holding(file);
    let shown: Vec<_> = found.iter().take(3).map(ToString::to_string).collect();
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join("; ")) }
}

/// Nobody else is in an initrd.
#[cfg(not(feature = "full"))]
pub(crate) fn holders(_file: impl std::os::fd::AsFd) -> &'static str {
    ""
}

/// Locks a file, which is shown as `shown`.
///
/// # Errors
/// `busy` when somebody else has it.
pub(crate) fn take<T: Flockable>(
    file: T,
    shown: &str,
    busy: impl FnOnce(&T) -> Refusal,
) -> Result<Lock<T>, Refusal> {
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    locked.map(ManuallyDrop::new).map_err(|(file, errno)| match errno {
        Errno::EWOULDBLOCK => busy(&file),
        errno => OpError::new("lock", shown, errno).into(),
    })
}
