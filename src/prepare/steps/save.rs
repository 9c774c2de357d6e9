//! `/boot` saved before anything on it is replaced (P3): by a copy that is read
//! back and compared, where there is space, so that the old boot files stay usable
//! until the new configuration replaces them; otherwise by moving the content,
//! which leaves the old system without them (P2).
//!
//! What is mounted on or below `/boot` is copied, never moved: on an ESP nothing
//! is touched that the old boot loader does not own. `revert` lets `boot` and
//! `boot.bak` change places where `boot` is no mount point (`exchange/boot.rs`).

use nix::errno::Errno;
use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use crate::disk::Dir;
use crate::error::{OpError, Refusal, Stop};
use crate::name::Name;
use crate::prepare::catalog::{self, Catalog, Item};
use crate::prepare::copy;
use crate::prepare::files::{From, dress, failed, remove, temporary};
use crate::prepare::places::{Kept, Place, places};
use crate::prepare::site::Site;
use crate::prepare::step::{Ledger, Look, Mark, Result, Step};
use crate::prepare::watch::Unit;
use crate::prepare::{restore, text};
use crate::tree::{Moved, Tree};

/// Its name in the record.
pub const NAME: &str = "boot-saved";
/// What a copy leaves free, in bytes.
const SPARE: u64 = 8 << 20;

/// How a place was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It is not there: what comes is new.
    Absent,
    /// Copied.
    Copy,
    /// Its entries moved.
    Move,
}

/// Where the boot files of a place are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Note {
    /// How it was saved.
    pub how: How,
    /// The directory that holds what was saved, below the root.
    pub home: String,
    /// Its inode number, once it is there.
    pub inode: u64,
    /// The entries that move, and their inode numbers.
    pub moved: Vec<(String, u64)>,
    /// What was mounted: the place itself, as the empty path, or in it.
    pub mounted: Vec<String>,
}

impl Note {
    /// The directory that holds what was saved, and its name in it.
    ///
    /// # Errors
    /// When its parent is gone.
    pub fn place(&self, site: &Site) -> Result<(Dir, Name)> {
        let path = text::path(&self.home).unwrap_or_default();
        let damaged = || Stop::changed("the state file names no place for saved files".to_owned());
        let (name, parents) = path.split_last().ok_or_else(damaged)?;
        Ok((site.dir(if parents.is_empty() { &[] } else { parents })?, name.clone()))
    }

    /// What was saved, if it is there and is what was saved.
    ///
    /// # Errors
    /// Any failure of a system call.
    pub fn saved(&self, site: &Site) -> Result<Option<Dir>> {
        let (dir, name) = self.place(site)?;
        let is_it = site.disk.stat(&dir, &name)?.is_some_and(|stat| stat.inode == self.inode);
        if is_it { Ok(site.disk.open(&dir, &[name])?) } else { Ok(None) }
    }
}

/// The list of a place's files before, or after, the boot loader's installer.
#[must_use]
pub fn list_name(place: &Place, when: &str) -> Name {
    Name::new(format!("{}.{when}", place.name).as_bytes()).unwrap_or(place.saved.clone())
}

/// The step.
#[derive(Debug)]
pub struct Save;

/// How a place can be saved.
fn how(site: &Site, place: &Place, files: &Catalog) -> Result<std::result::Result<How, Refusal>> {
    if place.kept == Kept::Missing {
        return Ok(Ok(How::Absent));
    }
    let shown = site.disk.show(&site.root, Some(&place.name));
    let (free, room) = (free(site, &site.root)?, catalog::room(files) + SPARE);
    if room <= free {
        return Ok(Ok(How::Copy));
    }
    let inner = |path: &[Name]| place.nested.iter().any(|n| path.starts_with(n.names()));
    let nested: Catalog =
        files.iter().filter(|(path, _)| inner(path)).map(|(p, i)| (p.clone(), i.clone())).collect();
    let plain = !place.esp && place.nested.iter().all(crate::name::RelPath::is_entry);
    let place_free = if place.kept == Kept::Mount {
        self::free(site, &site.dir(&[place.name.clone()])?)?
    } else {
        free
    };
    if plain && (nested.is_empty() || catalog::room(&nested) + SPARE <= place_free) {
        return Ok(Ok(How::Move));
    }
    Ok(Err(Refusal::new(
        format!(
            "{shown} holds {} MiB, and {} has {} MiB free",
            catalog::size(files) >> 20,
            site.shown,
            free >> 20
        ),
        "The boot files of the old system could not be saved",
        format!("Free {} MiB in {}", (room - free).div_ceil(1 << 20), site.shown),
    )))
}

fn free(site: &Site, dir: &Dir) -> Result<u64> {
    let stat = fstatvfs(dir).map_err(|e| OpError::new("look at", site.disk.show(dir, None), e))?;
    Ok(u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size())))
}

