//! One at a time: a lock on the root, as the engine has it, and one in the state
//! directory, which the boot loader's installer inherits.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;

use super::state_file::LOCK;
use crate::error::{OpError, Refusal};
use crate::fs::disk::{Dir, Disk};
use crate::fs::tree::Tree;

/// Never dropped by itself: it ends with the process, and its drop may panic.
pub(crate) type Lock<T> = ManuallyDrop<Flock<T>>;

/// Locks a root.
///
/// # Errors
/// A refusal when somebody else has it.
pub(crate) fn root(root: &Dir, shown: &str) -> std::result::Result<Lock<OwnedFd>, Refusal> {
    let wrong = |errno| Refusal::from(OpError::new("lock", shown, errno));
    let fd = root.as_fd().try_clone_to_owned();
    let fd = fd.map_err(|e| wrong(Errno::from_raw(e.raw_os_error().unwrap_or(0))))?;
    let locked = Flock::lock(fd, FlockArg::LockExclusiveNonblock).map(ManuallyDrop::new);
    locked.map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Refusal::new(
            format!("another nixos-lustrate is at work on {shown}"),
            "Two at once would get in each other's way",
            "Wait until it has ended",
        ),
        errno => wrong(errno),
    })
}

/// A second lock, in the state directory: the boot loader's installer inherits it,
/// and may outlive a `prepare` that is killed.
///
/// # Errors
/// A refusal while the installer has it.
pub(crate) fn installer(
    disk: &Disk,
    home: &Dir,
    shown: &str,
) -> std::result::Result<Lock<File>, Refusal> {
    let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let wrong = |errno| Refusal::from(OpError::new("lock", disk.show(home, Some(&LOCK)), errno));
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let file = nix::fcntl::openat(home, LOCK.as_os_str(), flags, mode).map_err(wrong)?;
    let locked = Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock);
    locked.map(ManuallyDrop::new).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Refusal::new(
            format!("the boot loader's installer is still at work on {shown}"),
            "Two at once would get in each other's way",
            "Wait until it has ended",
        ),
        errno => wrong(errno),
    })
}
