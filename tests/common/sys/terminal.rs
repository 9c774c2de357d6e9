//! A pseudo-terminal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// A terminal: what a person has in front of them, and what a program gets.
pub fn open() -> io::Result<(File, File)> {
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
