//! The machine that is prepared: its root, opened once and locked, the state
//! file, and what was asked for.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::installer_lock;
use super::notes::AnyKey;
use super::places::{Known, Place, places};
use super::state_file::{HOME, LOG, STATE, State};
use super::step::{Ledger, Mark, News, Phase, Result};
use super::written::Written;
use super::{escape, home, output};
use crate::engine::names::ETC;
use crate::engine::root::{self, Root};
use crate::error::{Error, OpError, Refusal};
use crate::fs::disk::{Dir, Disk};
use crate::fs::lock::Lock;
use crate::fs::mounts::Mount;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{Kind, errno, supervisor};
use crate::fs::tree::Tree;
use crate::term::progress::Progress;

/// What `prepare` was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The system, in `/nix/store`.
    pub system: Option<RelPath>,
    /// The lines that the marker has to have.
    pub keep: Vec<RelPath>,
    /// The old boot loader's files leave the ESP.
    pub clear_esp: bool,
    /// What the boot loader's installer of the system writes.
    pub written: Written,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Site {
    /// The file system.
    pub disk: Disk,
    /// The root.
    pub root: Dir,
    /// The root as a person writes it.
    pub shown: String,
    /// What is mounted below the root.
    pub mounts: Vec<Mount>,
    /// The state; fresh when there is none on the disk.
    pub state: State,
    /// Where boot files are besides what is mounted.
    pub known: Known,
    /// What was asked for.
    pub wish: Wish,
    /// Progress and interruption.
    pub watch: Progress,
    /// The state is on the disk.
    pub recorded: bool,
    /// The inode number of the `etc` that is in the root.
    pub etc: u64,
    /// The boot loader's installer did not do what it should.
    pub failed: bool,
    /// Something was not put back, and what was saved of it stays.
    pub stays: bool,
    pub(super) home: Option<Dir>,
    lock: Option<Lock<File>>,
    root_lock: Option<Lock<OwnedFd>>,
}

/// Whether a command is going to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It only looks.
    Read,
    /// It writes, and nobody else may meanwhile.
    Write,
}

impl Site {
    /// Takes a root that was opened. `known` are the notes that the state may have.
    ///
    /// # Errors
    /// A refusal: somebody else is at work, or the state file cannot be read.
    pub(crate) fn new(
        root: Root,
        mounts: Vec<Mount>,
        access: Access,
        known: &[&dyn AnyKey],
    ) -> std::result::Result<Self, Error> {
        let root_lock = match access {
            Access::Read => None,
            Access::Write => Some(root.lock().map_err(|error| with_installer(error, &root))?),
        };
        let Root { disk, dir: root, shown } = root;
        let home = home::open(&disk, &root)?;
        let found = match &home {
            Some(home) => State::read(&disk, home, known)?,
            None => None,
        };
        let etc = disk.stat(&root, &ETC).map_err(Refusal::from)?.map_or(0, |stat| stat.inode);
        let recorded = found.is_some();
        let state = found.unwrap_or_else(|| State::new(etc, String::new()));
        let watch = Progress::new();
        let mut site = Self {
            disk,
            root,
            shown,
            mounts,
            state,
            known: Known::default(),
            wish: Wish::default(),
            watch,
            recorded,
            etc,
            failed: false,
            stays: false,
            home,
            lock: None,
            root_lock,
        };
        if access == Access::Write && recorded {
            site.take_lock()?;
        }
        Ok(site)
    }

