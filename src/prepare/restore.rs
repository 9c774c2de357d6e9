//! The boot files as they were: what was replaced or removed comes back, and what
//! is new goes, as far as the boot loader's installer did it. What somebody else
//! changed since, an update of the old system for example, stays.

use super::catalog::{self, Catalog};
use super::files::{From, is_temporary, temporary};
use super::places::{Kept, Place};
use super::saving::{How, Note, list_name};
use super::site::Site;
use super::step::Result;
use super::text;
use super::watch::Unit;
use crate::fs::tree::Tree;

pub(super) mod lists;
mod put_back;

use lists::{Lists, rank};
use put_back::PutBack;

/// How a damaged file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By one that was written beside it, in one step.
    Beside,
    /// It is removed first: there is no room for two. So is what is new.
    InItsPlace,
}

/// Puts the boot files of a place back. What stays as it is comes back, in
/// sentences.
///
/// # Errors
/// Any failure of a system call; or a saved file is missing or damaged.
pub fn restore(site: &Site, place: &Place, note: &Note) -> Result<Vec<String>> {
    give_back(site, place, note)?;
    match put_back(site, place, note, Way::Beside) {
        Err(stop) if stop.is_for_space() => put_back(site, place, note, Way::InItsPlace),
        done => done,
    }
}

fn put_back(site: &Site, place: &Place, note: &Note, way: Way) -> Result<Vec<String>> {
    let boot = site.disk.stat(&site.root, &place.name)?;
    let home = site.home()?;
    let before = match note.how {
        How::Absent => Catalog::new(),
        _ => catalog::load(&site.disk, home, &list_name(place, "before"))?,
    };
    if place.kept == Kept::Missing || boot.is_none() {
        return Ok(Vec::new());
    }
    let dir = site.dir(std::slice::from_ref(&place.name))?;
    let after = list_name(place, "after");
    let after =
        if site.state.notes.listed { Some(catalog::load(&site.disk, home, &after)?) } else { None };
    let skip = (place.kept == Kept::Mount).then_some(&place.saved);
    site.watch.begin("Comparing the boot files", Unit::Bytes, None);
    let now = catalog::read(&site.disk, &dir, skip, From::Cache, &site.watch)?;
    site.watch.end();
    let lists = Lists::new(before, after, now);
    let saved = note.saved(site)?;
    let put_back = PutBack { site, place, dir: &dir, saved: saved.as_ref(), way };
    let mut rest = Vec::new();
    if way == Way::InItsPlace {
        rest = take_away(&put_back, &lists)?;
    }
    let mut old: Vec<_> = lists.before.iter().filter(|(path, _)| !path.is_empty()).collect();
    old.sort_by_key(|(path, item)| rank(path, item));
    for (path, item) in old {
        let now = lists.now(path, item.vfat);
        let same = now.is_some_and(|(_, now)| now.same_content(item));
        let same_name = now.is_none_or(|(there, _)| there == path.as_slice());
        if !same && lists.is_of_others(path, now.map(|(_, item)| item)) {
            rest.push(format!(
                "{} was changed since by somebody else, and stays",
                put_back.show(path)
            ));
        } else if !same || !same_name {
            put_back.file(path, item, now.map(|(path, _)| path))?;
        } else if now.is_some_and(|(_, now)| !now.same_metadata(item)) {
            put_back.metadata(path, item)?;
        }
    }
    if way == Way::Beside {
        rest.extend(take_away(&put_back, &lists)?);
    }
    put_back.times(&lists.before)?;
    if note.how == How::Absent {
        put_back.take_away_place()?;
    }
    Ok(rest)
}

/// Removes what is new, but for what others made.
fn take_away(put_back: &PutBack<'_>, lists: &Lists) -> Result<Vec<String>> {
    let mut rest = Vec::new();
    // What is in a directory before the directory.
    for (path, item) in lists.now.iter().rev().filter(|(path, _)| !path.is_empty()) {
        if lists.was_there(path, item.vfat) {
            continue;
        }
        if !path.last().is_some_and(is_temporary) && lists.is_of_others(path, Some(item)) {
            rest.push(format!(
                "{} was made since by somebody else, and stays",
                put_back.show(path)
            ));
        } else {
            put_back.take_away(path, item)?;
        }
    }
    Ok(rest)
}

/// Moves back what was moved; what has its name now changes places with it.
///
/// # Errors
/// Any failure of a system call.
pub fn give_back(site: &Site, place: &Place, note: &Note) -> Result<()> {
    if note.how != How::Move {
        return Ok(());
    }
    let Some(saved) = note.saved(site)? else { return Ok(()) };
    let dir = site.dir(std::slice::from_ref(&place.name))?;
    for (entry, inode) in &note.moved {
        for name in text::path(entry).unwrap_or_default() {
            let is_old = site.disk.stat(&saved, &name)?.is_some_and(|stat| stat.inode == *inode);
            if !is_old {
                continue; // back already
            }
            if site.disk.stat(&dir, &name)?.is_none() {
                site.disk.rename((&saved, &name), (&dir, &name))?;
            } else if !site.disk.exchange((&saved, &name), (&dir, &name))? {
                let part = temporary(&name);
                site.disk.rename((&dir, &name), (&saved, &part))?;
                site.disk.rename((&saved, &name), (&dir, &name))?;
            }
        }
    }
    Ok(site.disk.sync(&dir)?)
}
