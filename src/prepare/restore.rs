//! The boot files as they were: what was replaced or removed comes back, and what
//! is new goes, as far as the boot loader's installer did it. What somebody else
//! changed since, an update of the old system for example, stays.

use std::collections::BTreeMap;

use super::catalog::{self, Catalog, Item, Path};
use super::files::{self, From, remove, set_metadata, temporary};
use super::places::{Kept, Place};
use super::site::Site;
use super::step::Result;
use super::steps::save::{How, Note, list_name};
use super::text;
use super::watch::Unit;
use crate::disk::Dir;
use crate::error::Stop;
use crate::name::Name;
use crate::sys::Kind;
use crate::tree::Tree;

/// What a place is compared with.
struct Lists {
    before: Catalog,
    /// What the installer left; unknown when it was interrupted.
    after: Option<Catalog>,
    now: Catalog,
    /// The path that a file has on vfat, where another case is the same file.
    folded: BTreeMap<Vec<u8>, Path>,
}

fn fold(path: &[Name]) -> Vec<u8> {
    path.iter().map(|name| name.as_bytes().to_ascii_lowercase()).collect::<Vec<_>>().join(&b'/')
}

impl Lists {
    fn new(before: Catalog, after: Option<Catalog>, now: Catalog) -> Self {
        let vfat = now.iter().filter(|(_, item)| item.vfat);
        let folded = vfat.map(|(path, _)| (fold(path), path.clone())).collect();
        Self { before, after, now, folded }
    }

    /// The file that is there now under a path.
    fn now(&self, path: &[Name], vfat: bool) -> Option<(&[Name], &Item)> {
        let other = || self.folded.get(&fold(path)).filter(|_| vfat);
        let found = self.now.get_key_value(path).or_else(|| self.now.get_key_value(other()?));
        found.map(|(path, item)| (path.as_slice(), item))
    }

    /// Whether what is there now is not what the installer left.
    fn is_of_others(&self, path: &[Name], now: Option<&Item>) -> bool {
        let Some(after) = &self.after else { return false };
        match (after.get(path), now) {
            (Some(left), Some(now)) => !left.same_content(now),
            (None, None) => false,
            _ => true,
        }
    }

    /// Whether a path was there before.
    fn was_there(&self, path: &[Name], vfat: bool) -> bool {
        let same = |known: &Path| vfat && fold(known) == fold(path);
        self.before.contains_key(path) || (vfat && self.before.keys().any(same))
    }
}

/// Configurations come back after the files that they name.
fn rank(path: &[Name], item: &Item) -> u8 {
    let end = path.last().map_or(&b""[..], Name::as_bytes);
    match item.kind {
        Kind::Dir => 0,
        _ if end.ends_with(b".cfg") || end.ends_with(b".conf") => 2,
        _ => 1,
    }
}

/// Puts the boot files of a place back. What stays as it is comes back, in
/// sentences.
///
/// # Errors
/// Any failure of a system call; or a saved file is missing or damaged.
pub fn restore(site: &Site, place: &Place, note: &Note) -> Result<Vec<String>> {
    give_back(site, place, note)?;
    let boot = site.disk.stat(&site.root, &place.name)?;
    let home = site.home()?;
    let before = match note.how {
        How::Absent => Catalog::new(),
        _ => catalog::load(&site.disk, home, &list_name(place, "before"))?,
    };
    if place.kept == Kept::Missing || boot.is_none() {
        return Ok(Vec::new());
    }
    let dir = site.dir(&[place.name.clone()])?;
    let after = list_name(place, "after");
    let after =
        if site.state.notes.listed { Some(catalog::load(&site.disk, home, &after)?) } else { None };
    let skip = (place.kept == Kept::Mount).then_some(&place.saved);
    site.watch.begin("Comparing the boot files", Unit::Bytes, None);
    let now = catalog::read(&site.disk, &dir, skip, From::Cache, &site.watch)?;
    site.watch.end();
    let lists = Lists::new(before, after, now);
    let saved = note.saved(site)?;
    let mut rest = Vec::new();
    let mut old: Vec<_> = lists.before.iter().filter(|(path, _)| !path.is_empty()).collect();
    old.sort_by_key(|(path, item)| rank(path, item));
    let put_back = PutBack { site, place, dir: &dir, saved: saved.as_ref() };
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
    // What is in a directory before the directory.
    for (path, item) in lists.now.iter().rev().filter(|(path, _)| !path.is_empty()) {
        if lists.was_there(path, item.vfat) {
            continue;
        }
        if lists.is_of_others(path, Some(item)) {
            rest.push(format!(
                "{} was made since by somebody else, and stays",
                put_back.show(path)
            ));
        } else {
            put_back.take_away(path, item)?;
        }
    }
    put_back.times(&lists.before)?;
    if note.how == How::Absent {
        put_back.take_away_place()?;
    }
    Ok(rest)
}

