//! How boot files can be saved, and where they are then.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;

use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use super::catalog::{self, Catalog};
use super::durable::{self, From};
use super::escape;
use super::notes::{Key, Wrong};
use super::places::{Kept, Place, flat, saved_name};
use super::site::Site;
use super::state_file::{HOME, State};
use super::step::Result;
use super::written;
use crate::engine::names::BOOT;
use crate::error::{OpError, Refusal, Stop};
use crate::fs::disk::Dir;
use crate::fs::name::{Name, RelPath, word};
use crate::fs::remove::Halt;
use crate::fs::tree::Tree;

/// What a copy leaves free, in bytes.
const SPARE: u64 = 8 << 20;

/// How a place was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SavedHow {
    /// It is not there: what comes is new.
    Absent,
    /// Copied.
    Copy,
    /// Its entries moved, by an earlier version: such a state is refused.
    Move,
}

/// Where the boot files of a place are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SavedPlace {
    /// How it was saved.
    pub how: SavedHow,
    /// The directory that holds what was saved, below the root.
    pub home: String,
    /// Its inode number, once it is there.
    pub inode: u64,
    /// What an earlier version moved; always empty now, and written for that one.
    #[serde(default)]
    moved: Vec<(String, u64)>,
    /// What was mounted: the place itself, as the empty path, or in it.
    pub mounted: Vec<String>,
    /// Something in it was not put back: it stays.
    #[serde(default)]
    pub stays: bool,
}

/// The notes, by the names of the places.
pub(crate) type Saved = BTreeMap<String, SavedPlace>;

/// Where the boot files were saved.
pub(crate) const SAVED: Key<Saved> =
    Key::checked("saved", |notes| notes.iter().find_map(|(place, note)| note.wrong(place)));

impl SavedPlace {
    /// Nothing is saved yet.
    #[must_use]
    pub(crate) fn new(place: &Place, how: SavedHow) -> Self {
        let (home, mounted) = (escape::of_path(&home(place)), mounted(place));
        Self { how, home, inode: 0, moved: Vec::new(), mounted, stays: false }
    }

    /// Something in it was not put back.
    #[must_use]
    pub(crate) fn staying(self) -> Self {
        Self { stays: true, ..self }
    }

    /// What no `prepare` can have noted of a place, or an earlier one did.
    fn wrong(&self, place: &str) -> Option<Wrong> {
        let path = escape::path(place).and_then(RelPath::new).filter(written::may_be);
        let saved = path.as_ref().and_then(|path| saved_name(&flat(path)));
        let (Some(path), Some(saved)) = (path, saved) else {
            return Some(Wrong::Never(format!("the place '{place}'")));
        };
        if self.how == SavedHow::Move || !self.moved.is_empty() {
            return Some(Wrong::Earlier(format!("moved the boot files of /{path}")));
        }
        let at_home = escape::path(&self.home).unwrap_or_default();
        let kinds = [Kept::Directory, Kept::Mount];
        if !kinds.iter().any(|&kept| home_of(&path, &saved, kept) == at_home) {
            return Some(Wrong::Never(format!("the place '{}' for saved files", self.home)));
        }
        let mounted = self.mounted.iter().find(|point| escape::path(point).is_none());
        mounted.map(|path| Wrong::Never(format!("the path '{path}'")))
    }

    /// The directory that holds what was saved, and its name in it.
    ///
    /// # Errors
    /// When its parent is gone.
    pub(crate) fn place(&self, site: &Site) -> Result<(Dir, Name)> {
        let path = escape::path(&self.home).unwrap_or_default();
        let damaged = || {
            Stop::wrong(
                "/nix/var/nixos-lustrate/state.json names no place for saved files",
                "What was saved cannot be found",
                "Bring it back from a backup",
            )
        };
        let (name, parents) = path.split_last().ok_or_else(damaged)?;
        Ok((site.dir(if parents.is_empty() { &[] } else { parents })?, name.clone()))
    }

    /// What was saved, if it is there and is what was saved.
    pub(crate) fn saved(&self, site: &Site) -> Result<Option<Dir>> {
        let (dir, name) = self.place(site)?;
        let is_it = site.disk.stat(&dir, &name)?.is_some_and(|stat| stat.inode == self.inode);
        if is_it { Ok(site.disk.open(&dir, &[name])?) } else { Ok(None) }
    }
}

