//! Why a purge ends before it is through.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::engine::plan::word;
use crate::error::OpError;
use crate::fs::name::Shown;

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Halt {
    /// Ctrl-C, or the service was stopped.
    Interrupted,
    /// A file system is mounted there, since a moment ago.
    Mounted(String),
    /// Somebody moved that directory away while it was being emptied.
    Moved(String),
    /// A system call failed.
    Failed(OpError),
}

impl Halt {
    /// The failure of `op` on `name` in `dir`.
    pub(super) fn at<'a>(
        op: &'static str,
        dir: BorrowedFd<'a>,
        name: &'a CStr,
    ) -> impl FnOnce(Errno) -> Self + 'a {
        move |errno| match errno {
            // What openat2(2) and unlink(2) say of a mount point.
            Errno::EXDEV | Errno::EBUSY => Self::Mounted(path_of(dir, name)),
            errno => Self::Failed(OpError::new(op, path_of(dir, name), errno)),
        }
    }

    /// What was found, and the mend; each a sentence without its full stop.
    pub(super) fn said(&self) -> (String, Option<String>) {
        match self {
            Self::Interrupted => ("Interrupted".to_owned(), None),
            Self::Mounted(path) => (
                format!("{path} is a mount point, which is not crossed"),
                Some(format!("Unmount it: umount {}", word(path))),
            ),
            Self::Moved(path) => (
                format!("{path} was moved elsewhere while it was being removed"),
                Some("Stop what moves files there".to_owned()),
            ),
            Self::Failed(error) => (error.to_string(), mend(error.errno()).map(str::to_owned)),
        }
    }
}

fn mend(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EIO | Errno::EUCLEAN | Errno::EBADMSG | Errno::EROFS => {
            "Mend the file system (see the kernel's messages: dmesg)"
        }
        Errno::EPERM | Errno::EACCES => {
            "See what protects it: lsattr -d, btrfs subvolume show, swapon --show"
        }
        Errno::ENOTEMPTY | Errno::EEXIST => "Stop what writes to it",
        _ => return None,
    })
}

/// The path of `name` in an open directory, as the kernel knows it, for messages.
pub(super) fn path_of(dir: BorrowedFd<'_>, name: &CStr) -> String {
    let link = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    // A path of more than a page has no text.
    let path = std::fs::read_link(link).unwrap_or_else(|_| "…".into());
    let mut path = path.as_os_str().as_bytes().to_vec();
    if name != c"." {
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend(name.to_bytes());
    }
    Shown(&path).to_string()
}
