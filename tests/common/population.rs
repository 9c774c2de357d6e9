//! What must be true of a root before, during and after a lustration, said in
//! manifests: I1 (nothing lost), I2 (protected untouched), the state that a
//! finished run leaves, and the state that a revert gives back.

use std::collections::{BTreeSet, HashMap};

use super::compare::{Excuse, Touched, assert_none, metadata_diff, node_diff, show};
use super::manifest::{Boundary, Kind, Manifest, Node, PROJECT_INHERIT, below, join, parent};

pub const MARKER: &[u8] = b"etc/NIXOS_LUSTRATE";

/// I1: every inode of `before` is there as often as it was, with its content
/// and metadata, wherever it is. Returns what is not so.
pub fn lost(before: &Manifest, now: &Manifest, excuse: &Excuse) -> Vec<String> {
    let places = now.by_id();
    let mut list = Vec::new();
    for (id, paths) in before.by_id() {
        let path = paths[0];
        if paths.iter().all(|p| excuse.covers(p)) {
            continue;
        }
        let Some(found) = places.get(&id) else {
            list.push(format!("{}: lost", show(path)));
            continue;
        };
        if found.len() != paths.len() {
            let at = found.iter().map(|p| show(p)).collect::<Vec<_>>().join(", ");
            list.push(format!("{}: {} names, now {}: {at}", show(path), paths.len(), found.len()));
        }
        let (mut old, new) = (before.nodes[path].clone(), &now.nodes[found[0]]);
        // Old roots are closed to users.
        if is_old_root(path) && new.mode == 0o700 {
            old.mode = new.mode;
        }
        let touched = excuse.is_touched(path)
            || (old.kind == Kind::Directory && before.children(path) != now.children(found[0]));
        list.extend(node_diff(path, &old, new, Touched::from(touched), excuse));
    }
    list
}

fn is_old_root(path: &[u8]) -> bool {
    let name = path.strip_prefix(b"old-root");
    name.is_some_and(|rest| !rest.contains(&b'/') && (rest.is_empty() || rest[0] == b'-'))
}

#[track_caller]
pub fn assert_nothing_lost(before: &Manifest, now: &Manifest, excuse: &Excuse) {
    assert_none("I1: something of the old population is lost", &lost(before, now, excuse));
}

/// A refusal, or a run with nothing to do, has changed nothing at all.
#[track_caller]
pub fn assert_untouched(before: &Manifest, after: &Manifest) {
    assert_none("something was touched", &before.diff(after, &Excuse::none()));
}

/// I2: the subtrees are the same to the last bit.
#[track_caller]
pub fn assert_protected(before: &Manifest, now: &Manifest, protected: &[&[u8]]) {
    for path in protected {
        let list = before.subtree(path).diff(&now.subtree(path), &Excuse::none());
        assert_none(&format!("I2: {} has changed", show(path)), &list);
    }
}

/// Whether created parents must have the times of the originals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentTimes {
    Exact,
    Aside,
}

/// What a finished run is to have done.
#[derive(Clone, Debug)]
pub struct Lustrated<'a> {
    /// Real paths, each the same inode as before.
    pub keepers: &'a [&'a [u8]],
    /// Links on the way to a keeper, made anew.
    pub links: &'a [&'a [u8]],
    pub protected: &'a [&'a [u8]],
    /// Entries left in place.
    pub left: &'a [&'a [u8]],
    pub old_root: &'a [u8],
    /// Paths that have another name afterwards: an older old root.
    pub renamed: &'a [(&'a [u8], &'a [u8])],
    pub times: ParentTimes,
}

impl Default for Lustrated<'_> {
    fn default() -> Self {
        Self {
            keepers: &[],
            links: &[],
            protected: &[b"nix", b"boot"],
            left: &[],
            old_root: b"old-root",
            renamed: &[],
            times: ParentTimes::Exact,
        }
    }
}

impl Lustrated<'_> {
    fn stays(&self, path: &[u8]) -> bool {
        let mut all = self.keepers.iter().chain(self.protected).chain(self.left);
        all.any(|p| below(path, p).is_some())
    }

    /// Where a path of the old population must be now; `None`: not settled.
    fn place(&self, path: &[u8]) -> Option<Vec<u8>> {
        for (from, to) in self.renamed {
            if let Some(rest) = below(path, from) {
                return Some(join(to, rest));
            }
        }
        // With the whole of etc kept, the marker alone has to leave.
        if path == MARKER && self.stays(path) {
            return None;
        }
        Some(if path.is_empty() || self.stays(path) {
            path.into()
        } else {
            join(self.old_root, path)
        })
    }

    /// The directories that a keeper or link needs, and the new etc.
    fn parents(&self) -> BTreeSet<&[u8]> {
        let mut all = BTreeSet::from([&b"etc"[..]]);
        for path in self.keepers.iter().chain(self.links) {
            let mut at = parent(path);
            while !at.is_empty() {
                all.insert(at);
                at = parent(at);
            }
        }
        all
    }

    fn may_be_new(&self, path: &[u8], parents: &BTreeSet<&[u8]>) -> bool {
        let record = join(self.old_root, b".lustrate");
        path == self.old_root
            || path == b"etc/NIXOS"
            || below(path, &record).is_some()
            || self.links.contains(&path)
            || parents.contains(path)
            // Made for a marker that was displaced from a kept etc.
            || path == join(self.old_root, b"etc")
    }
}

