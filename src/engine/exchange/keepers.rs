//! Nested keepers: each is renamed from its place in the population that goes
//! out to the same place in the one that comes in (I1: never copied).

use super::coming::Opened;
use super::{Coming, Exchange, Population, Result};
use crate::engine::names::{BOOT_BAK, COPIES, ETC, MAKING};
use crate::error::Stop;
use crate::fs::name::{Name, RelPath};
use crate::fs::tree::{Moved, Stat, Tree};

impl<T: Tree> Exchange<'_, T> {
    /// Collects the keepers, and recreates the links on the way to them.
    pub(super) fn collect(&mut self, out: Population, coming: Population) -> Result<()> {
        let mut open: Option<(Vec<Name>, Pair<T::Dir>)> = None;
        for at in 0..self.intent.keepers.len() {
            let keeper = self.intent.keepers[at].clone();
            if coming == Population::Old && *keeper.entry() == BOOT_BAK && self.has_old_boot()? {
                continue; // that name means another directory by now
            }
            // Neighbours in the sorted list mostly share their directories.
            let pair = match open.take() {
                // Each entry of the root may be somewhere else.
                Some((parents, pair)) if !keeper.is_entry() && parents == keeper.parents() => {
                    Ok(Some(pair))
                }
                _ => self.open_pair(&keeper, out, coming),
            };
            let collected = pair.and_then(|pair| {
                if let Some(pair) = pair {
                    open = Some((keeper.parents().to_vec(), pair));
                }
                open.as_ref().map_or(Ok(()), |(_, pair)| self.collect_one(&keeper, pair))
            });
            match collected {
                // A revert that is turned round had left it here.
                Err(Stop::Root(_)) if coming == Population::New => {
                    self.note(format!("'{keeper}' is there; the other one stays in the old root"));
                }
                Err(stop) => {
                    let why = self.tolerated(stop)?;
                    self.not_back(&keeper, &why);
                }
                Ok(()) => {}
            }
        }
        if coming == Population::New && self.coming != Coming::Made {
            self.recreate_links()?;
        }
        Ok(())
    }

    pub(super) fn recreate_links(&mut self) -> Result<()> {
        for at in 0..self.intent.links.len() {
            let link = self.intent.links[at].clone();
            self.recreate(&link)?;
        }
        Ok(())
    }

    /// The directory that a keeper leaves and the one that it goes to; `None`
    /// when there is nothing to collect.
    fn open_pair(
        &mut self,
        keeper: &RelPath,
        out: Population,
        coming: Population,
    ) -> Result<Option<Pair<T::Dir>>> {
        // A copy that the stock function made of an entry does not go back to
        // where the original is.
        let original = |entry| Ok::<_, Stop>(self.holder(Population::Old, entry)?.is_some());
        if keeper.is_entry() && coming == Population::Old && original(keeper.entry())? {
            return Ok(None);
        }
        // When a revert is turned round, it may have stayed, and by hand somebody has put
        // another into the old root.
        let here = coming == Population::New && keeper.is_entry() && self.is_staged(keeper.entry());
        if here && self.tree.stat(self.root, keeper.entry())?.is_some() {
            return Ok(None);
        }
        let Some(holder) = self.holder(out, keeper.entry())? else { return Ok(None) };
        let Some(from) = self.tree.open(holder, keeper.parents())? else { return Ok(None) };
        if self.coming != Coming::Made {
            if self.tree.stat(&from, keeper.last())?.is_none() {
                return Ok(None);
            }
            if coming == Population::New {
                self.make_parents(keeper.parents())?;
            }
        }
        let to = match self.holder(coming, keeper.entry())? {
            // An entry of the root goes home, and is installed from there.
            _ if keeper.is_entry() => self.tree.open(self.home(coming), &[])?,
            Some(holder) => self.tree.open(holder, keeper.parents())?,
            None => None,
        };
        let Some(to) = to else {
            self.not_back(keeper, "its place is gone");
            return Ok(None);
        };
        let times = self.tree.stat_dir(&to)?;
        Ok(Some(Pair { from, to, times }))
    }

    fn collect_one(&mut self, keeper: &RelPath, pair: &Pair<T::Dir>) -> Result<()> {
        let name = keeper.last();
        if self.rename((&pair.from, name), (&pair.to, name))? == Moved::Done {
            self.done.keepers += 1;
            // The new parents have the times of the originals.
            if let Err(error) = self.tree.set_times(&pair.to, &pair.times) {
                let why = self.tolerated(error.into())?;
                self.note(format!("the directory of '{keeper}' has new times: {why}"));
            }
        }
        Ok(())
    }

    /// Makes the missing directories of `path` in the new population, with the
    /// owner, mode, attributes and times of those in the old one.
    pub(super) fn make_parents(&mut self, path: &[Name]) -> Result<()> {
        let Some(entry) = path.first() else { return Ok(()) };
        let tree = self.tree;
        if let Some(holder) = self.holder(Population::New, entry)?
            && tree.open(holder, path)?.is_some()
        {
            return Ok(());
        }
        tree.remove_dir(&self.meta, &MAKING)?;
        self.make_below(path, 0, Opened { new: None, old: None }).map(drop)
    }

    /// Makes a symbolic link in the new population like the one in the old.
    fn recreate(&mut self, link: &RelPath) -> Result<()> {
        let tree = self.tree;
        let Some(holder) = self.holder(Population::Old, link.entry())? else { return Ok(()) };
        let at_root = link.is_entry();
        let opened = if at_root { None } else { tree.open(holder, link.parents())? };
        if opened.is_none() && !at_root {
            return Ok(());
        }
        let from = opened.as_ref().unwrap_or(holder);
        let Some(like) = tree.stat(from, link.last())? else { return Ok(()) };
        let begun = self.coming == Coming::Unknown;
        if begun && at_root && self.holder(Population::New, link.last())?.is_some() {
            return Ok(());
        }
        let target = tree.read_link(from, link.last())?;
        self.make_parents(link.parents())?;
        let holder = self.holder(Population::New, link.entry())?.unwrap_or(&self.incoming);
        let opened = if at_root { None } else { tree.open(holder, link.parents())? };
        let to = opened.as_ref().unwrap_or(holder);
        if tree.stat(to, link.last())?.is_none() {
            let times = tree.stat_dir(to)?;
            tree.remove_file(&self.meta, &MAKING)?;
            tree.make_link(&self.meta, &MAKING, &target, &like)?;
            self.rename((&self.meta, &MAKING), (to, link.last()))?;
            tree.set_times(to, &times)?;
        }
        Ok(())
    }

    /// What an interrupted stock lustration had copied back goes aside: the
    /// originals come.
    pub(super) fn set_copies_aside(&mut self) -> Result<()> {
        if self.intent.copies.is_empty() {
            return Ok(());
        }
        self.tree.make_dir(&self.meta, &COPIES, 0o700)?;
        let Some(copies) = self.tree.open(&self.meta, &[COPIES])? else { return Ok(()) };
        for name in &self.intent.copies {
            // Aside already: what has the name now is the new population's.
            if self.tree.stat(&copies, name)?.is_some() {
                continue;
            }
            if *name == ETC {
                if let Some(place) = self.etc_holder(Population::New)? {
                    self.rename((self.place(place), name), (&copies, name))?;
                }
                continue;
            }
            let in_root = self.staged.binary_search(name).is_ok();
            let from = [(in_root, self.root), (true, &self.incoming)];
            for (_, dir) in from.into_iter().filter(|(may, _)| *may) {
                if self.rename((dir, name), (&copies, name))? == Moved::Done {
                    break;
                }
            }
        }
        Ok(())
    }
}

struct Pair<D> {
    from: D,
    to: D,
    times: Stat,
}
