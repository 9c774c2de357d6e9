//! Where facts are read: the root, and the kernel's file systems. The tests put
//! directories in their place.

use std::path::PathBuf;

use crate::engine::root::is_running;
use crate::fs::disk::Disk;
use crate::machine::files::Files;

/// Where facts are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The root that is to become NixOS.
    pub root: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    /// `/run`: what the running system keeps there.
    pub run: PathBuf,
    /// The machine's architecture, in the words of Nix and `uname -m`.
    pub arch: String,
    /// The time by the clock, in seconds.
    pub now: u64,
    /// The root is that of the running system, not one that a rescue system
    /// has mounted: what the kernel says is said of it.
    pub running: bool,
}

impl Sources {
    /// This machine, with the root at `root`.
    pub(crate) fn of(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // One that cannot be opened is not that of this process.
        let opened = Disk::open_root(root.as_os_str());
        let running = opened.and_then(|dir| is_running(&dir)).unwrap_or(false);
        Self {
            running,
            root,
            proc: "/proc".into(),
            sys: "/sys".into(),
            dev: "/dev".into(),
            run: "/run".into(),
            // A program that runs here was built for this processor.
            arch: std::env::consts::ARCH.to_owned(),
            now: crate::engine::time::Timestamp::now().0,
        }
    }

    /// The files of the root.
    #[must_use]
    pub(crate) fn files(&self) -> Files {
        Files::new(&self.root)
    }

    /// Those of `/proc`.
    #[must_use]
    pub(crate) fn proc(&self) -> Files {
        Files::new(&self.proc)
    }

    /// Those of `/sys`.
    #[must_use]
    pub(crate) fn sys(&self) -> Files {
        Files::new(&self.sys)
    }
}
