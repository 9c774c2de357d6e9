//! The system calls that only the removal of a tree makes: by (open
//! directory, single name), without crossing a mount or following a link.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::dir::{Dir, OwningIter, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Result, Stat, errno, stat};

/// What a directory says about an entry of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// A directory.
    Dir,
    /// Something else, or the file system does not tell.
    Other,
}

/// An open directory, read entry by entry. What is removed meanwhile does no
/// harm: it was read before.
#[derive(Debug)]
pub(crate) struct Reading(OwningIter);

impl Reading {
    /// Begins to read.
    pub(crate) fn new(dir: OwnedFd) -> Result<Self> {
        Ok(Self(Dir::from_fd(dir)?.into_iter()))
    }
}

impl AsFd for Reading {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor, and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

impl Iterator for Reading {
    type Item = Result<(CString, Listed)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.0.next()? {
                Ok(entry) => entry,
                Err(errno) => return Some(Err(errno)),
            };
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                let dir = entry.file_type() == Some(Type::Directory);
                let listed = if dir { Listed::Dir } else { Listed::Other };
                return Some(Ok((name.to_owned(), listed)));
            }
        }
    }
}

/// Opens what `name` in `dir` is, if it is on the same mount (else `EXDEV`) and
/// no link (`ELOOP`). Before Linux 5.6 the caller has to compare the mounts.
fn open_here(dir: impl AsFd, name: &CStr, flags: OFlag) -> Result<OwnedFd> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    match openat2(&dir, name, OpenHow::new().flags(flags).resolve(resolve)) {
        Err(Errno::ENOSYS) => openat(dir, name, flags, Mode::empty()),
        opened => opened,
    }
}

/// Opens the directory `name`, as [`open_here`].
pub(crate) fn open_dir(dir: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    open_here(dir, name, OFlag::O_DIRECTORY)
}

/// Opens a file or FIFO to see to its inode flags.
pub(crate) fn open_file(dir: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    open_here(dir, name, OFlag::O_RDONLY)
}

/// Opens the directory that `dir` is in now.
pub(crate) fn open_parent(dir: impl AsFd) -> Result<OwnedFd> {
    openat(dir, "..", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// What a name in a directory is; links are not followed.
pub(crate) fn stat_name(dir: impl AsFd, name: &CStr) -> Result<FileStat> {
    fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// The id of the mount that an open directory is on: by statx(2), or before
/// Linux 5.8 by `/proc/self/fdinfo`, which has had it since 3.15.
pub(crate) fn mount_id(dir: impl AsFd, stat: &Stat) -> Result<u64> {
    if let Some(mount) = stat.mount {
        return Ok(mount.get());
    }
    let path = format!("/proc/self/fdinfo/{}", dir.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).map_err(|e| errno(&e))?;
    let line = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    line.and_then(|id| id.trim().parse().ok()).ok_or(Errno::ENOSYS)
}

/// What an open directory is, and its mount.
pub(crate) fn stat_dir(dir: impl AsFd) -> Result<(Stat, u64)> {
    let found = stat(&dir, None)?;
    let mount = mount_id(dir, &found)?;
    Ok((found, mount))
}

/// Removes what is no directory (`EISDIR` if it is one).
pub(crate) fn unlink(dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)
}

/// Removes an empty directory.
pub(crate) fn rmdir(dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    unlinkat(dir, name, UnlinkatFlags::RemoveDir)
}

/// `struct btrfs_ioctl_vol_args` of `linux/btrfs.h`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct VolArgs {
    fd: i64,
    name: [u8; 4088],
}

nix::ioctl_write_ptr!(
    /// `BTRFS_IOC_SNAP_DESTROY`.
    btrfs_snap_destroy,
    0x94,
    15,
    VolArgs
);
nix::ioctl_read!(
    /// `BTRFS_IOC_SUBVOL_GETFLAGS`.
    btrfs_subvol_getflags,
    0x94,
    25,
    u64
);
nix::ioctl_write_ptr!(
    /// `BTRFS_IOC_SUBVOL_SETFLAGS`.
    btrfs_subvol_setflags,
    0x94,
    26,
    u64
);

/// Removes the btrfs subvolume `name` with all that is in it, in one step;
/// `ENOTEMPTY` when another subvolume is.
pub(crate) fn destroy_subvolume(dir: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let mut arguments = VolArgs { fd: 0, name: [0; 4088] };
    let name = name.to_bytes();
    // The last byte stays 0.
    let room = arguments.name.get_mut(..name.len()).filter(|room| room.len() < 4088);
    room.ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name);
    // SAFETY: a live descriptor; the kernel reads the struct, which ends in a NUL.
    unsafe { btrfs_snap_destroy(dir.as_raw_fd(), &raw const arguments) }.map(drop)
}

/// `BTRFS_FIRST_FREE_OBJECTID`, the inode number of the top of each subvolume.
pub(crate) const SUBVOLUME_INODE: u64 = 256;

/// `BTRFS_SUBVOL_RDONLY`.
const READ_ONLY: u64 = 2;

/// Makes a btrfs subvolume, by its own directory, writable.
pub(crate) fn make_subvolume_writable(subvolume: impl AsFd) -> Result<()> {
    let (fd, mut flags) = (subvolume.as_fd().as_raw_fd(), 0);
    // SAFETY: a live descriptor; the kernel writes a u64.
    unsafe { btrfs_subvol_getflags(fd, &raw mut flags) }?;
    if flags & READ_ONLY == 0 {
        return Ok(());
    }
    flags &= !READ_ONLY;
    // SAFETY: a live descriptor; the kernel reads a u64.
    unsafe { btrfs_subvol_setflags(fd, &raw const flags) }.map(drop)
}