struct PutBack<'a> {
    site: &'a Site,
    place: &'a Place,
    dir: &'a Dir,
    saved: Option<&'a Dir>,
}

impl PutBack<'_> {
    fn show(&self, path: &[Name]) -> String {
        format!("{}/{}", self.site.disk.show(self.dir, None), text::of_path(path))
    }

    fn parent<'a>(&self, dir: &Dir, path: &'a [Name]) -> Result<Option<(Dir, &'a Name)>> {
        let Some((name, parents)) = path.split_last() else { return Ok(None) };
        Ok(self.site.disk.open(dir, parents)?.map(|dir| (dir, name)))
    }

    fn file(&self, path: &[Name], item: &Item, there: Option<&[Name]>) -> Result<()> {
        let disk = &self.site.disk;
        let Some((dir, name)) = self.parent(self.dir, path)? else { return Err(self.lost(path)) };
        if item.kind == Kind::Special {
            return Ok(());
        }
        let now = match there.and_then(<[Name]>::last) {
            Some(there) => disk.stat(&dir, there)?.map(|stat| (there, stat)),
            None => None,
        };
        if item.kind == Kind::Dir {
            if let Some((there, _)) = now.filter(|(_, stat)| stat.kind != Kind::Dir) {
                disk.remove_file(&dir, there)?;
            }
            disk.make_dir(&dir, name, item.mode)?;
            return self.metadata(path, item);
        }
        let part = temporary(name);
        remove(disk, &dir, &part, &self.site.watch)?;
        let saved = self.saved.ok_or_else(|| self.lost(path))?;
        let Some((source, _)) = self.parent(saved, path)? else { return Err(self.lost(path)) };
        let stat = disk.stat(&source, name)?.filter(|stat| stat.kind == item.kind);
        let stat = item.stat(&stat.ok_or_else(|| self.lost(path))?);
        if let Some(target) = &item.target {
            disk.make_link(&dir, &part, target, &stat)?;
        } else {
            files::copy(disk, (&source, name), (&dir, &part), &stat, &self.site.watch)?;
            let hash = files::hash(disk, &dir, &part, From::Disk, &self.site.watch)?;
            if item.hash != Some(hash) {
                disk.remove_file(&dir, &part)?;
                return Err(self.lost(path));
            }
        }
        if let Some((there, stat)) = now {
            if stat.kind == Kind::Dir || there != name {
                remove(disk, &dir, there, &self.site.watch)?;
            }
        }
        disk.replace((&dir, &part), (&dir, name))?;
        Ok(disk.sync(&dir)?)
    }

    fn lost(&self, path: &[Name]) -> Stop {
        Stop::changed(format!(
            "{} cannot be put back: what was saved of it in /{} is missing or damaged. Bring it \
             back by hand, for example by installing the old system's kernel and boot loader again",
            self.show(path),
            self.place.saved
        ))
    }

    fn metadata(&self, path: &[Name], item: &Item) -> Result<()> {
        let Some((dir, name)) = self.parent(self.dir, path)? else { return Ok(()) };
        match self.site.disk.stat(&dir, name)? {
            Some(stat) => set_metadata(&self.site.disk, &dir, name, &item.stat(&stat)),
            None => Ok(()),
        }
    }

    fn take_away(&self, path: &[Name], item: &Item) -> Result<()> {
        let Some((dir, name)) = self.parent(self.dir, path)? else { return Ok(()) };
        if item.kind != Kind::Dir {
            return Ok(self.site.disk.remove_file(&dir, name)?);
        }
        match self.site.disk.remove_dir(&dir, name) {
            // Something of somebody else's is in it, or it is mounted.
            Err(e)
                if matches!(e.errno(), nix::errno::Errno::ENOTEMPTY | nix::errno::Errno::EBUSY) =>
            {
                Ok(())
            }
            done => Ok(done?),
        }
    }

    fn take_away_place(&self) -> Result<()> {
        match self.site.disk.remove_dir(&self.site.root, &self.place.name) {
            Err(e)
                if matches!(e.errno(), nix::errno::Errno::ENOTEMPTY | nix::errno::Errno::EBUSY) =>
            {
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// The times of directories, once nothing comes or goes in them any more.
    fn times(&self, before: &Catalog) -> Result<()> {
        self.site.disk.sync(self.dir)?;
        for (path, item) in
            before.iter().rev().filter(|(_, item)| item.kind == Kind::Dir && !item.vfat)
        {
            let Some(dir) = self.site.disk.open(self.dir, path)? else { continue };
            let now = self.site.disk.stat_dir(&dir)?;
            if now.modified != item.modified {
                self.site.disk.set_times(&dir, &item.stat(&now))?;
            }
        }
        Ok(self.site.disk.sync(self.dir)?)
    }
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
    let dir = site.dir(&[place.name.clone()])?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn item(content: u8, vfat: bool) -> Item {
        Item {
            kind: Kind::File,
            mode: 0o644,
            owner: (0, 0),
            modified: (0, 0),
            hash: Some([content; 32]),
            target: None,
            inode: 1,
            size: 1,
            vfat,
        }
    }

    fn catalog(files: &[(&str, u8)], vfat: bool) -> Catalog {
        let path = |text: &str| text::path(text).expect("a path");
        files.iter().map(|(name, content)| (path(name), item(*content, vfat))).collect()
    }

    #[test]
    fn on_vfat_another_case_is_the_same_file() {
        for vfat in [true, false] {
            let before = catalog(&[("EFI/BOOT/BOOTX64.EFI", 1)], vfat);
            let now = catalog(&[("EFI/Boot/bootx64.efi", 2), ("EFI/nixos/k.efi", 3)], vfat);
            let lists = Lists::new(before, None, now);
            let old = text::path("EFI/BOOT/BOOTX64.EFI").expect("a path");
            let new = text::path("EFI/Boot/bootx64.efi").expect("a path");
            assert_eq!(lists.now(&old, vfat).is_some(), vfat);
            // It must not be removed as something new.
            assert_eq!(lists.was_there(&new, vfat), vfat);
            assert!(!lists.was_there(&text::path("EFI/nixos/k.efi").expect("a path"), vfat));
        }
    }

    #[test]
    fn what_differs_from_what_the_installer_left_is_of_others() {
        let after = catalog(&[("kept", 1), ("replaced", 2)], false);
        let lists = |after| Lists::new(Catalog::new(), after, Catalog::new());
        let path = |text: &str| text::path(text).expect("a path");
        let known = lists(Some(after));
        assert!(!known.is_of_others(&path("replaced"), Some(&item(2, false))));
        assert!(known.is_of_others(&path("replaced"), Some(&item(3, false))));
        assert!(known.is_of_others(&path("kept"), None), "removed by somebody");
        assert!(known.is_of_others(&path("new"), Some(&item(4, false))));
        assert!(!known.is_of_others(&path("gone"), None), "removed by the installer");
        // Interrupted: whatever there is was the installer's.
        assert!(!lists(None).is_of_others(&path("new"), Some(&item(4, false))));
    }

    #[test]
    fn configurations_come_back_last() {
        let rank = |path: &str| super::rank(&text::path(path).expect("a path"), &item(1, false));
        assert!(rank("grub/grub.cfg") > rank("vmlinuz"));
        assert!(rank("loader/entries/x.conf") > rank("grub/i386-pc/normal.mod"));
    }
}
