//! What a process needs that goes on when its parent is killed.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use super::Result;

/// Which of the two a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forked {
    /// The old one, and the process id of the new one.
    Parent(i32),
    /// The new one.
    Child,
}

/// Makes a second process. There must be no other thread.
pub(crate) fn fork() -> Result<Forked> {
    // SAFETY: the only thread, so that no lock is held by another one.
    match Errno::result(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Leaves the session of the terminal, whose end no longer ends this process, and
/// lets go of its standard output and error.
pub(crate) fn leave_session(output: impl AsFd) -> Result<()> {
    // SAFETY: no memory is involved.
    Errno::result(unsafe { libc::setsid() })?;
    for standard in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: live descriptors; nobody owns the standard ones.
        Errno::result(unsafe { libc::dup2(output.as_fd().as_raw_fd(), standard) })?;
    }
    Ok(())
}

/// Closes what was inherited; the lock on it is the parent's.
pub(crate) fn close_inherited(file: impl AsFd) {
    // SAFETY: the caller never uses or drops it again.
    unsafe { libc::close(file.as_fd().as_raw_fd()) };
}

/// How a child ended; `None` while it has not.
pub(crate) fn ended(pid: i32) -> Result<Option<std::process::ExitStatus>> {
    let mut status = 0;
    // SAFETY: room for the answer.
    let found = Errno::result(unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) })?;
    Ok((found == pid).then(|| std::os::unix::process::ExitStatusExt::from_raw(status)))
}

/// Ends this process at once.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(status) }
}

/// Whether a signal is ignored, as nohup(1) has it.
pub(crate) fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: zeroes are a valid sigaction, and the kernel fills it in.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only; room for the answer.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
