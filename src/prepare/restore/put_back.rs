//! Puts single files back, each in one step.

use nix::errno::Errno;

use super::super::catalog::{Catalog, Item};
use super::super::durable::{self, From, remove, set_metadata, temporary};
use super::super::escape;
use super::super::places::Place;
use super::super::saving::saved_at;
use super::super::site::Site;
use super::super::step::Result;
use super::Order;
use crate::error::Stop;
use crate::fs::disk::Dir;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;

/// A place that is put back.
pub(super) struct PutBack<'a> {
    pub(super) site: &'a Site,
    pub(super) place: &'a Place,
    pub(super) dir: &'a Dir,
    pub(super) saved: Option<&'a Dir>,
    pub(super) way: Order,
}

impl PutBack<'_> {
    pub(super) fn show(&self, path: &[Name]) -> String {
        format!("{}/{}", self.site.disk.show(self.dir, None), escape::of_path(path))
    }

    fn parent<'a>(&self, dir: &Dir, path: &'a [Name]) -> Result<Option<(Dir, &'a Name)>> {
        let Some((name, parents)) = path.split_last() else { return Ok(None) };
        Ok(self.site.disk.open(dir, parents)?.map(|dir| (dir, name)))
    }

    pub(super) fn file(&self, path: &[Name], item: &Item, there: Option<&[Name]>) -> Result<()> {
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
        if let Some((there, _)) = &now
            && self.way == Order::InItsPlace
        {
            remove(disk, &dir, there, &self.site.watch)?;
        }
        if let Some(target) = &item.target {
            disk.make_link(&dir, &part, target, &stat)?;
        } else {
            durable::copy(disk, (&source, name), (&dir, &part), &stat, &self.site.watch)?;
            let hash = durable::hash(disk, &dir, &part, From::Disk, &self.site.watch)?;
            if item.hash != Some(hash) {
                disk.remove_file(&dir, &part)?;
                return Err(self.lost(path));
            }
        }
        if let Some((there, stat)) = now
            && (stat.kind == Kind::Dir || there != name)
        {
            remove(disk, &dir, there, &self.site.watch)?;
        }
        disk.replace((&dir, &part), (&dir, name))?;
        Ok(disk.sync(&dir)?)
    }

    fn lost(&self, path: &[Name]) -> Stop {
        Stop::wrong(
            format!("{} cannot be put back", self.show(path)),
            format!("What was saved of it in /{} is missing or damaged", saved_at(self.place)),
            "Bring it back by hand, for example by installing the old system's kernel and boot \
             loader again",
        )
    }

    pub(super) fn metadata(&self, path: &[Name], item: &Item) -> Result<()> {
        let Some((dir, name)) = self.parent(self.dir, path)? else { return Ok(()) };
        match self.site.disk.stat(&dir, name)? {
            Some(stat) => set_metadata(&self.site.disk, &dir, name, &item.stat(&stat)),
            None => Ok(()),
        }
    }

    pub(super) fn take_away(&self, path: &[Name], item: &Item) -> Result<()> {
        let Some((dir, name)) = self.parent(self.dir, path)? else { return Ok(()) };
        if item.kind != Kind::Dir {
            return Ok(self.site.disk.remove_file(&dir, name)?);
        }
        match self.site.disk.remove_dir(&dir, name) {
            // Something of somebody else's is in it, or it is mounted.
            Err(e) if matches!(e.errno(), Errno::ENOTEMPTY | Errno::EBUSY) => Ok(()),
            done => Ok(done?),
        }
    }

    pub(super) fn take_away_place(&self) -> Result<()> {
        let parent = self.site.dir(self.place.path.parents())?;
        match self.site.disk.remove_dir(&parent, self.place.path.last()) {
            Err(e) if matches!(e.errno(), Errno::ENOTEMPTY | Errno::EBUSY) => Ok(()),
            done => Ok(done?),
        }
    }

    /// The times of directories, once nothing comes or goes in them any more.
    pub(super) fn times(&self, before: &Catalog) -> Result<()> {
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
