//! Removes what was judged to go, one after the other. Each first gets a name
//! that no command takes for an old root, in one rename, which is on the disk
//! before anything in it is removed: an old root is whole, or is none.

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::facts::{Candidate, Found, Sort};
use super::judge::Verdict;
use crate::engine::exchange::{HINDERING, free_dated, note, withdraw, write_note};
use crate::engine::facts::Staging;
use crate::engine::names::{ETC, PURGED};
use crate::error::{OpError, Stop};
use crate::fs::disk::{Dir, Disk};
use crate::fs::name::Name;
use crate::fs::remove::{Halt, Manner, Progress as _, remove};
use crate::fs::tree::{Moved, Tree};
use crate::prepare::forget::forget;
use crate::term::progress::{Progress, Unit};

type Result<T> = std::result::Result<T, Halt>;

/// Carries out the plan.
///
/// # Errors
/// [`Halt`]; it can be repeated.
pub(super) fn act(
    disk: &Disk,
    root: &Dir,
    facts: &Found,
    plan: &Verdict,
    watch: &Progress,
) -> Result<()> {
    if !plan.remove.is_empty() {
        note_root_flags(disk, root)?;
    }
    let done = plan.remove.iter().try_for_each(|candidate| {
        watch.may_go_on()?;
        let path = facts.show(&candidate.path);
        log::debug!("Removing {path}");
        watch.begin(path.as_str(), Unit::Entries, None);
        let done = one(disk, root, candidate, watch);
        let removed = watch.end();
        done?;
        log::info!("Removed {path}: {removed} entries");
        Ok(())
    });
    let done = done.and_then(|()| {
        let Some(home) = &plan.saved else { return Ok(()) };
        let path = facts.show(home);
        watch.begin(path.as_str(), Unit::Entries, None);
        let mut looking = watch;
        let done = forget(disk, root, home, &mut looking);
        let removed = watch.end();
        done?;
        log::info!("Removed {path}: {removed} entries");
        Ok(())
    });
    // Also those that an interrupted purge has left cleared.
    let set = keeping_times(disk, root, |_| {
        withdraw(disk, root, Staging::None).map(drop).map_err(stopped)
    });
    done.and(set)
}

/// Does something to the root's `etc`, whose times stay what they were.
fn keeping_times(disk: &Disk, root: &Dir, act: impl FnOnce(&Dir) -> Result<()>) -> Result<()> {
    let Some(etc) = disk.open(root, &[ETC]).map_err(Halt::Failed)? else { return Ok(()) };
    let before = disk.stat_dir(&etc).map_err(Halt::Failed)?;
    act(&etc)?;
    if disk.stat_dir(&etc).map_err(Halt::Failed)?.modified != before.modified {
        disk.set_times(&etc, &before).map_err(Halt::Failed)?;
    }
    Ok(())
}

fn one(disk: &Disk, root: &Dir, candidate: &Candidate, watch: &Progress) -> Result<()> {
    let name = candidate.path.last();
    if candidate.sort == Sort::Leftover {
        return match candidate.path.parents() {
            [] => tree(root, name, watch),
            parents => match disk.open(root, parents).map_err(Halt::Failed)? {
                Some(dir) => tree(&dir, name, watch),
                None => Ok(()),
            },
        };
    }
    let aside = free_dated(disk, root, candidate.since(), &PURGED);
    let aside = aside.map_err(stopped)?;
    match disk.rename((root, name), (root, &aside)).map_err(Halt::Failed)? {
        Moved::Done => {}
        Moved::Missing => return Ok(()),
        Moved::Taken => {
            let path = disk.show(root, Some(&aside));
            return Err(Halt::Failed(OpError::new("make", path, Errno::EEXIST)));
        }
    }
    disk.sync(root).map_err(Halt::Failed)?;
    tree(root, &aside, watch)
}

fn tree(dir: &Dir, name: &Name, watch: &Progress) -> Result<()> {
    let mut watch = watch;
    remove(dir.as_fd(), &name.to_c_string(), Manner::Insist, &mut watch)
}

/// Nothing can be renamed or removed in an immutable root. Flags that hinder are
/// cleared for the time being, and noted where `run`, `revert` and the next purge
/// find them, should this one be killed.
fn note_root_flags(disk: &Disk, root: &Dir) -> Result<()> {
    let flags = disk.flags(root, None).map_err(Halt::Failed)?;
    let locks = flags & HINDERING;
    if locks == 0 {
        return Ok(());
    }
    if disk.open(root, &[ETC]).map_err(Halt::Failed)?.is_none() {
        let path = disk.show(root, None);
        return Err(Halt::Failed(OpError::new("change the immutable", path, Errno::EPERM)));
    }
    keeping_times(disk, root, |etc| {
        let noted = note(disk, etc).map_err(Halt::Failed)?.1.unwrap_or(0);
        write_note(disk, root, etc, noted | locks).map_err(stopped)
    })?;
    disk.set_flags(root, None, flags & !locks).map_err(Halt::Failed)
}

fn stopped(stop: Stop) -> Halt {
    match stop {
        Stop::Op(error) => Halt::Failed(error),
        stop @ Stop::Root(_) => Halt::Changed(stop.found()),
    }
}
