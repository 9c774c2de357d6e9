//! Reads what `purge` judges. Nothing is written, and no tree is walked: an old
//! root's own entries are counted, what is in them is not looked at.

use std::fs;
use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;

use super::facts::{Candidate, Found, Sort};
use crate::engine::exchange;
use crate::engine::facts::{Environment, Result};
use crate::engine::names::{ETC, LUSTRATE, MARKER, NIXOS_ROOT, OLD_ROOT, PURGED};
use crate::engine::osrelease::system_name;
use crate::engine::survey::look;
use crate::engine::time::{Timestamp, is_dated};
use crate::error::{OpError, Refusal};
use crate::fs::disk::{Dir, Disk};
use crate::fs::mounts::Table;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{APPEND, IMMUTABLE, Kind, Stat, errno, removal};
use crate::fs::tree::Tree;
use crate::machine::uses::{Use, uses};
use crate::prepare::forget;

/// What a directory of this name would be.
#[must_use]
pub(crate) fn sort(name: &Name) -> Option<Sort> {
    let is = |base: &Name| name == base || is_dated(name, base);
    if is(&OLD_ROOT) {
        Some(Sort::OldRoot)
    } else if is(&NIXOS_ROOT) {
        Some(Sort::NixosRoot)
    } else {
        is_dated(name, &PURGED).then_some(Sort::Leftover)
    }
}

/// Reads everything.
///
/// # Errors
/// What the file system answers.
pub(crate) fn survey(
    disk: &Disk,
    root: &Dir,
    environment: Environment,
) -> std::result::Result<Found, Refusal> {
    let look = look(disk, root)?;
    let here = disk.stat_dir(root)?;
    let mut facts = Found {
        in_use: in_use(root, &environment.root, &here)?,
        saved: forget::of_another(disk, root)?,
        candidates: Vec::new(),
        in_progress: look.in_progress(),
        marker: look.marker,
        now: Timestamp::now(),
        environment,
    };
    let mut found = scan(disk, root)?.found;
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (name, sort) in found {
        let candidates = candidates(disk, root, &facts.environment, &here, &name, sort)?;
        facts.candidates.extend(candidates);
    }
    Ok(facts)
}

fn in_use(root: &Dir, shown: &str, here: &Stat) -> Result<Vec<Use>> {
    let failed = |error| OpError::new("find out who uses", shown, errno(&error));
    let mountinfo = fs::read("/proc/self/mountinfo").map_err(failed)?;
    let link = format!("/proc/self/fd/{}", root.as_fd().as_raw_fd());
    let path = fs::read_link(link).map_err(failed)?.into_os_string().into_vec();
    let table = Table::new(&mountinfo, &path, here.mount.map(NonZero::get));
    uses(&table, "/proc".as_ref(), "/sys".as_ref()).map_err(failed)
}

/// What `name` in the root is, and the leftovers that have moved into it.
fn candidates(
    disk: &Disk,
    root: &Dir,
    environment: &Environment,
    here: &Stat,
    name: &Name,
    sort: Sort,
) -> Result<Vec<Candidate>> {
    let mounted = |path: &RelPath, stat: &Stat| {
        stat.mount != here.mount || environment.mounts.iter().any(|mount| mount.point == *path)
    };
    let Some(stat) = disk.stat(root, name)? else { return Ok(Vec::new()) };
    let path = RelPath::from(name.clone());
    let elsewhere = mounted(&path, &stat);
    let mut candidate = Candidate::new(path, sort, &stat, elsewhere);
    let dir = if elsewhere { None } else { disk.open(root, std::slice::from_ref(name))? };
    let Some(dir) = dir else { return Ok(vec![candidate]) };
    let scan = scan(disk, &dir)?;
    candidate.entries = scan.entries;
    if sort == Sort::Leftover {
        return Ok(vec![candidate]);
    }
    candidate.ours = disk.open(&dir, &[LUSTRATE])?.is_some();
    candidate.system = system_name(disk, root, &dir)?;
    candidate.alive = alive(disk, &dir)?;
    candidate.flagged = disk.flags(&dir, None)? & (IMMUTABLE | APPEND) != 0;
    if let Some((_, time)) = exchange::identity(disk, root, name)? {
        candidate.time = time;
    }
    let mut all = Vec::new();
    let leftovers = scan.found.into_iter().filter(|(_, sort)| *sort == Sort::Leftover);
    for (leftover, sort) in leftovers.filter(|_| !candidate.flagged) {
        let Some(stat) = disk.stat(&dir, &leftover)? else { continue };
        // Somebody's file of that name is no matter here.
        if let Some(path) = RelPath::new(vec![name.clone(), leftover])
            && stat.kind == Kind::Dir
        {
            let elsewhere = mounted(&path, &stat);
            all.push(Candidate::new(path, sort, &stat, elsewhere));
        }
    }
    all.push(candidate);
    Ok(all)
}

/// The newest of the files that a system writes before it is set aside and that
/// nothing changes later: the marker, and the last time that timesyncd knew.
fn alive(disk: &Disk, dir: &Dir) -> Result<Timestamp> {
    let clock = ["var", "lib", "systemd", "timesync"].map(Name::literal);
    let mut newest = Timestamp(0);
    for (parents, name) in [(&[ETC][..], MARKER), (&clock, Name::literal("clock"))] {
        if let Some(parent) = disk.open(dir, parents)?
            && let Some(stat) = disk.stat(&parent, &name)?
        {
            newest = newest.max(Timestamp(u64::try_from(stat.modified.0).unwrap_or(0)));
        }
    }
    Ok(if newest > Timestamp::now() { Timestamp(0) } else { newest })
}

/// What the names in a directory tell.
struct Scan {
    entries: u64,
    found: Vec<(Name, Sort)>,
}

/// Reads a directory, however large, and remembers only the names that matter.
fn scan(disk: &Disk, dir: &Dir) -> Result<Scan> {
    let failed = |errno| OpError::new("list", disk.show(dir, None), errno);
    let fd = removal::open_dir(dir, c".").map_err(failed)?;
    let mut scan = Scan { entries: 0, found: Vec::new() };
    for entry in removal::Reading::new(fd).map_err(failed)? {
        let (bytes, _) = entry.map_err(failed)?;
        let Ok(name) = Name::new(bytes.to_bytes()) else { continue };
        scan.entries += u64::from(name != LUSTRATE);
        if let Some(sort) = sort(&name) {
            scan.found.push((name, sort));
        }
    }
    Ok(scan)
}