/// What hinders, before anything is written.
///
/// # Errors
/// Any failure of a system call.
pub fn refusals(site: &Site) -> Result<Vec<Refusal>> {
    let mut found = Vec::new();
    for place in places(&site.disk, &site.root, &site.mounts)? {
        if site.state.notes.saved.contains_key(&place.name.to_string()) {
            continue;
        }
        let homes = [(&site.root, place.saved.clone())];
        for (dir, name) in homes {
            if site.disk.stat(dir, &name)?.is_some() {
                let shown = site.disk.show(dir, Some(&name));
                found.push(Refusal::new(
                    format!("{shown} is there, and nixos-lustrate did not make it"),
                    "The boot files of the old system are to be saved under that name",
                    format!("Rename it: mv {shown} {shown}.older"),
                ));
            }
        }
        if let Err(refusal) = how(site, &place, &read(site, &place, From::Nowhere)?)? {
            found.push(refusal);
        }
    }
    Ok(found)
}

fn read(site: &Site, place: &Place, from: From) -> Result<Catalog> {
    match place.kept {
        Kept::Missing => Ok(Catalog::new()),
        _ => {
            let dir = site.dir(&[place.name.clone()])?;
            let skip = (place.kept == Kept::Mount).then_some(&place.saved);
            catalog::read(&site.disk, &dir, skip, from, &site.watch)
        }
    }
}

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
            let known = site.state.notes.saved.get(&name);
            if known.is_some_and(|note| note.how == How::Move || note.inode != 0) {
                continue; // what is moving is not in its place any more
            }
            site.watch.begin("Reading the boot files", Unit::Bytes, None);
            let files = read(site, &place, From::Cache)?;
            site.watch.end();
            let how = how(site, &place, &files)?.map_err(|r| Stop::changed(r.to_string()))?;
            if how != How::Absent {
                catalog::write(&site.disk, site.home()?, &list_name(&place, "before"), &files)?;
            }
            let is_nested = |path: &[Name]| place.nested.iter().any(|n| n.names() == path);
            let moves = |(path, item): (&Vec<Name>, &Item)| {
                let moves = path.len() == 1 && !is_nested(path) && how == How::Move;
                moves.then(|| (text::of_path(path), item.inode))
            };
            let home = if how == How::Move && place.kept == Kept::Mount {
                text::of_path(&[place.name.clone(), place.saved.clone()])
            } else {
                text::of_path(std::slice::from_ref(&place.saved))
            };
            let moved = files.iter().filter_map(moves).collect();
            let mounted = mounted(&place);
            let note = Note { how, home, inode: 0, moved, mounted };
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
                How::Copy => copied(site, &place, note)?,
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
            if note.saved(site)?.is_some() {
                remove(&site.disk, &dir, &name, &site.watch)?;
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

/// What is mounted on a place, and in it.
fn mounted(place: &Place) -> Vec<String> {
    let itself = (place.kept == Kept::Mount).then(String::new);
    let nested = place.nested.iter().map(|point| text::of_path(point.names()));
    itself.into_iter().chain(nested).collect()
}

/// File systems with saved boot files that are not mounted: without them, what is
/// in their place would be taken for the boot files.
///
/// # Errors
/// Any failure of a system call.
pub fn unmounted(site: &Site) -> Result<Vec<Refusal>> {
    let mut found = Vec::new();
    for (name, note) in &site.state.notes.saved {
        let places = places(&site.disk, &site.root, &site.mounts)?;
        let place = places.iter().find(|place| place.name.to_string() == *name);
        let there = place.map(mounted).unwrap_or_default();
        for point in note.mounted.iter().filter(|point| !there.contains(point)) {
            let root = site.shown.trim_end_matches('/');
            let path = format!("{root}/{name}/{point}");
            let path = path.trim_end_matches('/');
            found.push(Refusal::new(
                format!("{path} was a mount point when the boot files were saved, and is none now"),
                "Other files would be taken for the boot files",
                format!(
                    "Mount the file system there; the old fstab says which: mount DEVICE {path}"
                ),
            ));
        }
    }
    Ok(found)
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
    let source = site.dir(&[place.name.clone()])?;
    let opened = site.disk.open(&home, std::slice::from_ref(&part))?;
    let target = opened.ok_or_else(|| gone(site, &home, &part))?;
    copy::tree(site, &source, &target, &files, &|_| true)?;
    note.inode = site.disk.stat_dir(&target)?.inode;
    site.state.notes.saved.insert(place.name.to_string(), note);
    site.save()?;
    named(site, &home, &part, &name)
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
    let source = site.dir(&[place.name.clone()])?;
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
