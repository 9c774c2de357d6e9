//! What the new population needs before anything moves: the directories of nested
//! keepers, the links on the way to them, an `etc` with a marker. All of it is made in
//! the draft, which is thrown away unless it is whole, so each in its place, and once.

use super::marker::content;
use super::{Exchange, Population, Result, open};
use crate::engine::intent::Intent;
use crate::engine::names::{ETC, MARKER, NIXOS};
use crate::fs::name::{Name, Shown, joined};
use crate::fs::tree::Tree;

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
    fn make_directories(&mut self, paths: &[Vec<Name>]) -> Result<()> {
        let tree = self.tree;
        let (mut at, mut original): (Option<T::Dir>, Option<T::Dir>) = (None, None);
        let mut last: &[Name] = &[];
        for path in paths {
            let shared = last.iter().zip(path).take_while(|(a, b)| a == b).count();
            if shared < last.len() {
                let (there, _) = path.split_at(shared);
                at = if shared > 0 { tree.open(&self.incoming, there)? } else { None };
                original = if shared > 0 { tree.open(self.old_holder(path), there)? } else { None };
            }
            for (depth, name) in path.iter().enumerate().skip(shared) {
                let part = std::slice::from_ref(name);
                // A directory that the old population has not has none below it, either.
                original = match &original {
                    Some(original) => tree.open(original, part)?,
                    None if depth == 0 => tree.open(self.old_holder(path), part)?,
                    None => None,
                };
                let parent = at.as_ref().unwrap_or(&self.incoming);
                // Each gets the times of the original; the draft has none to lose.
                let times = at.as_ref().map(|at| tree.stat_dir(at)).transpose()?;
                tree.make_dir(parent, name, 0o755)?;
                let made = open(tree, parent, name)?;
                let failed = tree.copy_metadata(original.as_ref().unwrap_or(self.root), &made)?;
                if let Some(times) = times {
                    tree.set_times(parent, &times)?;
                }
                let (upper, _) = path.split_at(depth + 1);
                self.done.notes.extend(failed.iter().map(|name| not_set(name, upper)));
                at = Some(made);
            }
            last = path;
        }
        Ok(())
    }

    fn old_holder(&self, path: &[Name]) -> &T::Dir {
        path.first().map_or(self.root, |entry| self.settled(Population::Old, entry))
    }
}

/// An attribute that a directory has not.
pub(super) fn not_set(attribute: &str, path: &[Name]) -> String {
    format!("the attribute {attribute} could not be set on '{}'", Shown(&joined(path)))
}

/// The directories that have to be there, those that hold others first.
fn directories(intent: &Intent) -> Vec<Vec<Name>> {
    let below = intent.keepers.iter().chain(&intent.links);
    let mut paths: Vec<_> = below.map(|path| path.parents().to_vec()).collect();
    if intent.pin(&ETC).is_none() {
        paths.push(vec![ETC]);
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}
