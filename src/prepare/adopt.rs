//! What others did to the boot files between two runs of `prepare`, an update of
//! the old system for example, becomes part of what was there before: otherwise
//! the second run's installer would be blamed for it, and `cancel` undo it.

use super::catalog::{self, Catalog, Item};
use super::durable::{From, copy, is_temporary, parent, remove, temporary};
use super::installer_record::{self, Known};
use super::ours::Judge;
use super::places::{Kept, Place};
use super::restore;
use super::saving::{SAVED, SavedHow, SavedPlace, list_name, read};
use super::site::Site;
use super::step::Result;
use crate::error::Stop;
use crate::fs::disk::Dir;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;

/// Takes it over, while it is known what the last installer left. What names a NixOS,
/// or is one's, is never an original: the boot loader was installed by hand.
///
/// # Errors
/// Any failure of a system call; it can be repeated. And when nobody can tell
/// whether somebody else has changed something.
pub(crate) fn adopt(site: &Site) -> Result<()> {
    let known = installer_record::known(site)?;
    let saved = site.state.notes.get(&SAVED)?;
    for place in site.places()? {
        let note = saved.get(&place.key());
        if let Some(note) = note.filter(|_| place.kept != Kept::Missing) {
            adopt_place(site, &place, note, &known)?;
        }
    }
    Ok(())
}

fn adopt_place(site: &Site, place: &Place, note: &SavedPlace, known: &Known) -> Result<()> {
    let saved = note.saved(site)?;
    if saved.is_none() && note.how != SavedHow::Absent {
        return Ok(());
    }
    if *known == Known::NotRun {
        // The first time; nearly always nothing has changed since it was saved.
        let lists = restore::lists(site, place, note, read(site, place, From::Nowhere)?)?;
        let is_old = |(path, item): (&catalog::Path, &Item)| {
            lists.before.get(path).is_some_and(|old| is_untouched(old, item))
        };
        if lists.now.iter().all(is_old) {
            return Ok(());
        }
    }
    let lists = restore::lists(site, place, note, read(site, place, From::Cache)?)?;
    let mut adopted: Catalog = lists.before.clone();
    let dir = site.dir(place.path.names())?;
    let judge = Judge::new(site);
    for (path, item) in &lists.now {
        let old = lists.before.get(path);
        let is_known = old.is_some_and(|old| old.same_content(item));
        let is_ours = path.is_empty() || path.last().is_some_and(is_temporary);
        if is_ours || is_known || !lists.is_of_others(path, Some(item)) {
            continue;
        }
        if judge.is_of_nixos(place, path, item)? {
            continue;
        }
        if old.is_some() && lists.is_unseen() {
            let shown = site.show_below(&dir, path);
            return Err(Stop::wrong(
                format!(
                    "nobody saw whether the boot loader's installer changed {shown}, or somebody \
                     else since"
                ),
                "Either could have been taken for the other",
                "Cancel first, which leaves it and what was saved of it",
            ));
        }
        if let Some(saved) = &saved {
            match item.kind {
                Kind::File | Kind::Link => {
                    keep_first(site, place, saved, path)?;
                    put(site, &dir, saved, path)?;
                }
                Kind::Dir => make(site, saved, path, item.mode)?,
                Kind::Special => {}
            }
        }
        adopted.insert(path.clone(), item.clone());
    }
    for path in lists.before.keys() {
        if lists.now(path, false).is_none() && lists.is_of_others(path, None) {
            adopted.remove(path);
        }
    }
    if let Some(saved) = &saved {
        site.disk.sync(saved)?;
    }
    if adopted == lists.before {
        return Ok(());
    }
    catalog::write(&site.disk, site.home()?, &list_name(place, "before"), &adopted)
}

/// Whether nobody has written to a file, without reading it.
fn is_untouched(old: &Item, now: &Item) -> bool {
    let is_same = old.vfat || old.inode == now.inode;
    let is_dir = old.kind == Kind::Dir && now.kind == Kind::Dir;
    is_dir || is_same && (old.kind, old.size, old.modified) == (now.kind, now.size, now.modified)
}

/// The first original, beside the state file: what takes its place in what was
/// saved is newer, but only the first is known to have booted the old system.
fn keep_first(site: &Site, place: &Place, saved: &Dir, path: &[Name]) -> Result<()> {
    let (disk, home) = (&site.disk, site.home()?);
    let Some((dir, name)) = parent(disk, saved, path)? else { return Ok(()) };
    let Some(stat) = disk.stat(&dir, &name)?.filter(|stat| stat.kind == Kind::File) else {
        return Ok(());
    };
    let flat = super::escape::of_path(path).replace('%', "%25").replace('/', "%2F");
    let flat = format!("{}.first.{flat}", place.flat);
    let Ok(first) = Name::new(flat.as_bytes()) else {
        let shown = disk.show(&dir, Some(&name));
        return Err(Stop::wrong(
            format!("{shown} cannot be put aside: its path is too long"),
            "The first original of it would have been lost",
            "Cancel first, then prepare again",
        ));
    };
    if disk.stat(home, &first)?.is_some() {
        return Ok(());
    }
    let part = temporary(&first);
    remove(disk, home, &part, &site.watch)?;
    copy(disk, (&dir, &name), (home, &part), &stat, &site.watch)?;
    disk.replace((home, &part), (home, &first))?;
    Ok(disk.sync(home)?)
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
