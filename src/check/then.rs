//! Where a path leads in the new root: through what is kept and what is mounted,
//! and not through what has moved away.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Machine;
use crate::engine::names::{BOOT, NIX};
use crate::fs::name::RelPath;
use crate::fs::walk::{Turn, Way};
use crate::machine::files::{Files, Result};
use crate::machine::mounts::Mounts;

/// Whether what is at a real path is there then: kept, in the store, or on a file
/// system of its own that the new system mounts there, too.
pub(super) fn stays(machine: &Machine<'_>, path: &Path) -> bool {
    let point = |point: &Path| point != Path::new("/") && path.starts_with(point);
    let mounts = machine.mounts.iter().flat_map(Mounts::iter);
    // The innermost file system that it is on.
    let on = mounts.filter(|m| point(&m.point)).max_by_key(|m| m.point.components().count());
    match on {
        Some(mount) if mount.point.starts_with("/boot") || mount.point.starts_with("/nix") => true,
        Some(mount) => machine.mounts_at(&mount.point).is_some(),
        None => {
            let first = path.components().nth(1).map(|name| name.as_os_str().as_bytes().to_vec());
            [NIX, BOOT].iter().any(|name| first.as_deref() == Some(name.as_bytes()))
                || machine.kept.iter().any(|kept| path.starts_with(kept))
        }
    }
}

/// The real places of what is kept: links on the way to it are recreated.
pub(super) fn kept(files: &Files, keep: &[RelPath]) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    for path in keep {
        let path = Path::new("/").join(OsStr::from_bytes(&path.to_bytes()));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
        places.extend(files.real(parent)?.map(|parent| parent.join(name)));
    }
    Ok(places)
}

/// Whether a link is on the way to something that is kept.
fn is_on_the_way(machine: &Machine<'_>, link: &Path) -> bool {
    let link = link.strip_prefix("/").unwrap_or(link);
    machine.keep.iter().any(|kept| Path::new(OsStr::from_bytes(&kept.to_bytes())).starts_with(link))
}

/// Where a path leads then, as a real path of now; `None` when nothing is there.
pub(super) fn leads(machine: &Machine<'_>, path: &Path) -> Result<Option<PathBuf>> {
    let mut way = Way::new(&[]);
    let mut turn = way.add(path.as_os_str().as_bytes());
    loop {
        if !matches!(turn, Turn::On) {
            return Ok(None);
        }
        let real =
            way.real.iter().fold(PathBuf::from("/"), |path, name| path.join(name.as_os_str()));
        let Some(name) = way.next() else {
            let there = stays(machine, &real) && machine.files.metadata_of(&real)?.is_some();
            return Ok(there.then_some(real));
        };
        let here = real.join(name.as_os_str());
        turn = match machine.files.link(&here)? {
            Some(_) if !stays(machine, &here) && !is_on_the_way(machine, &here) => {
                return Ok(None);
            }
            Some(target) => way.turn(target.as_os_str().as_bytes()),
            None => {
                way.real.push(name);
                Turn::On
            }
        };
    }
}
