//! `/boot` saved before anything on it is replaced (P3): by a copy that is read
//! back and compared, so that the old boot files stay usable until the new
//! configuration replaces them. Without room for it nothing begins.
//!
//! `revert` lets `boot` and `boot.bak` change places where `boot` is no mount point
//! (`exchange/boot.rs`).

use nix::errno::Errno;

use crate::error::{OpError, Stop};
use crate::fs::disk::Dir;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::{Moved, Tree};
use crate::prepare::catalog;
use crate::prepare::copy;
use crate::prepare::durable::{self, From, remove, temporary};
use crate::prepare::installer_record::{self, Known};
use crate::prepare::places::Place;
use crate::prepare::saving::{
    self, SAVED, Saved, SavedHow, SavedPlace, how, list_name, read, saved_at,
};
use crate::prepare::site::Site;
use crate::prepare::step::{Ledger, Look, Mark, Result, Step};
use crate::term::progress::Unit;

/// Its name in the record.
pub(crate) const NAME: &str = "boot-saved";

/// The step.
#[derive(Debug)]
pub(crate) struct Save;

impl Step<Site> for Save {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "boot files saved"
    }

    fn look(&self, site: &Site) -> Result<Look> {
        let mut due = Vec::new();
        let notes = site.state.notes.get(&SAVED)?;
        for place in site.places()? {
            let saved = match notes.get(&place.key()) {
                // What is there now may be NixOS's.
                Some(_) if installer_record::has_begun(site) => true,
                Some(note) if note.how == SavedHow::Absent => true,
                Some(note) if site.mark(NAME) == Some(Mark::Done) => note.saved(site)?.is_some(),
                _ => false,
            };
            if saved {
                continue;
            }
            let files = read(site, &place, From::Nowhere)?;
            let (name, to) = (&place.path, saved_at(&place));
            let mib = catalog::size(&files) >> 20;
            due.push(match how(site, &place, &files, 0)?? {
                SavedHow::Absent => format!("there is no /{name}"),
                SavedHow::Copy | SavedHow::Move => format!("/{name} copied to /{to}, {mib} MiB"),
            });
        }
        Ok(if due.is_empty() {
            Look::Skip("saved before".into())
        } else {
            Look::Due(due.join("; "))
        })
    }

    fn record(&self, site: &mut Site) -> Result<()> {
        let mut notes = site.state.notes.get(&SAVED)?;
        for place in site.places()? {
            let name = place.key();
            if let Some(note) = notes.get(&name)
                && (installer_record::has_begun(site) || note.saved(site)?.is_some())
            {
                continue;
            }
            site.watch.begin("Reading the boot files", Unit::Bytes, None);
            let files = read(site, &place, From::Cache)?;
            site.watch.end();
            let how = how(site, &place, &files, 0)??;
            if how != SavedHow::Absent {
                catalog::write(&site.disk, site.home()?, &list_name(&place, "before"), &files)?;
                // An installer that has run did not write to it.
                if matches!(installer_record::known(site)?, Known::Ended(_)) {
                    catalog::write(&site.disk, site.home()?, &list_name(&place, "after"), &files)?;
                }
            }
            notes.insert(name, SavedPlace::new(&place, how));
        }
        site.state.notes.set(&SAVED, &notes)?;
        // What was missing is there once the installer has run.
        site.known.saved = saving::noted(&site.state)?;
        Ok(())
    }

    fn carry_out(&self, site: &mut Site) -> Result<()> {
        let notes = site.state.notes.get(&SAVED)?;
        for place in site.places()? {
            if let Some(note) = notes.get(&place.key())
                && note.how != SavedHow::Absent
            {
                copied(site, &place, note.clone())?;
                linked(site, &place)?;
            }
        }
        Ok(())
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        let mut rest = Vec::new();
        let notes = site.state.notes.get(&SAVED)?;
        for place in site.places()? {
            let Some(note) = notes.get(&place.key()) else { continue };
            if note.how == SavedHow::Absent {
                continue;
            }
            let (dir, name) = note.place(site)?;
            remove(&site.disk, &dir, &temporary(&name), &site.watch)?;
            let boot = durable::parent(&site.disk, &site.root, place.path.names())?;
            let boot = boot.map_or(Ok(None), |(dir, name)| site.disk.stat(&dir, &name))?;
            if note.stays && note.saved(site)?.is_some() {
                let shown = site.disk.show(&dir, Some(&name));
                site.stays = true;
                rest.push(format!(
                    "What was not put back of /{} stays in {shown}. When it is not needed any \
                     more: rm -r {shown}",
                    place.path
                ));
                continue;
            }
            unlinked(site, &place)?;
            if note.saved(site)?.is_some() {
                site.watch.begin("Removing what was saved", Unit::Files, None);
                remove(&site.disk, &dir, &name, &site.watch)?;
                site.watch.end();
            } else if boot.is_some_and(|boot| boot.inode == note.inode) {
                rest.push(format!(
                    "/{name} holds what the boot loader of NixOS had in /{}. It can be removed: \
                     rm -r {}",
                    place.path,
                    site.disk.show(&dir, Some(&name))
                ));
            }
            site.disk.sync(&dir)?;
        }
        site.state.notes.set(&SAVED, &Saved::new())?;
        Ok(rest)
    }
}

