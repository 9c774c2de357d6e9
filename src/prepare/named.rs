//! Which boot files name a NixOS, whichever: as long as one does, the marker has
//! to stay (P1), and nothing that it boots may go.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::Item;
use super::durable::{From, Hash, hash, parent};
use super::installer_record;
use super::ours::{NAMED, of_place};
use super::places::Place;
use super::restore;
use super::saving::{SAVED, SavedPlace};
use super::site::Site;
use super::step::Result;
use crate::error::Stop;
use crate::fs::name::Name;
use crate::fs::tree::Tree;

/// Every system that a boot file names.
fn all(site: &Site) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for place in site.places()? {
        found.extend(of_place(site, &place)?.into_iter().flat_map(|(_, _, systems)| systems));
    }
    Ok(found)
}

/// Notes, before anything is changed, which systems are named already: those of
/// other disks, which the old system's configuration offers.
pub(crate) fn note_others(site: &mut Site) -> Result<()> {
    if site.state.notes.get(&NAMED)?.is_none() {
        let named = all(site)?;
        site.state.notes.set(&NAMED, &Some(named))?;
    }
    Ok(())
}

/// Stops while a configuration names NixOS: the marker has to stay (P1).
///
/// # Errors
/// [`Stop`] when one does.
pub(crate) fn may_leave(site: &Site) -> Result<()> {
    remains(site)?.map_or(Ok(()), Err)
}

/// Why the marker has to stay: a configuration names NixOS, and will when the
/// boot files are put back. `None` when nothing does.
fn remains(site: &Site) -> Result<Option<Stop>> {
    let known = site.state.notes.get(&NAMED)?.unwrap_or_default();
    let saved = site.state.notes.get(&SAVED)?;
    for place in site.places()? {
        let note = saved.get(&place.key());
        let note = note.filter(|_| installer_record::has_begun(site));
        let named = of_place(site, &place)?;
        let named = named.into_iter().filter(|(_, _, systems)| !systems.is_subset(&known));
        for (path, mut item, systems) in named {
            if let Some(note) = note {
                item.hash = Some(hashed(site, &place, &path)?);
                if goes(site, &place, note, &path, &item)? {
                    continue;
                }
            }
            let system = systems.difference(&known).next().cloned().unwrap_or_default();
            return Ok(Some(said(site, &place, note, &path, &system)?));
        }
    }
    Ok(None)
}

fn hashed(site: &Site, place: &Place, path: &[Name]) -> Result<Hash> {
    let path = place.below(path);
    let (name, parents) = path.split_last().unwrap_or((place.path.last(), &[]));
    hash(&site.disk, &site.dir(parents)?, name, From::Cache, &site.watch)
}

/// Whether a file leaves, or is replaced, when its place is put back.
fn goes(site: &Site, place: &Place, note: &SavedPlace, path: &[Name], item: &Item) -> Result<bool> {
    let now = BTreeMap::from([(path.to_vec(), item.clone())]);
    let lists = restore::lists(site, place, note, now)?;
    let is_old = lists.before.get(path).is_some_and(|old| old.same_content(item));
    Ok(!is_old && !lists.is_of_others(path, Some(item)))
}

fn said(
    site: &Site,
    place: &Place,
    note: Option<&SavedPlace>,
    path: &[Name],
    system: &str,
) -> Result<Stop> {
    let dir = site.dir(place.path.names())?;
    let (shown, system) = (site.show_below(&dir, path), format!("/nix/store/{system}"));
    let saved = note.map(|note| note.saved(site)).transpose()?.flatten();
    let was_there = match &saved {
        Some(saved) => parent(&site.disk, saved, path)?
            .map_or(Ok(None), |(dir, name)| site.disk.stat(&dir, &name))?
            .is_some(),
        None => false,
    };
    let anew = "Write the old boot loader's configuration anew, for example with update-grub";
    let fix = match saved {
        Some(saved) if was_there => {
            let saved = site.show_below(&saved, path);
            format!("{anew}, or take the one that was saved (cp -p {saved} {shown})")
        }
        _ if note.is_some() => {
            format!("If NixOS is not to be booted by it, remove it (rm {shown})")
        }
        _ => anew.to_owned(),
    };
    Ok(Stop::wrong(
        format!("{shown} still names NixOS, so that the marker has to stay"),
        format!(
            "Somebody else has changed it since, and all that it may need stays too: it boots \
             {system}"
        ),
        format!("{fix}, then try again"),
    ))
}
