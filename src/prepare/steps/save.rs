//! `/boot` saved before anything on it is replaced (P3): by a copy that is read
//! back and compared, where there is space, so that the old boot files stay usable
//! until the new configuration replaces them; otherwise by moving the content,
//! which leaves the old system without them (P2).
//!
//! What is mounted on or below `/boot` is copied, never moved: on an ESP nothing
//! is touched that the old boot loader does not own. `revert` lets `boot` and
//! `boot.bak` change places where `boot` is no mount point (`exchange/boot.rs`).

use nix::errno::Errno;

use crate::error::{OpError, Stop};
use crate::fs::disk::Dir;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::{Moved, Tree};
use crate::prepare::catalog::{self, Item};
use crate::prepare::copy;
use crate::prepare::files::{From, dress, failed, remove, temporary};
use crate::prepare::places::{Kept, Place, places};
use crate::prepare::saving::{self, How, Note, how, list_name, mounted, read};
use crate::prepare::site::Site;
use crate::prepare::step::{Ledger, Look, Mark, Result, Step};
use crate::prepare::watch::Unit;
use crate::prepare::{restore, text};

/// Its name in the record.
pub const NAME: &str = "boot-saved";

/// The step.
#[derive(Debug)]
pub struct Save;

impl Step<Site> for Save {
    fn name(&self) -> &'static str {
        NAME
    }

    fn look(&self, site: &Site) -> Result<Look> {
        if site.mark(super::loader::NAME).is_some() {
            return Ok(Look::Skip("saved before".into()));
        }
        let mut due = Vec::new();
        for place in places(&site.disk, &site.root, &site.mounts)? {
            let note = site.state.notes.saved.get(&place.name.to_string());
            let saved = match note {
                Some(note) if note.how == How::Absent => true,
                Some(note) if site.mark(NAME) == Some(Mark::Done) => note.saved(site)?.is_some(),
                _ => false,
            };
            if saved {
                continue;
            }
            if note.is_some_and(|note| note.how == How::Move) {
                due.push(format!("go on moving the content of /{}", place.name));
                continue;
            }
            let files = read(site, &place, From::Nowhere)?;
            let (name, to, mib) = (&place.name, &place.saved, catalog::size(&files) >> 20);
            due.push(match how(site, &place, &files)? {
                Ok(How::Absent) => format!("there is no /{name}"),
                Ok(How::Copy) => format!("/{name} copied to /{to}, {mib} MiB"),
                Ok(How::Move) if place.kept == Kept::Mount => {
                    format!("no space for a copy: the content of /{name} moved to /{name}/{to}")
                }
                Ok(How::Move) => {
                    format!("no space for a copy: the content of /{name} moved to /{to}")
                }
                Err(refusal) => return Err(Stop::changed(refusal.to_string())),
            });
        }
        Ok(if due.is_empty() {
            Look::Skip("saved before".into())
        } else {
            Look::Due(due.join("; "))
        })
    }

    fn record(&self, site: &mut Site) -> Result<()> {
        for place in places(&site.disk, &site.root, &site.mounts)? {
            let name = place.name.to_string();
            if let Some(note) = site.state.notes.saved.get(&name) {
                // What is moving is not in its place any more.
                if note.how == How::Move || note.saved(site)?.is_some() {
                    continue;
                }
            }
            site.watch.begin("Reading the boot files", Unit::Bytes, None);
            let files = read(site, &place, From::Cache)?;
            site.watch.end();
            let how = how(site, &place, &files)?.map_err(|r| Stop::changed(r.to_string()))?;
            if how != How::Absent {
                catalog::write(&site.disk, site.home()?, &list_name(&place, "before"), &files)?;
            }
            let is_nested = |path: &[Name]| place.nested.iter().any(|n| n.names() == path);
            let entry = |(path, item): (&Vec<Name>, &Item)| {
                let moves = path.len() == 1 && !is_nested(path) && how == How::Move;
                moves.then(|| (text::of_path(path), item.inode))
            };
            let home = text::of_path(&saving::home(&place, how));
            let moved = files.iter().filter_map(entry).collect();
            let mounted = mounted(&place);
            let note = Note { how, home, inode: 0, moved, mounted, stays: false };
            site.state.notes.saved.insert(name, note);
        }
        Ok(())
    }

    fn carry_out(&self, site: &mut Site) -> Result<()> {
        for place in places(&site.disk, &site.root, &site.mounts)? {
            let name = place.name.to_string();
            let Some(note) = site.state.notes.saved.get(&name).cloned() else { continue };
            match note.how {
                How::Absent => {}
                How::Copy => {
                    copied(site, &place, note)?;
                    linked(site, &place)?;
                }
                How::Move => moved(site, &place, note)?,
            }
        }
        Ok(())
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        let mut rest = Vec::new();
        for place in places(&site.disk, &site.root, &site.mounts)? {
            let Some(note) = site.state.notes.saved.get(&place.name.to_string()).cloned() else {
                continue;
            };
            if note.how == How::Absent {
                continue;
            }
            restore::give_back(site, &place, &note)?;
            let (dir, name) = note.place(site)?;
            remove(&site.disk, &dir, &temporary(&name), &site.watch)?;
            let boot = site.disk.stat(&site.root, &place.name)?;
            if note.stays && note.saved(site)?.is_some() {
                let shown = site.disk.show(&dir, Some(&name));
                site.stays = true;
                rest.push(format!(
                    "What was not put back of /{} stays in {shown}. When it is not needed any \
                     more: rm -r {shown}",
                    place.name
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
                    place.name,
                    site.disk.show(&dir, Some(&name))
                ));
            }
            site.disk.sync(&dir)?;
        }
        if site.state.window {
            site.window(false)?;
        }
        site.state.notes.saved.clear();
        Ok(rest)
    }
}