    /// The directory of the state file.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn home(&self) -> Result<&Dir> {
        let gone = || OpError::new("open", self.shown_below(&HOME), Errno::ENOENT);
        Ok(self.home.as_ref().ok_or_else(gone)?)
    }

    /// What stands in a message before the `/` of a path below the root.
    #[must_use]
    pub(crate) fn base(&self) -> &str {
        self.shown.trim_end_matches('/')
    }

    /// A path below the root, for a message.
    #[must_use]
    pub(crate) fn shown_below(&self, path: &[Name]) -> String {
        format!("{}/{}", self.base(), escape::of_path(path))
    }

    /// A path below a directory, for a message.
    #[must_use]
    pub(crate) fn show_below(&self, dir: &Dir, path: &[Name]) -> String {
        let below = escape::of_path(path);
        format!("{}/{below}", self.disk.show(dir, None))
    }

    /// Opens a directory below the root.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn dir(&self, path: &[Name]) -> Result<Dir> {
        let missing = || OpError::new("open", self.shown_below(path), Errno::ENOENT);
        Ok(self.disk.open(&self.root, path)?.ok_or_else(missing)?)
    }

    fn take_lock(&mut self) -> std::result::Result<(), Refusal> {
        if let Some(home) = self.home.as_ref().filter(|_| self.lock.is_none()) {
            self.lock = Some(installer_lock::take(&self.disk, home, &self.shown)?);
        }
        Ok(())
    }

    /// Whether the root is that of the running system.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(crate) fn is_running(&self) -> Result<bool> {
        Ok(root::is_running(&self.root)?)
    }

    /// Where boot files are.
    ///
    /// # Errors
    /// When `boot` is no directory, or cannot be looked at.
    pub(crate) fn places(&self) -> Result<Vec<Place>> {
        places(&self.disk, &self.root, &self.mounts, &self.known)
    }

    /// Writes everything to the disks of the root and of the places.
    pub(crate) fn sync(&self) -> Result<()> {
        self.disk.sync(&self.root)?;
        for place in self.places()? {
            let nested = place.nested.iter().map(|n| place.below(n.names()));
            for path in std::iter::once(place.path.names().to_vec()).chain(nested) {
                if let Some(dir) = self.disk.open(&self.root, &path)? {
                    self.disk.sync(&dir)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the state.
    pub(crate) fn save(&self) -> Result<()> {
        self.state.write(&self.disk, self.home()?)
    }

    /// Notes that from here, or no longer, neither boot loader may be whole, and
    /// says so (P2).
    pub(crate) fn window(&mut self, open: bool) -> Result<()> {
        self.watch.shield(open);
        if open != self.state.window {
            self.state.window = open;
            self.save()?;
            if open { output::window_opens(&self.shown) } else { output::window_closes() }
        } else if open {
            output::window_opens(&self.shown);
        }
        Ok(())
    }

    /// In a process that goes on when this one is killed: the lock of the root is not
    /// its own, and its output is the log.
    pub(super) fn leave(&mut self, log: &File) -> Result<()> {
        if let Some(lock) = self.root_lock.take() {
            // Never unlocked: that would unlock it for this process's parent too.
            supervisor::close_inherited(&**lock);
        }
        let left = supervisor::leave_session(log);
        left.map_err(|errno| OpError::new("leave the session of", "the terminal", errno))?;
        self.watch = Progress::new();
        Ok(())
    }

    /// What keeps others away while the boot loader's installer runs, even if
    /// this process is killed: a descriptor for it to inherit.
    pub(crate) fn lock_to_inherit(&self) -> Result<OwnedFd> {
        let none = |errno| OpError::new("lock", self.shown.clone(), errno);
        let lock = self.lock.as_ref().ok_or_else(|| none(Errno::ENOLCK))?;
        Ok(lock.as_fd().try_clone_to_owned().map_err(|error| none(errno(&error)))?)
    }
}

/// Who finds somebody at work reads, too, which installer that waits for.
fn with_installer(error: Error, root: &Root) -> Error {
    let Error::Refused(mut refusals) = error else { return error };
    // Without a state directory there is none.
    if let Ok(Some(home)) = home::open(&root.disk, &root.dir)
        && let Err(busy) = installer_lock::take(&root.disk, &home, &root.shown)
    {
        refusals.push(busy);
    }
    Error::Refused(refusals)
}

impl Ledger for Site {
    fn phase(&self) -> Option<Phase> {
        self.recorded.then_some(self.state.phase)
    }

    fn set_phase(&mut self, phase: Phase) -> Result<()> {
        if self.home.is_none() {
            self.home = Some(home::make(&self.disk, &self.root)?);
        }
        self.take_lock()?;
        if !self.recorded {
            let system = self.wish.system.as_ref().map(ToString::to_string);
            self.state = State::new(self.etc, system.unwrap_or_default());
        }
        self.state.phase = phase;
        self.save()?;
        self.recorded = true;
        Ok(())
    }

    fn mark(&self, step: &str) -> Option<Mark> {
        self.state.steps.get(step).copied()
    }

    fn set_mark(&mut self, step: &str, mark: Option<Mark>) -> Result<()> {
        match mark {
            Some(mark) => self.state.steps.insert(step.to_owned(), mark),
            None => self.state.steps.remove(step),
        };
        self.save()
    }

    fn end(&mut self) -> Result<()> {
        let home = self.home()?;
        // What the boot loader's installer said when it failed is wanted later.
        let stays = |name: &Name| *name == STATE || (self.failed && *name == LOG);
        let mut saved = false;
        for name in self.disk.list(home)?.iter().filter(|name| !stays(name)) {
            if self.disk.stat(home, name)?.is_some_and(|stat| stat.kind == Kind::Dir) {
                saved = true; // something in it was not put back
            } else {
                self.disk.remove_file(home, name)?;
            }
        }
        self.disk.sync(home)?;
        self.disk.remove_file(home, &STATE)?;
        let parent = self.dir(&HOME[..2])?;
        if !self.failed && !saved {
            self.disk.remove_dir(&parent, &HOME[2])?;
            self.home = None;
        }
        self.disk.sync(&parent)?;
        self.lock = None;
        self.recorded = false;
        self.state = State::new(self.etc, String::new());
        Ok(())
    }

    fn pause(&self) -> Result<()> {
        self.watch.pause()
    }

    fn tell(&self, news: News<'_>) {
        output::news(news);
    }
}
