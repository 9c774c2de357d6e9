//! What must be true of a root at every instant (I1, I2, I5), and what an
//! exchange must have come to in the end, however often it was interrupted
//! (I3, I4).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::common::compare::{Excuse, assert_none, metadata_diff, show};
use crate::common::manifest::{Id, Kind, Manifest, Node, join, parent};
use crate::common::population::{assert_nothing_lost, assert_protected, rejoined};
use crate::common::trees::Start;
use crate::scene::{Scene, Verb, has_marker};
use crate::sys::Lack;

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
    fn above_keepers(&self) -> BTreeSet<&'static [u8]> {
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
        // Without an exchange of two directories, `etc` is away for a moment; after
        // a stock lustration until there is a new one.
        let away = lack == Some(Lack::RenameFlags) || in_progress(&self.before);
        let armed = has_marker(root) || (away && now.get(b"etc").is_none());
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
        self.assert_done_but_for(now, root, "");
    }

    /// The same; lines with this text do not count.
    #[track_caller]
    pub fn assert_done_but_for(&self, now: &Manifest, root: &Path, text: &str) {
        let what = format!("not what an undisturbed {} leaves", self.verb.name());
        let counts = |line: &String| text.is_empty() || !line.contains(text);
        let mut list = self.differences(&self.done, now);
        list.retain(counts);
        assert_none(&what, &list);
        let mut record = record(root, self.verb);
        record.retain(counts);
        assert_eq!(record, self.record, "another record");
    }

    /// Panics unless the command has been undone.
    #[track_caller]
    pub fn assert_undone(&self, half: &Manifest, now: &Manifest) {
        let what = format!("not what was there before {}", self.verb.name());
        let begun = in_progress(half) || half.get(OLD_ROOT).map(|n| n.id) != self.old_root();
        let want = if begun { self.undone() } else { self.before.clone() };
        let mut list = self.differences(&want, now);
        list.retain(|line| !self.may_remain(line));
        assert_none(&what, &list);
    }

    /// The root before the command; but a revert brings the old boot files, and
    /// what a stock lustration had moved.
    fn undone(&self) -> Manifest {
        if self.tree.outcome.start == Start::Interrupted && self.verb == Verb::Run {
            return rejoined(&self.before, STAGING);
        }
        let (boot, saved) = (&b"boot"[..], &b"boot.bak"[..]);
        if self.verb == Verb::Revert || self.before.get(saved).is_none() {
            return self.before.clone();
        }
        let mut undone = self.before.without(boot).without(saved);
        undone.nodes.extend(self.before.subtree(boot).relocated(saved).nodes);
        undone.nodes.extend(self.before.subtree(saved).relocated(boot).nodes);
        undone
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

/// Times that the trees of the tests are made with; later ones are of a command.
const AGED: std::ops::Range<i64> = 1_500_000_000..1_700_000_000;

impl Scene {
    /// What differs between two outcomes of this beginning: inodes that were
    /// there have to be the same, new ones only alike. Not the times of the
    /// directories where something left or came to (I1): those that were made
    /// anew for a keeper have the times of the originals, unless the kill came
    /// between a rename and the call that sets them.
    fn differences(&self, want: &Manifest, now: &Manifest) -> Vec<String> {
        // A number of one of our own files may be used again.
        let known = self.before.nodes.iter().filter(|(path, _)| !is_ours(path));
        let known: BTreeSet<_> = known.map(|(_, node)| node.id).collect();
        let (excuse, above) = (self.half_done(), self.above_keepers());
        let mut list = Vec::new();
        let nodes: BTreeMap<_, _> = want.nodes.iter().chain(&now.nodes).collect();
        for path in nodes.keys() {
            match (want.get(path), now.get(path)) {
                (Some(want), Some(now)) => {
                    if want.id != now.id && (known.contains(&want.id) || known.contains(&now.id)) {
                        list.push(format!("{}: another inode", show(path)));
                    }
                    list.extend(metadata_diff(path, want, now, &Excuse::none()));
                    if !excuse.is_touched(path) && !above.contains(&path[..]) {
                        list.extend(data_diff(path, want, now));
                    }
                }
                (Some(_), None) => list.push(format!("{}: gone", show(path))),
                (None, _) => list.push(format!("{}: new", show(path))),
            }
        }
        list
    }
}

fn data_diff(path: &[u8], want: &Node, now: &Node) -> Vec<String> {
    let mut list = Vec::new();
    if path.ends_with(b"/.lustrate/record") {
        return list;
    }
    if AGED.contains(&want.mtime.0) && want.mtime != now.mtime {
        list.push(format!("{}: mtime {:?} -> {:?}", show(path), want.mtime, now.mtime));
    }
    if want.links != now.links {
        list.push(format!("{}: link count {} -> {}", show(path), want.links, now.links));
    }
    if want.kind != Kind::Directory && (want.size, want.content) != (now.size, now.content) {
        list.push(format!("{}: another content", show(path)));
    }
    list
}

/// Whether a path is in a `.lustrate`.
fn is_ours(path: &[u8]) -> bool {
    path.windows(11).any(|part| part == b"/.lustrate/")
}

/// Whether two states are the same to a program: not to the second.
pub fn alike(a: &Manifest, b: &Manifest) -> bool {
    a.nodes.len() == b.nodes.len()
        && a.nodes.iter().zip(&b.nodes).all(|((path, a), (other, b))| {
            // The time is in our own files.
            let same =
                if is_ours(path) { a.size == b.size } else { data_diff(path, a, b).is_empty() };
            path == other
                && a.id == b.id
                && same
                && metadata_diff(path, a, b, &Excuse::none()).is_empty()
        })
}

/// What a record says but for times, the boot, inode numbers of its own, its order and
/// length, and that `old-root` was pinned before it got its date.
pub fn record(root: &Path, verb: Verb) -> Vec<String> {
    let home = match verb {
        Verb::Run => "old-root",
        Verb::Revert => "nixos-root",
    };
    let path = root.join(home).join(".lustrate/record");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let varies = |line: &&str| {
        let key = line.split(' ').next();
        !matches!(key, Some("boot-id" | "started" | "finished" | "anchor" | "end" | "older"))
            && *line != "pinned protected old-root"
    };
    let mut lines: Vec<String> = text.lines().filter(varies).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// What is nowhere any more, but for our own notes and directories.
pub fn lost_inodes(before: &Manifest, after: &Manifest) -> Vec<String> {
    let ours = |path: &[u8]| {
        let path = show(path);
        let notes = ["intent", "part", "record", "making", "new"].map(|n| format!(".lustrate/{n}"));
        notes.iter().any(|note| path.ends_with(note.as_str()))
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
