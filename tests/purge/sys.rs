//! A pseudo-terminal, and how much memory a program took.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

/// A terminal: what a person has in front of them, and what a program gets.
pub fn terminal() -> io::Result<(File, File)> {
    // SAFETY: the descriptor returned is owned by nobody else.
    let master = unsafe {
        let fd = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from(OwnedFd::from_raw_fd(fd))
    };
    let mut name = [0u8; 64];
    // SAFETY: a live descriptor, and a buffer with its length.
    let done = unsafe {
        libc::grantpt(master.as_raw_fd()) == 0
            && libc::unlockpt(master.as_raw_fd()) == 0
            && libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr().cast(), name.len()) == 0
    };
    if !done {
        return Err(io::Error::last_os_error());
    }
    let name = std::ffi::CStr::from_bytes_until_nul(&name).expect("a name");
    let name = name.to_str().expect("a path in ASCII");
    let slave =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name)?;
    Ok((master, slave))
}

/// Waits for a child: how it ended, and its largest resident set in KiB.
pub fn wait_with_memory(child: &Child) -> io::Result<(ExitStatus, i64)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: a child of ours, and room for both answers.
    let (done, usage) = unsafe {
        let done = libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr());
        (done, usage.assume_init())
    };
    if done == pid {
        Ok((ExitStatus::from_raw(status), usage.ru_maxrss))
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sends SIGINT, as Ctrl-C does.
pub fn interrupt(child: &Child) -> io::Result<()> {
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: takes numbers only.
    if unsafe { libc::kill(pid, libc::SIGINT) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
