//! The boot files as they were: what was replaced or removed comes back, and what
//! is new goes, as far as the boot loader's installer did it. What somebody else
//! changed since, an update of the old system for example, stays.

use std::collections::BTreeSet;

use super::catalog::{self, Catalog};
use super::durable::{From, is_temporary};
use super::installer_record::{self, Known};
use super::ours::Judge;
use super::places::{Kept, Place};
use super::saving::{SavedHow, SavedPlace, list_name, read};
use super::site::Site;
use super::step::Result;
use crate::bootloader::nixos;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;

pub(super) mod lists;
mod put_back;

use crate::term::progress::Unit;
use lists::{Left, Lists, rank};
use put_back::PutBack;

/// How a damaged file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By one that was written beside it, in one step.
    Beside,
    /// It is removed first: there is no room for two. So is what is new.
    InItsPlace,
}

/// What was not put back.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// In sentences.
    pub said: Vec<String>,
    /// Something that was saved was not put back.
    pub stays: bool,
}

/// Puts the boot files of a place back; what was not put back comes back.
///
/// # Errors
/// Any failure of a system call; or a saved file is missing or damaged.
pub(crate) fn restore(site: &Site, place: &Place, note: &SavedPlace) -> Result<Rest> {
    match put_back(site, place, note, Order::Beside) {
        Err(stop) if stop.is_for_space() => put_back(site, place, note, Order::InItsPlace),
        done => done,
    }
}

/// What was there before, what the installer left, and `now`.
///
/// # Errors
/// When a list is missing or damaged.
pub(in crate::prepare) fn lists(
    site: &Site,
    place: &Place,
    note: &SavedPlace,
    now: Catalog,
) -> Result<Lists> {
    let home = site.home()?;
    let load = |when| {
        let name = list_name(place, when);
        // There is none of a place that was not there.
        match site.disk.stat(home, &name)? {
            None if note.how == SavedHow::Absent => Ok(Catalog::new()),
            _ => catalog::load(&site.disk, home, &name),
        }
    };
    let before = load("before")?;
    let known = installer_record::known(site)?;
    let left = match &known {
        Known::NotRun => Left::Nothing,
        Known::Ended(_) => Left::Listed(load("after")?),
        Known::Unfinished { .. } => {
            let judge = Judge::new(site);
            let mut proven = BTreeSet::new();
            for (path, item) in &now {
                let is_old = before.get(path).is_some_and(|old| old.same_content(item));
                if !is_old
                    && (known.covers(item)
                        || is_in_ours(&before, path)
                        || judge.is_of_nixos(place, path, item)?)
                {
                    proven.insert(path.clone());
                }
            }
            Left::Proven(proven)
        }
    };
    Ok(Lists::new(before, left, now))
}

/// Whether a file is in a directory that only a boot loader of NixOS makes, and that
/// was not there before.
fn is_in_ours(before: &Catalog, path: &[Name]) -> bool {
    (1..path.len()).any(|length| {
        let (dir, _) = path.split_at(length);
        let is_ours = dir.last().is_some_and(|name| nixos::makes(name.as_bytes()));
        is_ours && !before.contains_key(dir)
    })
}

fn put_back(site: &Site, place: &Place, note: &SavedPlace, way: Order) -> Result<Rest> {
    if place.kept == Kept::Missing {
        return Ok(Rest::default());
    }
    let dir = site.dir(place.path.names())?;
    site.watch.begin("Comparing the boot files", Unit::Bytes, None);
    let now = read(site, place, From::Cache)?;
    site.watch.end();
    let lists = lists(site, place, note, now)?;
    let saved = note.saved(site)?;
    let put_back = PutBack { site, place, dir: &dir, saved: saved.as_ref(), way };
    let mut rest = Rest::default();
    if way == Order::InItsPlace {
        rest.said = take_away(&put_back, &lists)?;
    }
    // Of a place that was not there nothing was saved.
    let old =
        lists.before.iter().filter(|(path, _)| !path.is_empty() && note.how != SavedHow::Absent);
    let mut old: Vec<_> = old.collect();
    old.sort_by_key(|(path, item)| rank(path, item));
    for (path, item) in old {
        let now = lists.now(path, item.vfat);
        let same = now.is_some_and(|(_, now)| now.same_content(item));
        let same_name = now.is_none_or(|(there, _)| there == path.as_slice());
        let at = now.map_or(path.as_slice(), |(there, _)| there);
        let theirs = lists.is_of_others(at, now.map(|(_, item)| item))
            || item.kind != Kind::Dir && lists.holds_of_others(at);
        if !same && theirs {
            rest.stays = true;
            rest.said.push(match now {
                Some(_) if lists.is_unseen() => format!(
                    "{} stays: nobody saw whether the boot loader's installer changed it, or \
                     somebody else since",
                    put_back.show(path)
                ),
                None => format!(
                    "{} was removed since by somebody else, and stays so",
                    put_back.show(path)
                ),
                Some(_) => {
                    format!("{} was changed since by somebody else, and stays", put_back.show(path))
                }
            });
        } else if !same || !same_name {
            put_back.file(path, item, now.map(|(path, _)| path))?;
        } else if now.is_some_and(|(_, now)| !now.same_metadata(item)) {
            put_back.metadata(path, item)?;
        }
    }
    if way == Order::Beside {
        rest.said.extend(take_away(&put_back, &lists)?);
    }
    put_back.times(&lists.before)?;
    if note.how == SavedHow::Absent {
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
        if path.last().is_some_and(is_temporary) || !lists.is_of_others(path, Some(item)) {
            put_back.take_away(path, item)?;
            continue;
        }
        rest.push(if lists.is_unseen() {
            format!(
                "{} stays: nobody saw whether the boot loader's installer made it, or somebody \
                 else since",
                put_back.show(path)
            )
        } else {
            format!("{} was made since by somebody else, and stays", put_back.show(path))
        });
    }
    Ok(rest)
}
