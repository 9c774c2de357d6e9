//! Why a removal ends before it is through.

use std::borrow::Cow;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::error::{OpError, Refusal};
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
    /// Something else was not as it had been: how.
    Changed(String),
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
    pub(crate) fn mounted(dir: BorrowedFd<'_>, name: &CStr) -> Self {
        let mounts = sys::read_proc("/proc/self/mountinfo").unwrap_or_default();
        let what = mounts::mounted_on(&mounts, &raw_path_of(dir, name));
        Self::Mounted(path_of(dir, name), what.map(|what| Shown(&what).to_string()))
    }

    /// As a reason to end, with what that leads to.
    pub(crate) fn refusal(&self, consequence: impl Into<Cow<'static, str>>) -> Refusal {
        let fix = self.fix().unwrap_or_else(|| "Try again".to_owned());
        Refusal::new(self.found(), consequence, fix)
    }

    /// What was found.
    pub(crate) fn found(&self) -> String {
        match self {
            Self::Interrupted => "Interrupted".to_owned(),
            Self::Mounted(path, None) => {
                format!("{path} is a mount point, which is not crossed")
            }
            Self::Mounted(path, Some(what)) => {
                format!("{path} is a mount point, which is not crossed ({what})")
            }
            Self::Subvolume(path) => {
                format!("{path} is a subvolume that nixos-lustrate did not make")
            }
            Self::Moved(path) => format!("{path} was moved elsewhere while it was being removed"),
            Self::Changed(how) => how.clone(),
            Self::Failed(error) => error.to_string(),
        }
    }

    /// What can be done, if anything has to be before it is tried again.
    pub(crate) fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Interrupted => return None,
            Self::Mounted(path, _) => format!("Unmount it: umount {}", word(path)),
            Self::Subvolume(_) => "Move it elsewhere".to_owned(),
            Self::Moved(_) | Self::Changed(_) => "Stop what changes files there".to_owned(),
            Self::Failed(error) => fix_of(error.errno())?.to_owned(),
        })
    }
}

fn fix_of(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EIO | Errno::EUCLEAN | Errno::EBADMSG | Errno::EROFS => {
            "Repair the file system (see the kernel's messages: dmesg)"
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
