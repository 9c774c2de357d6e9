//! Immutable and append-only files and directories. The flag is cleared through
//! an open descriptor, and set again on a file that has other names: those may
//! be outside the tree.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::fs::sys::{APPEND, IMMUTABLE, inode_flags, removal, set_flags};

const LOCKS: u32 = IMMUTABLE | APPEND;

/// Clears both flags of an open file; the flags that it had, if it had one.
pub(super) fn clear(file: impl AsFd) -> nix::Result<Option<u32>> {
    let flags = match inode_flags(&file) {
        Ok(flags) => flags,
        // No such flags on this file system.
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    if flags & LOCKS == 0 {
        return Ok(None);
    }
    set_flags(file, flags & !LOCKS).map(|()| Some(flags))
}

/// A file whose flags were cleared, and what they were.
struct Unlocked(Option<(OwnedFd, u32)>);

impl Unlocked {
    /// Sets the flags again, unless that was the last name of the file.
    fn put_back(self, removed: nix::Result<()>) {
        let Some((file, flags)) = self.0 else { return };
        let gone = removed.is_ok() && nix::sys::stat::fstat(&file).is_ok_and(|s| s.st_nlink == 0);
        if !gone && set_flags(&file, flags).is_err() {
            log::warn!(
                "a file of which other names are left has lost its flag, immutable or append-only"
            );
        }
    }
}

/// Clears what may keep `name` from being removed from `dir`.
///
/// # Errors
/// `EPERM` when nothing of the kind was found.
fn unlock(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<Unlocked> {
    let parent = clear(dir)?;
    // A device must not be opened, and a link cannot be.
    let kind = removal::stat_name(dir, name)?.st_mode & libc::S_IFMT;
    let file = match kind {
        libc::S_IFDIR => Some(removal::open_dir(dir, name)?),
        libc::S_IFREG | libc::S_IFIFO => Some(removal::open_file(dir, name)?),
        _ => None,
    };
    let own = match file {
        Some(file) => clear(&file)?.map(|flags| (file, flags)),
        None => None,
    };
    if parent.is_none() && own.is_none() {
        return Err(Errno::EPERM);
    }
    Ok(Unlocked(own))
}

/// Removes; what is immutable or append-only, or in such a directory, after that
/// flag is cleared.
pub(super) fn insist(
    dir: BorrowedFd<'_>,
    name: &CStr,
    remove: fn(BorrowedFd<'_>, &CStr) -> nix::Result<()>,
) -> nix::Result<()> {
    match remove(dir, name) {
        Err(Errno::EPERM) => {
            let unlocked = unlock(dir, name)?;
            let done = remove(dir, name);
            unlocked.put_back(done);
            done
        }
        done => done,
    }
}
