//! What must be true of a root at every instant (I1, I2, I5), and what an
//! exchange must have come to in the end, however often it was interrupted
//! (I3, I4).

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::compare::{Excuse, assert_none, show};
use crate::common::manifest::{Id, Manifest, join, parent};
use crate::common::population::{assert_nothing_lost, assert_protected};
use crate::common::sys::seccomp::Lack;
use crate::outcome::{given_back, record};
use crate::scene::{Scene, Verb, has_marker};

pub const STAGING: &[u8] = b"old-root.tmp";
pub const LEAVING: &[u8] = b"nixos-root.tmp";
const OLD_ROOT: &[u8] = b"old-root";

/// Whether an exchange is in progress.
pub fn in_progress(now: &Manifest) -> bool {
    now.get(STAGING).is_some() || now.get(LEAVING).is_some()
}

impl Scene {
    /// What may differ in the middle: flags that hinder, times of directories
    /// that something left or came to, and our own notes.
    pub fn half_done(&self) -> Excuse {
        let moved = self.tree.outcome.moved_paths();
        let in_homes =
            [OLD_ROOT, b"nixos-root"].map(|home| moved.iter().map(move |p| join(home, p)));
        let in_homes: Vec<Vec<u8>> = in_homes.into_iter().flatten().collect();
        let in_homes: Vec<&[u8]> = in_homes.iter().map(Vec::as_slice).collect();
        let excuse = self.tree.outcome.half_done().parents_of(&in_homes);
        excuse.touched(OLD_ROOT).touched(b"old-root/etc").below(b"old-root/.lustrate")
    }