/// The list of a place's files before, or after, the boot loader's installer.
#[must_use]
pub(crate) fn list_name(place: &Place, when: &str) -> Name {
    Name::new(format!("{}.{when}", place.flat).as_bytes()).unwrap_or(place.saved.clone())
}

/// Where a place is saved.
///
/// In the root, as `/boot.bak`, where a revert finds it (`exchange/boot.rs`). The copy
/// of a file system of its own is beside the state file, and `/boot.bak` a link to it:
/// in an initrd `/boot` is not mounted, and a revert would let the saved directory
/// change places with the bare mount point, where nobody would find it again.
#[must_use]
pub(crate) fn home(place: &Place) -> Vec<Name> {
    home_of(&place.path, &place.saved, place.kept)
}

fn home_of(path: &RelPath, saved: &Name, kept: Kept) -> Vec<Name> {
    let saved = vec![saved.clone()];
    // A revert knows no other than this one.
    let in_root = *path == RelPath::from(BOOT) && kept != Kept::Mount;
    if in_root { saved } else { [HOME.to_vec(), saved].concat() }
}

/// Where what is saved of a place is to be found, below the root.
#[must_use]
pub(crate) fn saved_at(place: &Place) -> String {
    let linked = link(place).map(|_| place.saved.to_string());
    linked.unwrap_or_else(|| escape::of_path(&home(place)))
}

/// Where the link in the root leads, when what is saved is not there itself.
#[must_use]
pub(crate) fn link(place: &Place) -> Option<Vec<u8>> {
    let home = home(place);
    let mounted = place.kept == Kept::Mount && place.path.is_entry();
    (mounted && ["boot", "efi"].contains(&place.flat.as_str()))
        .then(|| home.iter().map(Name::as_bytes).collect::<Vec<_>>().join(&b'/'))
}

/// The directory of the file system that what is saved of a place is on. The state
/// directory need not be there yet.
fn store(site: &Site, place: &Place) -> Result<Dir> {
    let home = home(place);
    site.dir(home.get(..home.len().min(3) - 1).unwrap_or_default())
}

/// How a place can be saved, or why it cannot. So many bytes are `taken` there.
pub(crate) fn how(
    site: &Site,
    place: &Place,
    files: &Catalog,
    taken: u64,
) -> Result<std::result::Result<SavedHow, Refusal>> {
    if place.kept == Kept::Missing {
        return Ok(Ok(SavedHow::Absent));
    }
    let store = store(site, place)?;
    let (free, room) = (free(site, &store)?, taken + catalog::room(files) + SPARE);
    if room <= free {
        return Ok(Ok(SavedHow::Copy));
    }
    let shown = site.shown_below(place.path.names());
    let store = site.disk.show(&store, None);
    Ok(Err(Refusal::new(
        format!(
            "{shown} holds {} MiB, and {store} has {} MiB free",
            catalog::size(files).div_ceil(1 << 20),
            free >> 20
        ),
        "The boot files of the old system could not be saved",
        match (place.kept, (room - free).div_ceil(1 << 20)) {
            (Kept::Mount, mib) if !installs(site, place) => format!(
                "Free {mib} MiB on the file system of {store}; or, if no boot files are on it: \
                 umount {}",
                word(&shown)
            ),
            (_, mib) => format!("Free {mib} MiB on the file system of {store}"),
        },
    )))
}

/// Whether the boot loader's installer writes there, as far as that is known.
fn installs(site: &Site, place: &Place) -> bool {
    let mut written = site.known.written.iter();
    place.path == RelPath::from(BOOT) || written.any(|path| place.path.covers(path))
}

