//! What is free in a file system, and files that take it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, openat};
use nix::sys::stat::{Mode, SFlag, mknodat};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};
use nix::sys::statvfs::FsFlags;
use nix::unistd::{Whence, ftruncate, lseek};

use super::{Result, write_all};
use crate::fs::name::Name;

/// What is free in a file system, for root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free bytes.
    pub bytes: u64,
    /// Free inodes, where the file system counts them.
    pub files: Option<u64>,
    /// Bytes left for metadata, where those are apart: btrfs.
    pub metadata: Option<u64>,
    /// What renames of a few names into new directories may need, in bytes.
    pub base: u64,
}

/// What is free where `dir` is, and whether that is mounted read-only.
pub(crate) fn space(dir: impl AsFd) -> Result<(Space, bool)> {
    let found = fstatfs(&dir)?;
    let block = u64::try_from(found.block_size()).unwrap_or(4096);
    let kind = found.filesystem_type();
    // A rename on xfs asks for all that a split of each tree might take; 64 KiB
    // are too few there, and enough on ext4 with blocks of 1 KiB and of 4 KiB.
    let base = if [EXT4_SUPER_MAGIC, TMPFS_MAGIC].contains(&kind) { 64 } else { 256 };
    let metadata = match kind {
        BTRFS_SUPER_MAGIC => metadata(dir, found.blocks_available().saturating_mul(block)),
        _ => None,
    };
    let space = Space {
        // A tmpfs without a limit has no blocks.
        bytes: match found.blocks() {
            0 => u64::MAX,
            _ => found.blocks_free().saturating_mul(block),
        },
        files: Some(found.files_free()).filter(|_| found.files() != 0),
        metadata,
        // A file of ours may take a whole block.
        base: (base << 10) + 16 * block,
    };
    Ok((space, found.flags().contains(FsFlags::ST_RDONLY)))
}

/// `struct btrfs_ioctl_space_args` of `linux/btrfs.h`, with room for each kind of
/// block group in several profiles.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct SpaceArgs {
    slots: u64,
    total: u64,
    /// Flags, all bytes, used bytes.
    spaces: [[u64; 3]; 24],
}

nix::ioctl_readwrite_bad!(
    /// `BTRFS_IOC_SPACE_INFO`.
    btrfs_space_info,
    nix::request_code_readwrite!(0x94, 20, 16),
    SpaceArgs
);

/// What is left for metadata on btrfs: in the block groups for it, without what
/// the kernel keeps for itself, and in what no block group has yet.
fn metadata(dir: impl AsFd, available: u64) -> Option<u64> {
    // `BTRFS_BLOCK_GROUP_DATA` and the like of `linux/btrfs_tree.h`.
    let (data_group, metadata_group, global_reserve) = (1, 4, 1 << 49);
    let mut arguments = SpaceArgs { slots: 24, total: 0, spaces: [[0; 3]; 24] };
    // SAFETY: a live descriptor; the kernel writes no more slots than there are.
    unsafe { btrfs_space_info(dir.as_fd().as_raw_fd(), &raw mut arguments) }.ok()?;
    let (mut data, mut meta, mut global) = (0u64, None, 0);
    for [flags, total, used] in arguments.spaces {
        let free = total.saturating_sub(used);
        if flags & global_reserve != 0 {
            global = total;
        } else if flags & data_group != 0 {
            data += free;
        } else if flags & metadata_group != 0 {
            meta = Some(meta.unwrap_or(0) + free);
        }
    }
    // Without block groups of its own, metadata is among the data.
    let unallocated = if meta.is_some() { available.saturating_sub(data) } else { available };
    Some(meta.unwrap_or(0).saturating_sub(global) + unallocated)
}

/// Makes an empty regular file that was not there, without opening it.
pub(crate) fn make_empty(dir: impl AsFd, name: &Name) -> Result<()> {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IROTH;
    mknodat(dir, name.as_os_str(), SFlag::S_IFREG, mode, 0)
}

/// Opens a file of our own to write to it.
pub(crate) fn open_own(dir: impl AsFd, name: &Name, flags: OFlag) -> Result<OwnedFd> {
    let flags = flags | OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    openat(dir.as_fd(), name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
}

/// Takes space: the file is at least that long, and each byte of it allocated.
pub(crate) fn allocate(file: &OwnedFd, size: u64) -> Result<()> {
    let length = i64::try_from(size).map_err(|_| Errno::EFBIG)?;
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        // Old ext3 trees, and file systems that never had it.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
            let zeros = [0; 4096];
            (0..size.div_ceil(4096)).try_for_each(|_| write_all(file, &zeros))
        }
        done => done,
    }
}

/// Gives space back: the file is no longer than that.
pub(crate) fn shrink(file: &OwnedFd, size: u64) -> Result<()> {
    let size = i64::try_from(size).map_err(|_| Errno::EFBIG)?;
    if lseek(file, 0, Whence::SeekEnd)? > size { ftruncate(file, size) } else { Ok(()) }
}