    /// The directories on the way to keepers, made anew in the new population.
    pub fn above_keepers(&self) -> BTreeSet<&'static [u8]> {
        let mut above = BTreeSet::new();
        for path in self.tree.outcome.moved_paths() {
            let mut at = parent(path);
            while !at.is_empty() {
                above.insert(at);
                at = parent(at);
            }
        }
        above
    }

    /// All that may not be lost; the home of the old population itself is ours.
    pub fn held(&self) -> Manifest {
        let mut held = self.before.clone();
        held.nodes.remove(STAGING);
        if self.verb == Verb::Revert {
            held.nodes.remove(OLD_ROOT);
        }
        held
    }

    /// Panics unless a half-done tree has everything, and a marker.
    #[track_caller]
    pub fn assert_half_done(&self, now: &Manifest, root: &Path, lack: Option<Lack>) {
        assert_nothing_lost(&self.held(), now, &self.half_done());
        assert_protected(&self.before, now, self.tree.protected);
        // Without an exchange of two files, there is a moment without; after a stock
        // lustration there is no etc at first.
        let away = in_progress(&self.before) && now.get(b"etc").is_none();
        let armed = has_marker(root) || away || lack == Some(Lack::RenameFlags);
        assert!(armed || !in_progress(now), "I5: in progress, and no marker in etc");
        let begun = self.verb == Verb::Run && now.get(OLD_ROOT).map(|n| n.id) == self.old_root();
        assert!(armed || !begun, "I5: not committed, and no marker in etc");
    }

    fn old_root(&self) -> Option<Id> {
        self.before.get(OLD_ROOT).map(|n| n.id)
    }

    /// Panics unless the tree is the one that an undisturbed command leaves.
    #[track_caller]
    pub fn assert_done(&self, now: &Manifest, root: &Path) {
        self.assert_done_but_for(now, root, &[]);
    }

    /// The same; lines with one of these texts do not count.
    #[track_caller]
    pub fn assert_done_but_for(&self, now: &Manifest, root: &Path, texts: &[&str]) {
        let what = format!("not what an undisturbed {} leaves", self.verb.name());
        let counts = |line: &String| texts.iter().all(|text| !line.contains(text));
        let mut list = self.differences(&self.done, now);
        list.retain(counts);
        assert_none(&what, &list);
        let mut record = record(root, self.verb);
        record.retain(counts);
        assert_eq!(record, self.record, "another record");
    }

    /// What the record notes, and that of an undisturbed command does not; and what is
    /// only said, since the record was written before.
    pub fn notes(&self, root: &Path, said: &str) -> Vec<String> {
        let lines = record(root, self.verb);
        let new = lines.iter().filter(|line| !self.record.contains(line));
        let told = new.filter_map(|line| line.strip_prefix("warning "));
        let told = told.map(|note| note.replace("\\x20", " "));
        let late = said.lines().filter(|line| line.contains("' keeps its name: "));
        told.chain(late.map(str::to_owned)).collect()
    }

    /// Panics unless nothing but the files that these notes name, each in quotes, is
    /// where an undisturbed command would not leave it.
    #[track_caller]
    pub fn assert_done_but_for_noted(&self, now: &Manifest, root: &Path, notes: &[String]) {
        let named = |path: &str| {
            let quoted = notes.iter().flat_map(|note| note.split('\'').skip(1).step_by(2));
            let homes = ["", "nixos-root/", "nixos-root/.lustrate/left/"];
            // With the name that it has, or should have, without the date.
            let both = quoted.flat_map(|name| [Some(name), name.rsplit_once('-').map(|n| n.0)]);
            both.flatten().any(|name| {
                homes.iter().filter_map(|home| path.strip_prefix(home)).any(|path| {
                    path.strip_prefix(name)
                        .is_some_and(|rest| matches!(rest.get(..1), None | Some("/")))
                })
            })
        };
        let mut list = self.differences(&self.done, now);
        list.retain(|line| {
            let (path, what) = line.split_once(": ").expect("a path and what differs");
            let made = path == "nixos-root/.lustrate/left";
            !named(path) && !made && !what.starts_with("link count ")
        });
        assert_none(&format!("more than what is noted: {notes:?}"), &list);
        let mut record = record(root, self.verb);
        record.retain(|line| {
            let tells = line.starts_with("warning ") || line.starts_with("aside ");
            !tells || self.record.contains(line)
        });
        assert_eq!(record, self.record, "another record");
    }

    /// Panics unless the command has been undone.
    #[track_caller]
    pub fn assert_undone(&self, half: &Manifest, now: &Manifest) {
        let what = format!("not what was there before {}", self.verb.name());
        let begun = self.has_begun(half) || half.get(OLD_ROOT).map(|n| n.id) != self.old_root();
        let want = if begun { self.undone() } else { self.before.clone() };
        let mut list = self.differences(&want, now);
        list.retain(|line| !self.may_remain(line));
        assert_none(&what, &list);
    }

    /// Whether there is something to undo: a run without its intent takes nothing to
    /// the staging directory, which a revert then only removes.
    fn has_begun(&self, half: &Manifest) -> bool {
        let told = ["intent", "record"]
            .map(|n| half.get(&join(STAGING, &join(b".lustrate", n.as_bytes()))));
        let proved = self.verb == Verb::Revert || in_progress(&self.before);
        in_progress(half) && (proved || told.iter().any(Option::is_some))
    }

    /// The root before the command; but a revert brings the old boot files, and
    /// what a stock lustration had moved.
    fn undone(&self) -> Manifest {
        match self.verb {
            Verb::Run => given_back(self.tree, &self.before),
            Verb::Revert => self.before.clone(),
        }
    }

    /// What an undone command may leave: for `run`, no marker that asks for the
    /// next lustration, and `nixos-root`, with that marker and the record; for
    /// `revert`, notes in `old-root`, a directory of ours that is made anew when
    /// the revert had already removed it.
    fn may_remain(&self, line: &str) -> bool {
        match self.verb {
            Verb::Run => line == "etc/NIXOS_LUSTRATE: gone" || line.starts_with("nixos-root"),
            Verb::Revert => {
                line.starts_with("old-root/.lustrate/") || line == "old-root: another inode"
            }
        }
    }
}

/// What is nowhere any more, but for our own notes and directories.
pub fn lost_inodes(before: &Manifest, after: &Manifest) -> Vec<String> {
    let ours = |path: &[u8]| {
        let path = show(path);
        let notes = ["intent", "part", "record", "making", "new", "draft", "reserve"];
        let notes = notes.map(|n| format!(".lustrate/{n}"));
        notes.iter().any(|note| path.ends_with(note.as_str()))
            || [".lustrate/spare-", ".lustrate/draft/"].iter().any(|part| path.contains(part))
            || path.contains(".lustrate/marker")
            || path.ends_with("/NIXOS_LUSTRATE")
            || path == "old-root.tmp"
            || path == "nixos-root.tmp"
            || path.ends_with("/.lustrate")
    };
    let there: BTreeSet<(Id, Option<u64>)> =
        after.nodes.values().map(|node| (node.id, node.content)).collect();
    let gone = before.nodes.iter().filter(|(path, _)| !ours(path));
    let gone = gone.filter(|(_, node)| !there.contains(&(node.id, node.content)));
    gone.map(|(path, node)| format!("{} ({:?})", show(path), node.kind)).collect()
}
