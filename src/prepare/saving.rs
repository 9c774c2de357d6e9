//! How boot files can be saved, and where they are then.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};

use super::catalog::{self, Catalog};
use super::files::From;
use super::follow;
use super::places::{Kept, PLACES, Place, places};
use super::site::Site;
use super::state::HOME;
use super::step::Result;
use super::text;
use crate::error::{OpError, Refusal, Stop};
use crate::fs::disk::Dir;
use crate::fs::name::{Name, RelPath};
use crate::fs::remove::Halt;
use crate::fs::tree::Tree;

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
    /// Something in it was not put back: it stays.
    #[serde(default)]
    pub stays: bool,
}

impl Note {
    /// What no `prepare` can have noted of a place.
    #[must_use]
    pub fn impossible(&self, place: &str) -> Option<String> {
        let names = PLACES.into_iter().find(|(name, _)| name.to_string() == place);
        let Some((name, saved)) = names else { return Some(format!("the place '{place}'")) };
        let at_home = text::path(&self.home).unwrap_or_default();
        let chosen = [Kept::Directory, Kept::Mount]
            .iter()
            .any(|&kept| home_of(&name, &saved, self.how, kept) == at_home);
        if !chosen {
            let home = &self.home;
            return Some(format!("the place '{home}' for saved files"));
        }
        let is_name = |name: &str| text::path(name).is_some_and(|path| path.len() == 1);
        let moved = self.moved.iter().map(|(name, _)| name).find(|name| !is_name(name));
        let mounted = self.mounted.iter().find(|point| text::path(point).is_none());
        moved.or(mounted).map(|path| format!("the path '{path}'"))
    }

    /// The directory that holds what was saved, and its name in it.
    ///
    /// # Errors
    /// When its parent is gone.
    pub fn place(&self, site: &Site) -> Result<(Dir, Name)> {
        let path = text::path(&self.home).unwrap_or_default();
        let damaged = || {
            Stop::changed("/nix/var/nixos-lustrate/state.json names no place for saved files. Bring it back from a backup".to_owned())
        };
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

/// Where a place is saved.
///
/// In the root, as `/boot.bak`, where a revert finds it (`exchange/boot.rs`). What
/// moves stays on its file system. The copy of a file system of its own is beside
/// the state file, and `/boot.bak` a link to it: in an initrd `/boot` is not
/// mounted, and a revert would let the saved directory change places with the bare
/// mount point, where nobody would find it again.
#[must_use]
pub fn home(place: &Place, how: How) -> Vec<Name> {
    home_of(&place.name, &place.saved, how, place.kept)
}

fn home_of(name: &Name, saved: &Name, how: How, kept: Kept) -> Vec<Name> {
    let saved = vec![saved.clone()];
    match (how, kept) {
        (How::Move, Kept::Mount) => [vec![name.clone()], saved].concat(),
        (How::Copy, Kept::Mount) => [HOME.to_vec(), saved].concat(),
        _ => saved,
    }
}

/// Where the link in the root leads, when what is saved is not there itself.
#[must_use]
pub fn link(place: &Place, how: How) -> Option<Vec<u8>> {
    let home = home(place, how);
    let text = home.iter().map(Name::as_bytes).collect::<Vec<_>>().join(&b'/');
    (how == How::Copy && home.len() > 1).then_some(text)
}

/// How a place can be saved, or why it cannot.
///
/// # Errors
/// Any failure of a system call.
pub fn how(
    site: &Site,
    place: &Place,
    files: &Catalog,
) -> Result<std::result::Result<How, Refusal>> {
    if place.kept == Kept::Missing {
        return Ok(Ok(How::Absent));
    }
    let shown = site.disk.show(&site.root, Some(&place.name));
    // The state directory need not be there yet.
    let store = if place.kept == Kept::Mount { &HOME[..2] } else { &[] };
    let (free, room) = (free(site, &site.dir(store)?)?, catalog::room(files) + SPARE);
    if room <= free {
        return Ok(Ok(How::Copy));
    }
    let inner = |path: &[Name]| place.nested.iter().any(|n| path.starts_with(n.names()));
    let nested: Catalog =
        files.iter().filter(|(path, _)| inner(path)).map(|(p, i)| (p.clone(), i.clone())).collect();
    let plain = !place.esp && place.nested.iter().all(RelPath::is_entry);
    let place_free = if place.kept == Kept::Mount {
        self::free(site, &site.dir(std::slice::from_ref(&place.name))?)?
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
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
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
        let how = match how(site, &place, &read(site, &place, From::Nowhere)?)? {
            Err(refusal) => {
                found.push(refusal);
                continue;
            }
            Ok(how) => how,
        };
        let mut names = vec![home(&place, how)];
        names.extend(link(&place, how).map(|_| vec![place.saved.clone()]));
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

/// The files of a place.
///
/// # Errors
/// Any failure of a system call.
pub fn read(site: &Site, place: &Place, from: From) -> Result<Catalog> {
    if place.kept == Kept::Missing {
        return Ok(Catalog::new());
    }
    let dir = site.dir(std::slice::from_ref(&place.name))?;
    let skip = (place.kept == Kept::Mount).then_some(&place.saved);
    catalog::read(&site.disk, &dir, skip, from, &site.watch)
}

/// What is mounted on a place, and in it.
#[must_use]
pub fn mounted(place: &Place) -> Vec<String> {
    let itself = (place.kept == Kept::Mount).then(String::new);
    let nested = place.nested.iter().map(|point| text::of_path(point.names()));
    itself.into_iter().chain(nested).collect()
}

/// File systems that are mounted otherwise than when the boot files were saved:
/// what is there now would be taken for the boot files, or be emptied with them.
///
/// # Errors
/// Any failure of a system call.
pub fn unmounted(site: &Site) -> Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    for (name, note) in &site.state.notes.saved {
        let places = places(&site.disk, &site.root, &site.mounts)?;
        let place = places.iter().find(|place| place.name.to_string() == *name);
        let there = place.map(mounted).unwrap_or_default();
        let (base, home) = (text::path(name), text::path(&note.home).and_then(RelPath::new));
        let base = base.unwrap_or_default();
        let since = there.iter().filter(|point| !note.mounted.contains(point));
        let since = since.filter_map(|point| Some([base.clone(), text::path(point)?].concat()));
        let inside = site.mounts.iter().map(|mount| &mount.point);
        let inside = inside.filter(|point| home.as_ref().is_some_and(|home| home.covers(point)));
        let new: BTreeSet<_> = since.chain(inside.map(|point| point.names().to_vec())).collect();
        for point in new {
            let Some((dir, at)) = follow::parent(&site.disk, &site.root, &point)? else { continue };
            let at = CString::new(at.as_bytes()).unwrap_or_default();
            let (found, mend) =
                Halt::at("look at", dir.as_fd(), &at)(Errno::EXDEV).said_with_source();
            refusals.push(Refusal::new(
                found,
                "It was none when the boot files were saved, and what is mounted there would have \
                 been taken for them",
                mend.unwrap_or_default(),
            ));
        }
        for point in note.mounted.iter().filter(|point| !there.contains(point)) {
            let root = site.shown.trim_end_matches('/');
            let path = format!("{root}/{name}/{point}");
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
