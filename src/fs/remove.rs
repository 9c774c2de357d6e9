//! Removes a tree, however large and deep, in bounded memory.
//!
//! Each directory is entered by (open directory, single name), on the same mount
//! and through no link; on the way back a directory is removed by its name in
//! its parent. At most [`WINDOW`] directories are open. Those above them are
//! known by device and inode number only, 16 bytes a level, and are opened again
//! through `..` of the one below, if it is still that one. So neither a name nor
//! a path leads out of the tree, and none is too long.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::fs::sys::Stat;
use crate::fs::sys::removal::{self, Listed, Reading};

mod halt;
mod protected;

pub(crate) use halt::Halt;
use halt::path_of;
use protected::{clear, insist};

type Result<T> = std::result::Result<T, Halt>;

/// Trees are seldom deeper; the usual limit of open files is 1024.
const WINDOW: usize = 64;

/// What is done about what protects a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It goes: flags are cleared, and subvolumes of btrfs removed.
    Insist,
    /// It stays, and stops the removal: whoever protected it is asked first.
    Respect,
}

/// Who looks on.
pub(crate) trait Progress {
    /// Stops it when somebody wants to.
    fn may_go_on(&self) -> Result<()>;

    /// One more entry is gone.
    fn removed(&mut self);
}

/// A directory by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id {
    device: (u32, u32),
    inode: u64,
}

impl Id {
    fn of(stat: &Stat) -> Self {
        Self { device: stat.device, inode: stat.inode }
    }

    /// Whether it is a btrfs subvolume in a directory of that device. In a snapshot,
    /// what was one has a device of its own, too, but another inode number.
    fn is_subvolume(self, above: (u32, u32)) -> bool {
        self.device != above && self.inode == removal::SUBVOLUME_INODE
    }
}

/// A directory that is being emptied.
#[derive(Debug)]
struct Level {
    entries: Reading,
    id: Id,
    /// Its name in its parent; `None` once it was opened again through `..`.
    name: Option<CString>,
    /// A btrfs subvolume of its own.
    subvolume: bool,
    /// How many entries were removed from it.
    removed: u64,
}

struct Walk<'a> {
    /// Where the tree hangs, and its name there.
    base: BorrowedFd<'a>,
    top: &'a CStr,
    /// The device of the base, and the mount of everything.
    device: (u32, u32),
    mount: u64,
    /// The levels above those that are open.
    closed: Vec<Id>,
    open: VecDeque<Level>,
    manner: Manner,
    watch: &'a mut dyn Progress,
}

/// Removes the directory `top` in `base` with all that is in it.
///
/// # Errors
/// [`Halt`]; it can be repeated.
pub(crate) fn remove(
    base: BorrowedFd<'_>,
    top: &CStr,
    manner: Manner,
    watch: &mut dyn Progress,
) -> Result<()> {
    let (stat, mount) = removal::stat_dir(base).map_err(Halt::at("look at", base, top))?;
    let device = stat.device;
    let (closed, open) = (Vec::new(), VecDeque::new());
    Walk { base, top, device, mount, closed, open, manner, watch }.run()
}