/// Copies a place, reads the copy back, and only then gives it its name.
fn copied(site: &mut Site, place: &Place, mut note: Note) -> Result<()> {
    if note.saved(site)?.is_some() {
        return Ok(());
    }
    let (home, name) = note.place(site)?;
    let part = temporary(&name);
    remove(&site.disk, &home, &part, &site.watch)?;
    let files = catalog::load(&site.disk, site.home()?, &list_name(place, "before"))?;
    site.disk.make_dir(&home, &part, 0o700)?;
    let source = site.dir(std::slice::from_ref(&place.name))?;
    let opened = site.disk.open(&home, std::slice::from_ref(&part))?;
    let target = opened.ok_or_else(|| gone(site, &home, &part))?;
    copy::tree(site, &source, &target, &files, &|_| true)?;
    note.inode = site.disk.stat_dir(&target)?.inode;
    site.state.notes.saved.insert(place.name.to_string(), note);
    site.save()?;
    named(site, &home, &part, &name)
}

/// The link in the root to what is saved elsewhere.
fn linked(site: &Site, place: &Place) -> Result<()> {
    let Some(target) = saving::link(place, How::Copy) else { return Ok(()) };
    if site.disk.stat(&site.root, &place.saved)?.is_none() {
        let like = site.disk.stat_dir(&site.root)?;
        site.disk.make_link(&site.root, &place.saved, &target, &like)?;
    }
    Ok(site.disk.sync(&site.root)?)
}

fn unlinked(site: &Site, place: &Place) -> Result<()> {
    let Some(target) = saving::link(place, How::Copy) else { return Ok(()) };
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
        return Err(Stop::changed(format!("{shown} is there already. Rename it")));
    }
    Ok(site.disk.sync(home)?)
}

fn gone(site: &Site, dir: &Dir, name: &Name) -> Stop {
    OpError::new("open", site.disk.show(dir, Some(name)), Errno::ENOENT).into()
}

/// Moves the entries of a place, and copies what is mounted in it.
fn moved(site: &mut Site, place: &Place, mut note: Note) -> Result<()> {
    site.window(true)?;
    let (home, name) = note.place(site)?;
    let source = site.dir(std::slice::from_ref(&place.name))?;
    if note.saved(site)?.is_none() {
        let part = temporary(&name);
        remove(&site.disk, &home, &part, &site.watch)?;
        site.disk.make_dir(&home, &part, 0o700)?;
        let opened = site.disk.open(&home, std::slice::from_ref(&part))?;
        let made = opened.ok_or_else(|| gone(site, &home, &part))?;
        let like = site.disk.stat_dir(&source)?;
        dress(&made, &source, &like).map_err(failed(
            &site.disk,
            "set the owner of",
            &made,
            None,
        ))?;
        note.inode = site.disk.stat_dir(&made)?.inode;
        site.state.notes.saved.insert(place.name.to_string(), note.clone());
        site.save()?;
        named(site, &home, &part, &name)?;
    }
    let target = note.saved(site)?.ok_or_else(|| gone(site, &home, &name))?;
    let files = catalog::load(&site.disk, site.home()?, &list_name(place, "before"))?;
    let nested = |path: &[Name]| place.nested.iter().any(|n| path.starts_with(n.names()));
    for point in &place.nested {
        remove(&site.disk, &target, point.entry(), &site.watch)?;
    }
    copy::tree(site, &source, &target, &files, &nested)?;
    for (entry, inode) in &note.moved {
        for entry in text::path(entry).unwrap_or_default() {
            let there = site.disk.stat(&source, &entry)?;
            if there.is_some_and(|stat| stat.inode == *inode) {
                site.disk.rename((&source, &entry), (&target, &entry))?;
            }
        }
    }
    site.disk.sync(&source)?;
    Ok(site.disk.sync(&target)?)
}
