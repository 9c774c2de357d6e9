//! The file behind a loop device, which its path does not tell: that may be of
//! another mount namespace.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::Result;

/// `LOOP_GET_STATUS64` of `linux/loop.h`.
const STATUS: u32 = 0x4C05;

// `struct loop_info64`, which begins with the numbers of the device and the inode.
nix::ioctl_read_bad!(
    /// What a loop device is.
    status,
    STATUS,
    [u64; 29]
);

/// The device and inode numbers of the file behind a loop device, the first as
/// stat(2) has it; `None` when there is no file behind it any more.
pub(crate) fn loop_file(device: &str) -> Result<Option<((u32, u32), u64)>> {
    let fd = openat(AT_FDCWD, device, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut info = [0u64; 29];
    // SAFETY: the kernel writes no more than the structure, for as long as this lasts.
    match unsafe { status(fd.as_raw_fd(), &raw mut info) } {
        Ok(_) => {}
        Err(Errno::ENXIO) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    let [device, inode, ..] = info;
    // `new_encode_dev` of `linux/kdev_t.h`.
    let number = |bits: u64| u32::try_from(bits).unwrap_or(u32::MAX);
    let major = number((device & 0xf_ff00) >> 8);
    let minor = number((device & 0xff) | ((device >> 12) & 0xf_ff00));
    Ok(Some(((major, minor), inode)))
}
