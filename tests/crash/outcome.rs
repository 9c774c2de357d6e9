//! What two roots that came from one differ in, and what a record says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::common::compare::{Excuse, metadata_diff, show};
use crate::common::manifest::{Kind, Manifest, Node};
use crate::common::population::rejoined;
use crate::common::trees::Start;
use crate::scene::{Scene, Verb};
use crate::state::STAGING;
use crate::trees::Crash;

/// What a revert gives back of a root: also what a stock lustration had moved,
/// and with the old boot files in their place.
pub fn given_back(tree: &Crash, root: &Manifest) -> Manifest {
    let mut back = population(tree, root);
    // An older one is closed to users.
    if let Some(older) = back.nodes.get_mut(&b"old-root"[..]) {
        older.mode = 0o700;
    }
    back
}

fn population(tree: &Crash, root: &Manifest) -> Manifest {
    if tree.outcome.start == Start::Interrupted {
        return rejoined(root, STAGING);
    }
    let (boot, saved) = (&b"boot"[..], &b"boot.bak"[..]);
    if root.get(saved).is_none() {
        return root.clone();
    }
    let mut back = root.without(boot).without(saved);
    back.nodes.extend(root.subtree(boot).relocated(saved).nodes);
    back.nodes.extend(root.subtree(saved).relocated(boot).nodes);
    back
}

/// Times that the trees of the tests are made with; later ones are of a command.
const AGED: std::ops::Range<i64> = 1_500_000_000..1_700_000_000;

impl Scene {
    /// What differs between two outcomes of this beginning: inodes that were
    /// there have to be the same, new ones only alike. Not the times of the
    /// directories where something left or came to (I1): those that were made
    /// anew for a keeper have the times of the originals, unless the kill came
    /// between a rename and the call that sets them.
    pub fn differences(&self, want: &Manifest, now: &Manifest) -> Vec<String> {
        // A number of one of our own files may be used again.
        let known = self.before.nodes.iter().filter(|(path, _)| !is_ours(path));
        let known: BTreeSet<_> = known.map(|(_, node)| node.id).collect();
        let (excuse, above) = (self.half_done(), self.above_keepers());
        let mut list = Vec::new();
        let nodes: BTreeMap<_, _> = want.nodes.iter().chain(&now.nodes).collect();
        for path in nodes.keys() {
            // Which of our own files have been used, and under which names markers wait,
            // depends on the kill; the marker that asked has to be somewhere.
            if is_note(path) {
                let asked = want.get(path).filter(|node| AGED.contains(&node.mtime.0));
                let there = |node: &&Node| {
                    now.nodes.values().any(|n| (n.size, n.content) == (node.size, node.content))
                };
                if asked.is_some_and(|node| !there(&node)) {
                    list.push(format!("{}: lost", show(path)));
                }
                continue;
            }
            match (want.get(path), now.get(path)) {
                (Some(want), Some(now)) => {
                    if want.id != now.id && (known.contains(&want.id) || known.contains(&now.id)) {
                        list.push(format!("{}: another inode", show(path)));
                    }
                    let differs = metadata_diff(path, want, now, &Excuse::none());
                    // An older old root is closed before anything moves, or not yet.
                    let older = |line: &String| line.starts_with("old-root: mode ");
                    list.extend(differs.into_iter().filter(|line| !older(line)));
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

/// Whether it is a file of ours that waits, or is being written.
fn is_note(path: &[u8]) -> bool {
    let Some(at) = path.windows(11).position(|part| part == b"/.lustrate/") else { return false };
    let name = &path[at + 11..];
    let ours: [&[u8]; 4] = [b"part", b"reserve", b"spare-", b"marker"];
    ours.iter().any(|ours| name.starts_with(ours))
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

/// What a record says but for times, those of the root among them, the boot, inode
/// numbers of its own, its order and length, and that `old-root` was pinned before it got its date.
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
            && key != Some("?root")
            && *line != "pinned protected old-root"
    };
    let mut lines: Vec<String> = text.lines().filter(varies).map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}
