//! One at a time: a lock on the root, as the engine has it, and one in the state
//! directory, which the boot loader's installer inherits.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;

use super::site::Site;
use super::state::LOCK;
use crate::error::{Error, OpError, Refusal};
use crate::fs::disk::Dir;
use crate::fs::tree::Tree;

/// Never dropped by itself: it ends with the process, and its drop may panic.
pub type Lock<T> = ManuallyDrop<Flock<T>>;

/// Locks a root.
///
/// # Errors
/// A refusal when somebody else has it.
pub fn root(root: &Dir, shown: &str) -> std::result::Result<Lock<OwnedFd>, Refusal> {
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

impl Site {
    /// A second lock, in the state directory: the boot loader's installer
    /// inherits it, and may outlive a `prepare` that is killed.
    ///
    /// # Errors
    /// A refusal while the installer has it.
    pub fn take_lock(&mut self) -> std::result::Result<(), Error> {
        let Some(home) = self.home.as_ref().filter(|_| self.lock.is_none()) else { return Ok(()) };
        let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let wrong =
            |errno| Refusal::from(OpError::new("lock", self.disk.show(home, Some(&LOCK)), errno));
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = nix::fcntl::openat(home, LOCK.as_os_str(), flags, mode).map_err(wrong)?;
        match Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock) {
            Ok(lock) => self.lock = Some(ManuallyDrop::new(lock)),
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(Refusal::new(
                    format!("the boot loader's installer is still at work on {}", self.shown),
                    "Two at once would get in each other's way",
                    "Wait until it has ended",
                )
                .into());
            }
            Err((_, errno)) => return Err(wrong(errno).into()),
        }
        Ok(())
    }
}