/// What differs from a finished run.
pub fn not_lustrated(before: &Manifest, after: &Manifest, plan: &Lustrated<'_>) -> Vec<String> {
    let stayed = plan.keepers.iter().chain(plan.protected).chain(plan.left);
    let parents_of_keepers = Excuse::none().touched(b"").parents_of(plan.keepers).touched(b"etc");
    let mut list = lost(before, after, &parents_of_keepers);
    for (path, node) in &before.nodes {
        let Some(place) = plan.place(path) else { continue };
        let found = after.get(&place);
        if found.is_none_or(|n| n.id != node.id && node.boundary != Boundary::Mount) {
            list.push(format!("{}: not at {}", show(path), show(&place)));
        }
    }
    for path in stayed.filter(|p| before.get(p).is_some()) {
        let excuse = match *path {
            b"etc" => Excuse::none().touched(b"etc").below(MARKER).below(b"etc/NIXOS"),
            _ => Excuse::none(),
        };
        list.extend(
            before
                .subtree(path)
                .relocated(path)
                .diff(&after.subtree(path).relocated(path), &excuse),
        );
    }
    if after.get(MARKER).is_some() {
        list.push("the marker is still there".into());
    }
    let missing = plan.links.iter().filter(|link| after.get(link).is_none());
    list.extend(missing.map(|link| format!("{}: was not made anew", show(link))));
    if after.get(b"etc/NIXOS").is_none() && !plan.stays(b"etc") {
        list.push("etc/NIXOS is missing".into());
    }
    let parents = plan.parents();
    let known = before.by_id();
    for (path, node) in after.nodes.iter().filter(|(_, n)| !known.contains_key(&n.id)) {
        if node.boundary == Boundary::Mount {
            continue;
        }
        if !plan.may_be_new(path, &parents) {
            list.push(format!("{}: should not be there", show(path)));
        }
        list.extend(before.get(path).map_or_else(Vec::new, |o| copied(path, o, node, plan)));
    }
    list
}

/// What a parent or link that was made anew lacks of the original.
fn copied(path: &[u8], original: &Node, made: &Node, plan: &Lustrated<'_>) -> Vec<String> {
    if path == b"etc/NIXOS" || path == plan.old_root {
        return Vec::new();
    }
    // It is of no project, and inherits none.
    let mut original = original.clone();
    (original.project, original.flags) = (made.project, original.flags & !PROJECT_INHERIT);
    let mut list = metadata_diff(path, &original, made, &Excuse::none().cleared_flags());
    let exact = plan.times == ParentTimes::Exact && path != b"etc";
    if exact && original.mtime != made.mtime {
        list.push(format!("{}: made with another mtime", show(path)));
    }
    list
}

#[track_caller]
pub fn assert_lustrated(before: &Manifest, after: &Manifest, plan: &Lustrated<'_>) {
    assert_none("not what a finished run leaves", &not_lustrated(before, after, plan));
}

/// What differs after a revert: the same population with the same inodes, but
/// for `nixos-root` and the marker, which must be somewhere, not in /etc.
pub fn not_reverted(before: &Manifest, after: &Manifest, keepers: &[&[u8]]) -> Vec<String> {
    let touched = Excuse::none().touched(b"").touched(b"etc").parents_of(keepers);
    let mut list = lost(before, after, &touched);
    let mut excuse = touched.below(MARKER);
    // What NixOS wrote: dated when the name was taken.
    let is_new = |n: &&[u8]| n.starts_with(b"nixos-root") && before.get(n).is_none();
    for name in after.children(b"").into_iter().filter(is_new) {
        excuse = excuse.below(name);
    }
    let mut before = before.clone();
    for (path, old) in before.nodes.iter_mut().filter(|(path, _)| is_old_root(path)) {
        if after.get(path).is_some_and(|node| node.mode == 0o700) {
            old.mode = 0o700;
        }
    }
    list.extend(before.diff(after, &excuse));
    if after.get(MARKER).is_some() {
        list.push("the marker is back".into());
    }
    list
}

#[track_caller]
pub fn assert_same_population(before: &Manifest, after: &Manifest, keepers: &[&[u8]]) {
    assert_none("not what a revert gives back", &not_reverted(before, after, keepers));
}

/// The old population of a root on which a stock lustration was interrupted:
/// what is in `old-root.tmp`, and what has not been moved yet.
pub fn rejoined(root: &Manifest, staging: &[u8]) -> Manifest {
    let mut nodes = root.without(staging).nodes;
    let moved = root.subtree(staging).nodes.into_iter().filter(|(p, _)| !p.is_empty());
    nodes.extend(moved);
    Manifest { nodes }
}

/// Paths of `after` whose inode `before` does not have.
pub fn new_paths<'a>(before: &Manifest, after: &'a Manifest) -> Vec<&'a [u8]> {
    let known: HashMap<_, _> = before.by_id().into_iter().collect();
    after
        .nodes
        .iter()
        .filter(|(_, n)| !known.contains_key(&n.id))
        .map(|(p, _)| p.as_slice())
        .collect()
}