impl Walk<'_> {
    fn run(mut self) -> Result<()> {
        self.enter(self.top)?;
        while !self.open.is_empty() {
            self.watch.may_go_on()?;
            let Some(level) = self.open.back_mut() else { break };
            match level.entries.next() {
                Some(Ok((name, Listed::Dir))) => self.enter(&name)?,
                Some(Ok((name, Listed::Other))) => self.unlink(&name)?,
                Some(Err(errno)) => {
                    return Err(Halt::at("read", level.entries.as_fd(), c".")(errno));
                }
                None => self.leave()?,
            }
        }
        Ok(())
    }

    /// The directory that is being emptied, or else the base.
    fn here(&self) -> BorrowedFd<'_> {
        self.open.back().map_or(self.base, |level| level.entries.as_fd())
    }

    /// Removes, as the manner is.
    fn insist(
        &self,
        name: &CStr,
        remove: fn(BorrowedFd<'_>, &CStr) -> nix::Result<()>,
    ) -> nix::Result<()> {
        match self.manner {
            Manner::Insist => insist(self.here(), name, remove),
            Manner::Respect => remove(self.here(), name),
        }
    }

    fn count(&mut self) {
        if let Some(level) = self.open.back_mut() {
            level.removed += 1;
        }
        self.watch.removed();
    }

    fn unlink(&mut self, name: &CStr) -> Result<()> {
        match self.insist(name, removal::unlink) {
            Ok(()) => self.count(),
            Err(Errno::ENOENT) => {}
            // The file system did not tell, or somebody has replaced it.
            Err(Errno::EISDIR) => self.enter(name)?,
            Err(errno) => return Err(Halt::at("remove", self.here(), name)(errno)),
        }
        Ok(())
    }

    /// Opens the directory `name` to empty it.
    fn enter(&mut self, name: &CStr) -> Result<()> {
        let here = self.here();
        let dir = match removal::open_dir(here, name) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => return Ok(()),
            // Somebody has replaced it: its parent is not empty then, and read again.
            Err(Errno::ENOTDIR | Errno::ELOOP) if !self.open.is_empty() => return Ok(()),
            Err(errno) => return Err(Halt::at("open", here, name)(errno)),
        };
        let failed = Halt::at("look at", here, name);
        let (stat, mount) = removal::stat_dir(&dir).map_err(failed)?;
        if mount != self.mount {
            return Err(Halt::mounted(here, name));
        }
        let above = self.open.back().map_or(self.device, |level| level.id.device);
        let id = Id::of(&stat);
        let subvolume = id.is_subvolume(above);
        if subvolume && self.manner == Manner::Respect {
            return Err(Halt::Subvolume(path_of(here, name)));
        }
        if subvolume && self.destroy(name, &dir)? {
            self.count();
            return Ok(());
        }
        let here = self.here();
        if stat.flags != 0 && self.manner == Manner::Insist {
            clear(&dir).map_err(Halt::at("clear the flags of", here, name))?;
        }
        let entries = Reading::new(dir).map_err(Halt::at("read", here, name))?;
        let name = Some(name.to_owned());
        self.open.push_back(Level { entries, id, name, subvolume, removed: 0 });
        if self.open.len() > WINDOW
            && let Some(level) = self.open.pop_front()
        {
            self.closed.push(level.id);
        }
        Ok(())
    }

    /// Removes a subvolume in one step; `false` when it has to be emptied first:
    /// it holds another, or is of a file system that knows no such step.
    fn destroy(&self, name: &CStr, dir: &OwnedFd) -> Result<bool> {
        let here = self.here();
        let failed = || Halt::at("remove the subvolume", here, name);
        let mut done = removal::destroy_subvolume(here, name);
        if done == Err(Errno::EPERM) {
            // Flags of it or of the directory. If it is something else (the default
            // subvolume, one that is being sent), better now than when it is empty.
            removal::make_subvolume_writable(dir).map_err(failed())?;
            done = insist(here, name, removal::destroy_subvolume);
        }
        match done {
            Ok(()) => Ok(true),
            Err(Errno::ENOTEMPTY) => {
                removal::make_subvolume_writable(dir).map_err(failed())?;
                Ok(false)
            }
            Err(Errno::ENOTTY | Errno::EOPNOTSUPP) => Ok(false),
            Err(errno) => Err(failed()(errno)),
        }
    }

    /// Removes the directory that is empty now, from its parent.
    fn leave(&mut self) -> Result<()> {
        let Some(level) = self.open.pop_back() else { return Ok(()) };
        if self.open.is_empty()
            && let Some(id) = self.closed.pop()
        {
            self.reopen(&level, id)?;
        }
        let at_top = self.open.is_empty();
        let name = match &level.name {
            Some(name) => name,
            None if at_top => self.top,
            // Its parent finds it again.
            None => return Ok(()),
        };
        let here = self.here();
        let mut done = Err(Errno::ENOTTY);
        if level.subvolume {
            done = insist(here, name, removal::destroy_subvolume);
        }
        if matches!(done, Err(Errno::ENOTTY | Errno::EOPNOTSUPP)) {
            done = self.insist(name, removal::rmdir);
        }
        match done {
            Ok(()) => self.count(),
            Err(Errno::ENOENT) => {}
            // The file system skipped entries, or somebody made new ones.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) if level.removed > 0 => {
                let name = name.to_owned();
                self.enter(&name)?;
            }
            Err(errno) => return Err(Halt::at("remove", here, name)(errno)),
        }
        Ok(())
    }

    /// Opens the parent of `level` again, if it still is the one with that id.
    fn reopen(&mut self, level: &Level, id: Id) -> Result<()> {
        let child = level.entries.as_fd();
        let failed = |op| Halt::at(op, child, c"..");
        let parent = removal::open_parent(child).map_err(failed("open"))?;
        let (stat, mount) = removal::stat_dir(&parent).map_err(failed("look at"))?;
        if mount != self.mount || Id::of(&stat) != id {
            return Err(Halt::Moved(path_of(child, c".")));
        }
        let entries = Reading::new(parent).map_err(failed("read"))?;
        let above = self.closed.last().map_or(self.device, |above| above.device);
        let subvolume = id.is_subvolume(above);
        self.open.push_back(Level { entries, id, name: None, subvolume, removed: 0 });
        Ok(())
    }
}
