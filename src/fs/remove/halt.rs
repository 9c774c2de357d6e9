//! Why a removal ends before it is through.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::error::OpError;
use crate::fs::mounts;
use crate::fs::name::Shown;
use crate::fs::name::word;
use crate::fs::sys;

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Ctrl-C, or the service was stopped.
    Interrupted,
    /// Something is mounted there: the path, and what.
    Mounted(String, Option<String>),
    /// There is a subvolume of btrfs that has to be respected.
    Subvolume(String),
    /// Somebody moved that directory away while it was being emptied.
    Moved(String),
    /// A system call failed.
    Failed(OpError),
}

impl Halt {
    /// The failure of `op` on `name` in `dir`.
    pub(crate) fn at<'a>(
        op: &'static str,
        dir: BorrowedFd<'a>,
        name: &'a CStr,
    ) -> impl FnOnce(Errno) -> Self + 'a {
        move |errno| match errno {
            // What openat2(2) and unlink(2) say of a mount point.
            Errno::EXDEV | Errno::EBUSY => Self::mounted(dir, name),
            errno => Self::Failed(OpError::new(op, path_of(dir, name), errno)),
        }
    }

    /// Something is mounted on `name` in `dir`.
    pub(super) fn mounted(dir: BorrowedFd<'_>, name: &CStr) -> Self {
        let mounts = sys::read_proc("/proc/self/mountinfo").unwrap_or_default();
        let what = mounts::mounted_on(&mounts, &raw_path_of(dir, name));
        Self::Mounted(path_of(dir, name), what.map(|what| Shown(&what).to_string()))
    }

    /// As [`Self::said`], with what is mounted there.
    pub(crate) fn said_with_source(&self) -> (String, Option<String>) {
        let (found, mend) = self.said();
        match self {
            Self::Mounted(_, Some(source)) => (format!("{found} ({source})"), mend),
            _ => (found, mend),
        }
    }

    /// What was found, and the mend; each a sentence without its full stop.
    pub(crate) fn said(&self) -> (String, Option<String>) {
        match self {
            Self::Interrupted => ("Interrupted".to_owned(), None),
            Self::Mounted(path, _) => (
                format!("{path} is a mount point, which is not crossed"),
                Some(format!("Unmount it: umount {}", word(path))),
            ),
            Self::Subvolume(path) => (
                format!("{path} is a subvolume that nixos-lustrate did not make"),
                Some("Move it elsewhere".to_owned()),
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
    Shown(&raw_path_of(dir, name)).to_string()
}

fn raw_path_of(dir: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
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
    path
}