/// Copies a place, reads the copy back, and only then gives it its name.
fn copied(site: &mut Site, place: &Place, mut note: SavedPlace) -> Result<()> {
    if note.saved(site)?.is_some() {
        return Ok(());
    }
    let (home, name) = note.place(site)?;
    let part = temporary(&name);
    remove(&site.disk, &home, &part, &site.watch)?;
    let files = catalog::load(&site.disk, site.home()?, &list_name(place, "before"))?;
    site.disk.make_dir(&home, &part, 0o700)?;
    let source = site.dir(place.path.names())?;
    let opened = site.disk.open(&home, std::slice::from_ref(&part))?;
    let target = opened.ok_or_else(|| gone(site, &home, &part))?;
    copy::tree(site, &source, &target, &files)?;
    note.inode = site.disk.stat_dir(&target)?.inode;
    let mut notes = site.state.notes.get(&SAVED)?;
    notes.insert(place.key(), note);
    site.state.notes.set(&SAVED, &notes)?;
    site.save()?;
    named(site, &home, &part, &name)
}

/// The link in the root to what is saved elsewhere.
fn linked(site: &Site, place: &Place) -> Result<()> {
    let Some(target) = saving::link(place) else { return Ok(()) };
    if site.disk.stat(&site.root, &place.saved)?.is_none() {
        let like = site.disk.stat_dir(&site.root)?;
        site.disk.make_link(&site.root, &place.saved, &target, &like)?;
    }
    Ok(site.disk.sync(&site.root)?)
}

fn unlinked(site: &Site, place: &Place) -> Result<()> {
    let Some(target) = saving::link(place) else { return Ok(()) };
    let there = site.disk.stat(&site.root, &place.saved)?;
    let is_link = there.is_some_and(|stat| stat.kind == Kind::Link);
    if is_link && site.disk.read_link(&site.root, &place.saved)? == target {
        site.disk.remove_file(&site.root, &place.saved)?;
        site.disk.sync(&site.root)?;
    }
    Ok(())
}

/// Gives what is complete the name under which it is looked for.
fn named(site: &Site, home: &Dir, part: &Name, name: &Name) -> Result<()> {
    if site.disk.rename((home, part), (home, name))? != Moved::Done {
        let shown = site.disk.show(home, Some(name));
        return Err(Stop::wrong(
            format!("{shown} is there already"),
            "The copy of the boot files is to have that name",
            format!("Rename it: mv {shown} {shown}.older"),
        ));
    }
    Ok(site.disk.sync(home)?)
}

fn gone(site: &Site, dir: &Dir, name: &Name) -> Stop {
    OpError::new("open", site.disk.show(dir, Some(name)), Errno::ENOENT).into()
}
