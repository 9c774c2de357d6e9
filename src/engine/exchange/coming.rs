//! What the new population needs before anything moves: the directories of nested
//! keepers, the links on the way to them, an `etc` with a marker. All of it is made in
//! the draft, which is thrown away unless it is whole, so each in its place, and once.

use super::marker::content;
use super::{Coming, Exchange, Population, Result, open};
use crate::engine::intent::Intent;
use crate::engine::names::{ETC, MAKING, MARKER, NIXOS};
use crate::error::Stop;
use crate::fs::name::{Name, RelPath, Shown, joined};
use crate::fs::tree::Tree;

/// How far a path has been opened in each population.
pub(super) struct Opened<D> {
    pub new: Option<D>,
    pub old: Option<D>,
}

impl<T: Tree> Exchange<'_, T> {
    /// Makes all of it.
    pub(super) fn make_coming(&mut self) -> Result<()> {
        let directories = directories(&self.intent);
        self.make_directories(&directories)?;
        self.recreate_links()?;
        if self.intent.pin(&ETC).is_some() {
            return Ok(());
        }
        let etc = open(self.tree, &self.incoming, &ETC)?;
        // Of an earlier NixOS it may be a keeper, and comes by itself.
        if !self.intent.keepers.iter().any(|keeper| *keeper.names() == [ETC, NIXOS]) {
            self.tree.make_empty(&etc, &NIXOS)?;
        }
        self.tree.make_empty(&etc, &MARKER)?;
        self.tree.fill(&etc, &MARKER, content(self.intent.direction))?;
        Ok(())
    }

    /// Makes directories like those of the old population; with few descriptors,
    /// whatever the depth.
    fn make_directories(&mut self, paths: &[RelPath]) -> Result<()> {
        let mut opened = Opened { new: None, old: None };
        let mut last: &[Name] = &[];
        for path in paths {
            let path = path.names();
            let shared = last.iter().zip(path).take_while(|(a, b)| a == b).count();
            if shared < last.len() {
                opened = Opened { new: None, old: None };
                if let (upper @ [entry, ..], _) = path.split_at(shared) {
                    let open = |population| match self.holder(population, entry)? {
                        Some(holder) => Ok(self.tree.open(holder, upper)?),
                        None => Ok::<_, Stop>(None),
                    };
                    opened = Opened { new: open(Population::New)?, old: open(Population::Old)? };
                }
            }
            opened = self.make_below(path, shared, opened)?;
            last = path;
        }
        Ok(())
    }

    /// Makes the directories of `path` from a depth on, below the one that is opened
    /// in each population.
    pub(super) fn make_below(
        &mut self,
        path: &[Name],
        depth: usize,
        Opened { new: mut at, old: mut original }: Opened<T::Dir>,
    ) -> Result<Opened<T::Dir>> {
        let (tree, drafts) = (self.tree, self.coming == Coming::Making);
        let mut notes = Vec::new();
        for (depth, name) in path.iter().enumerate().skip(depth) {
            let (part, top) = (std::slice::from_ref(name), path.get(..1).filter(|_| depth == 0));
            // A directory that the old population has not has none below it, either.
            let old = top.map_or(Ok(None), |top| self.holder(Population::Old, &top[0]))?;
            original = match original.as_ref().or(old) {
                Some(original) => tree.open(original, part)?,
                None => None,
            };
            let new = top.map_or(Ok(None), |top| self.holder(Population::New, &top[0]))?;
            let parent = at.as_ref().or(new).unwrap_or(&self.incoming);
            if !drafts && let Some(there) = tree.open(parent, part)? {
                at = Some(there);
                continue;
            }
            // Nobody asks for those of the draft itself.
            let times = if drafts && depth == 0 { None } else { Some(tree.stat_dir(parent)?) };
            // Made apart and then renamed: a directory that is there has its owner and
            // mode, also after a power cut in between. A draft is not there yet.
            let (dir, made) = if drafts { (parent, name) } else { (&self.meta, &MAKING) };
            tree.make_dir(dir, made, 0o755)?;
            let made = open(tree, dir, made)?;
            let failed = tree.copy_metadata(original.as_ref().unwrap_or(self.root), &made)?;
            if !drafts {
                self.rename((dir, &MAKING), (parent, name))?;
            }
            if let Some(times) = times {
                tree.set_times(parent, &times)?;
            }
            for attribute in failed {
                let path = joined(&path[..=depth]);
                let path = Shown(&path);
                notes.push(format!("the attribute {attribute} could not be set on '{path}'"));
            }
            at = Some(made);
        }
        self.done.notes.extend(notes);
        Ok(Opened { new: at, old: original })
    }
}

/// The directories that have to be there, those that hold others first.
fn directories(intent: &Intent) -> Vec<RelPath> {
    let mut paths = Vec::new();
    for path in intent.keepers.iter().chain(&intent.links) {
        paths.extend(RelPath::new(path.parents().to_vec()));
    }
    if intent.pin(&ETC).is_none() {
        paths.push(ETC.into());
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}
