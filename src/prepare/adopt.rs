//! What others did to the boot files between two runs of `prepare`, an update of
//! the old system for example, becomes part of what was there before: otherwise
//! the second run's installer would be blamed for it, and `cancel` undo it.

use super::catalog::{self, Catalog};
use super::files::{copy, remove, temporary};
use super::places::{Kept, Place, places};
use super::restore::lists::Lists;
use super::saving::{How, Note, list_name, read};
use super::site::Site;
use super::step::Result;
use crate::fs::disk::Dir;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;

/// Takes it over, while the list of what the last installer left is still good.
///
/// # Errors
/// Any failure of a system call; it can be repeated.
pub fn adopt(site: &Site) -> Result<()> {
    if !site.state.notes.listed {
        return Ok(());
    }
    for place in places(&site.disk, &site.root, &site.mounts)? {
        let note = site.state.notes.saved.get(&place.name.to_string());
        if let Some(note) =
            note.filter(|note| note.how != How::Absent && place.kept != Kept::Missing)
        {
            adopt_place(site, &place, note)?;
        }
    }
    Ok(())
}

fn adopt_place(site: &Site, place: &Place, note: &Note) -> Result<()> {
    let Some(saved) = note.saved(site)? else { return Ok(()) };
    let home = site.home()?;
    let load = |when| catalog::load(&site.disk, home, &list_name(place, when));
    let (before, after) = (load("before")?, load("after")?);
    let now = read(site, place, super::files::From::Cache)?;
    let mut adopted: Catalog = before.clone();
    let lists = Lists::new(before, Some(after), now);
    let dir = site.dir(std::slice::from_ref(&place.name))?;
    for (path, item) in &lists.now {
        let is_known = lists.before.get(path).is_some_and(|old| old.same_content(item));
        if path.is_empty() || is_known || !lists.is_of_others(path, Some(item)) {
            continue;
        }
        match item.kind {
            Kind::File | Kind::Link => put(site, &dir, &saved, path)?,
            Kind::Dir => make(site, &saved, path, item.mode)?,
            Kind::Special => {}
        }
        adopted.insert(path.clone(), item.clone());
    }
    for path in lists.before.keys() {
        if lists.now(path, false).is_none() && lists.is_of_others(path, None) {
            adopted.remove(path);
        }
    }
    site.disk.sync(&saved)?;
    catalog::write(&site.disk, home, &list_name(place, "before"), &adopted)
}

fn make(site: &Site, saved: &Dir, path: &[Name], mode: u32) -> Result<()> {
    let Some((name, parents)) = path.split_last() else { return Ok(()) };
    match site.disk.open(saved, parents)? {
        Some(dir) => Ok(site.disk.make_dir(&dir, name, mode)?),
        None => Ok(()),
    }
}

/// One file into what was saved, in one step.
fn put(site: &Site, from: &Dir, saved: &Dir, path: &[Name]) -> Result<()> {
    let Some((name, parents)) = path.split_last() else { return Ok(()) };
    let disk = &site.disk;
    // Its directory may be one that the installer made.
    for length in 1..=parents.len() {
        make(site, saved, &parents[..length], 0o755)?;
    }
    let (source, target) = (disk.open(from, parents)?, disk.open(saved, parents)?);
    let (Some(source), Some(target)) = (source, target) else { return Ok(()) };
    let Some(stat) = disk.stat(&source, name)? else { return Ok(()) };
    let part = temporary(name);
    remove(disk, &target, &part, &site.watch)?;
    if stat.kind == Kind::Link {
        disk.make_link(&target, &part, &disk.read_link(&source, name)?, &stat)?;
    } else {
        copy(disk, (&source, name), (&target, &part), &stat, &site.watch)?;
    }
    if disk.stat(&target, name)?.is_some_and(|old| old.kind == Kind::Dir) {
        remove(disk, &target, name, &site.watch)?;
    }
    Ok(disk.replace((&target, &part), (&target, name))?)
}
