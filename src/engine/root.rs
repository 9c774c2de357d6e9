//! The root that a command works on: opened once, locked, and judged for
//! whether it may be changed at all.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;

use crate::engine::environment::{View, environment, in_initrd};
use crate::engine::facts::Environment;
use crate::engine::intent::Direction;
use crate::engine::run;
use crate::engine::survey::look;
use crate::error::{Error, OpError, Refusal};
use crate::fs::disk::{Dir, Disk};
use crate::fs::lock::{self, Lock, TWO_AT_ONCE, WAIT};
use crate::fs::name::Shown;
use crate::fs::sys;

/// What a process may have open already, and what an exchange opens.
const DESCRIPTORS: u64 = 64;

/// An opened root.
pub(crate) struct Root {
    pub(crate) disk: Disk,
    pub(crate) dir: Dir,
    pub(crate) shown: String,
}

impl Root {
    pub(crate) fn open(path: Option<&OsStr>) -> Result<Self, Error> {
        let default = || OsString::from(if in_initrd() { "/sysroot" } else { "/" });
        let path = path.map_or_else(default, OsStr::to_owned);
        let shown = Shown(path.as_bytes()).to_string();
        let dir = Disk::open_root(&path).map_err(|error| {
            let (found, fix) = match error.errno() {
                Errno::ENOENT => {
                    (format!("{shown} is missing"), "Mount the root there, or give another --root")
                }
                Errno::ENOTDIR => (
                    format!("{shown} is not a directory"),
                    "Give the directory where the root is mounted",
                ),
                Errno::EACCES => (error.to_string(), "Run it as root"),
                _ => (error.to_string(), "Mount the root there, or give another --root"),
            };
            Refusal::new(found, "There is no root to work on", fix)
        })?;
        Ok(Self { disk: Disk::default(), dir, shown })
    }

    /// Whether it is the root of the running system.
    pub(crate) fn is_running(&self) -> Result<bool, Error> {
        Ok(is_running(&self.dir).map_err(Refusal::from)?)
    }

    pub(crate) fn environment(
        &self,
        view: View,
        init: Option<Vec<u8>>,
    ) -> Result<Environment, Error> {
        Ok(environment(&self.dir, &self.shown, view, init)?)
    }

    /// What an exchange needs of its process: files that others can read, and more
    /// descriptors than a service may have been given.
    fn prepare(&self) -> Result<(), Error> {
        sys::use_umask(0o022);
        sys::allow_descriptors(DESCRIPTORS).map_err(|errno| {
            Error::from(Refusal::new(
                format!("fewer than {DESCRIPTORS} files can be open at a time: {}", errno.desc()),
                format!("The move of {} would have stopped part-way", self.shown),
                format!("Allow more: ulimit -n {DESCRIPTORS}"),
            ))
        })
    }

    /// One exchange at a time.
    pub(crate) fn lock(&self) -> Result<Lock<OwnedFd>, Error> {
        self.prepare()?;
        let fd = self.dir.as_fd().try_clone_to_owned().map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Refusal::from(OpError::new("lock", self.shown.clone(), errno))
        })?;
        let shown = &self.shown;
        Ok(lock::take(fd, shown, |file| {
            let who = lock::holders(file);
            let found = format!("another nixos-lustrate is at work on {shown}");
            Refusal::new(found, TWO_AT_ONCE, format!("{WAIT}{who}"))
        })?)
    }

    /// What may change a root: as root, and not the running system's.
    pub(crate) fn may_change(&self, verb: &str) -> Result<(), Error> {
        if self.is_running()? {
            let fix = match verb {
                "run" => {
                    "In NixOS's initrd it runs by itself at the next boot: touch /etc/NIXOS_LUSTRATE"
                }
                _ => {
                    "Do it from a rescue system or an initrd: \
                      mount the root file system, and give --root"
                }
            };
            return Err(Refusal::new(
                format!("{} is the root of the running system", self.shown),
                "Its programs would have been moved from under it",
                fix,
            )
            .into());
        }
        needs_root(verb, "Files of other users could not be moved")?;
        Ok(())
    }

    /// A running `/` is looked at as the initrd will see it, without mounts.
    pub(crate) fn look_below_mounts(&mut self) -> Result<View, Error> {
        if in_initrd() || !self.is_running()? {
            return Ok(View::Mounted);
        }
        self.dir = Disk::clone_root().map_err(|error| {
            let fix = match error.errno() {
                Errno::EPERM => "Run it as root: sudo nixos-lustrate plan",
                _ => "Judge it from a rescue system: nixos-lustrate plan --root DIR",
            };
            Refusal::new(error.to_string(), "What is below the mounts cannot be seen", fix)
        })?;
        Ok(View::Bare)
    }

    /// What is mounted below a root must not keep its old system from coming back:
    /// this process sees the bare file system from here on. What is mounted stays,
    /// for all others, on its directory, wherever that goes.
    pub(crate) fn leave_mounts(&mut self, environment: &mut Environment) -> Result<(), Error> {
        if !environment.mounts.is_empty() {
            let points = environment.mounts.iter().map(|mount| &mount.point);
            self.dir = Disk::leave_mounts(&self.dir, points).map_err(Refusal::from)?;
            environment.mounts.retain(|mount| mount.point.is_entry());
        }
        Ok(())
    }

    /// An error of an exchange: a refusal while nothing has been changed, and
    /// else the two ways on (I7).
    pub(crate) fn judged(&self, error: Error, direction: Direction) -> Error {
        let in_progress = || look(&self.disk, &self.dir).is_ok_and(|look| look.in_progress());
        let (on, back) = match direction {
            Direction::Lustrate => ("run", "revert"),
            Direction::Revert => ("revert", "run"),
        };
        match error {
            error if !self.disk.touched() && !in_progress() => run::untouched(error),
            Error::Stopped(stop) => Error::PartWay { stop, root: self.shown.clone(), on, back },
            error => error,
        }
    }
}

/// Whether a directory is the root of the running system.
pub(crate) fn is_running(dir: &Dir) -> Result<bool, OpError> {
    let stat = |dir: &Dir| {
        let stat = sys::stat(dir, None).map_err(|errno| OpError::new("look at", "/", errno))?;
        Ok((stat.device, stat.inode))
    };
    Ok(stat(dir)? == stat(&Disk::open_root("/".as_ref())?)?)
}

/// A running `/` as an initrd will see it, without its mounts; `None` for another
/// root, which is looked at as it is.
#[cfg(feature = "full")]
pub(crate) fn bare(dir: &Dir) -> Result<Option<Dir>, OpError> {
    is_running(dir)?.then(Disk::clone_root).transpose()
}

/// Refuses who is not root.
pub(crate) fn needs_root(verb: &str, consequence: &'static str) -> Result<(), Refusal> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Refusal::new(
        format!("nixos-lustrate {verb} needs root"),
        consequence,
        format!("Run it as root: sudo nixos-lustrate {verb}"),
    ))
}