fn free(site: &Site, dir: &Dir) -> Result<u64> {
    let stat = fstatvfs(dir).map_err(|e| OpError::new("look at", site.disk.show(dir, None), e))?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// The places of which something is saved.
pub(crate) fn noted(state: &State) -> Result<Vec<RelPath>> {
    let saved = state.notes.get(&SAVED)?;
    Ok(saved.keys().filter_map(|key| escape::path(key).and_then(RelPath::new)).collect())
}

/// What hinders, before anything is written.
pub(crate) fn refusals(site: &Site) -> Result<Vec<Refusal>> {
    let mut found = site.wish.written.refusals();
    let mut taken = BTreeMap::new();
    let saved = site.state.notes.get(&SAVED)?;
    for place in site.places()? {
        found.extend(read_only(site, &place)?);
        if saved.contains_key(&place.key()) {
            continue;
        }
        let files = read(site, &place, From::Nowhere)?;
        // Several places may be saved on one file system.
        let store = site.disk.stat_dir(&store(site, &place)?)?.device;
        let before = taken.entry(store).or_insert(0);
        let saved_how = how(site, &place, &files, *before)?;
        *before += catalog::room(&files);
        if let Err(refusal) = saved_how {
            found.push(refusal);
            continue;
        }
        let mut names = vec![home(&place)];
        names.extend(link(&place).map(|_| vec![place.saved.clone()]));
        for path in names {
            let (name, parents) = path.split_last().unwrap_or((&place.saved, &[]));
            let Some(dir) = site.disk.open(&site.root, parents)? else { continue };
            if site.disk.stat(&dir, name)?.is_some() {
                let shown = site.disk.show(&dir, Some(name));
                found.push(Refusal::new(
                    format!("{shown} is there, and nixos-lustrate did not make it"),
                    "The boot files of the old system are to be saved under that name",
                    format!("Rename it: mv {shown} {shown}.older"),
                ));
            }
        }
    }
    Ok(found)
}

/// What of a place nothing can be written to, as its fstab may have it.
fn read_only(site: &Site, place: &Place) -> Result<Vec<Refusal>> {
    let mut found = Vec::new();
    let all = place.nested.iter().map(RelPath::names);
    for below in [&[][..]].into_iter().chain(all).filter(|_| place.kept != Kept::Missing) {
        let path = place.below(below);
        let Some((name, parents)) = path.split_last() else { continue };
        let Some(dir) = site.disk.open(&site.root, parents)? else { continue };
        if site.disk.is_read_only(&dir, name)? {
            let shown = site.disk.show(&dir, Some(name));
            found.push(Refusal::new(
                format!("{shown} is mounted read-only"),
                "The boot loader of NixOS could not be installed on it, nor the old one put back",
                format!("Remount it: mount -o remount,rw {}", word(&shown)),
            ));
        }
    }
    Ok(found)
}

/// The files of a place.
pub(crate) fn read(site: &Site, place: &Place, from: From) -> Result<Catalog> {
    if place.kept == Kept::Missing {
        return Ok(Catalog::new());
    }
    let dir = site.dir(place.path.names())?;
    let skip = (place.kept == Kept::Mount).then_some(&place.saved);
    catalog::read(&site.disk, &dir, skip, from, &site.watch)
}

/// What is mounted on a place, and in it.
#[must_use]
pub(crate) fn mounted(place: &Place) -> Vec<String> {
    let itself = (place.kept == Kept::Mount).then(String::new);
    let nested = place.nested.iter().map(|point| escape::of_path(point.names()));
    itself.into_iter().chain(nested).collect()
}

/// File systems that are mounted otherwise than when the boot files were saved:
/// what is there now would be taken for the boot files, or be emptied with them.
pub(crate) fn unmounted(site: &Site) -> Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    for (name, note) in &site.state.notes.get(&SAVED)? {
        let places = site.places()?;
        let place = places.iter().find(|place| place.key() == *name);
        let there = place.map(mounted).unwrap_or_default();
        let (base, home) = (escape::path(name), escape::path(&note.home).and_then(RelPath::new));
        let base = base.unwrap_or_default();
        let since = there.iter().filter(|point| !note.mounted.contains(point));
        let since = since.filter_map(|point| Some([base.clone(), escape::path(point)?].concat()));
        let inside = site.mounts.iter().map(|mount| &mount.point);
        let inside = inside.filter(|point| home.as_ref().is_some_and(|home| home.covers(point)));
        let new: BTreeSet<_> = since.chain(inside.map(|point| point.names().to_vec())).collect();
        for point in new {
            let Some((dir, at)) = durable::parent(&site.disk, &site.root, &point)? else {
                continue;
            };
            let halt = Halt::mounted(dir.as_fd(), &at.to_c_string());
            refusals.push(halt.refusal(
                "It was none when the boot files were saved, and what is mounted there would have \
                 been taken for them",
            ));
        }
        for point in note.mounted.iter().filter(|point| !there.contains(point)) {
            let path = format!("{}/{name}/{point}", site.base());
            let path = path.trim_end_matches('/');
            refusals.push(Refusal::new(
                format!("{path} was a mount point when the boot files were saved, and is none now"),
                "Other files would be taken for the boot files",
                format!(
                    "Mount the file system there; the old fstab says which: mount DEVICE {path}"
                ),
            ));
        }
    }
    Ok(refusals)
}
