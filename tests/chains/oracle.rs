//! What a revert has to give back, by rules of one line each and without any of the
//! engine's order: where each path of the lustrated root is afterwards.

use std::collections::BTreeSet;

use nixos_lustrate::engine::intent::Intent;

use crate::common::compare::{Excuse, metadata_diff, show};
use crate::common::manifest::{Boundary, Kind, Manifest, Node, below, join, parent};

/// Whether the times of directories count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Exact,
    /// It was killed on its way.
    Aside,
}

pub(crate) struct Oracle<'a> {
    /// The lustrated root.
    middle: &'a Manifest,
    /// The reverted one.
    after: &'a Manifest,
    record: Option<&'a Intent>,
    /// The name that holds what NixOS wrote.
    home: Vec<u8>,
    /// Keepers that go back into the old system.
    back: Vec<Vec<u8>>,
    /// Entries of the old root that cannot come.
    left: BTreeSet<Vec<u8>>,
}

fn entry(path: &[u8]) -> &[u8] {
    path.split(|b| *b == b'/').next().unwrap_or_default()
}

fn in_lustrate(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').nth(1) == Some(b".lustrate")
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(
        middle: &'a Manifest,
        after: &'a Manifest,
        record: Option<&'a Intent>,
    ) -> Self {
        let there: BTreeSet<_> =
            middle.children(b"").into_iter().map(|n| middle.nodes[n].id).collect();
        let mut names = after.children(b"").into_iter();
        let home = names.find(|name| {
            name.starts_with(b"nixos-root")
                && !there.contains(&after.nodes[*name].id)
                && after.get(&join(name, b".lustrate/record")).is_some()
        });
        let home = home.expect("a directory with what NixOS wrote").to_vec();
        let mut oracle =
            Self { middle, after, record, home, back: Vec::new(), left: BTreeSet::new() };
        let keepers = record.map_or(&[][..], |record| &record.keepers);
        let paths = keepers.iter().filter(|keeper| !oracle.is_pinned(keeper.entry().as_bytes()));
        let paths = paths.map(|keeper| {
            let names: Vec<_> =
                keeper.names().iter().map(nixos_lustrate::fs::name::Name::as_bytes).collect();
            names.join(&b'/')
        });
        oracle.back = paths.filter(|path| oracle.can_go_back(path)).collect();
        let staged = middle.children(b"old-root").into_iter();
        let left = staged.filter(|name| *name != b".lustrate" && !oracle.can_come(name));
        oracle.left = left.map(<[u8]>::to_vec).collect();
        oracle
    }

    fn is_pinned(&self, name: &[u8]) -> bool {
        match self.record {
            Some(record) => record.pinned.iter().any(|(pinned, _)| pinned.as_bytes() == name),
            // The stock function leaves dotfiles in the root.
            None => name.starts_with(b".") && self.middle.get(&join(b"old-root", name)).is_none(),
        }
    }

    fn is_dir(&self, path: &[u8]) -> bool {
        let node = self.middle.get(path);
        node.is_some_and(|n| n.kind == Kind::Directory && n.boundary != Boundary::Mount)
    }

    /// Whether what is at a path may leave its directory for another.
    fn may_move(&self, path: &[u8], to: &[u8]) -> bool {
        let tree = |path: &[u8]| self.middle.get(path).map(|node| node.id.tree);
        let read_only = |path: &[u8]| {
            let mut all = self.middle.nodes.iter();
            all.any(|(at, node)| {
                node.boundary == Boundary::ReadOnlySubvolume && below(path, at).is_some()
            })
        };
        match self.middle.get(path).map(|node| node.boundary) {
            None | Some(Boundary::Mount | Boundary::ReadOnlySubvolume) => false,
            Some(Boundary::Subvolume) => !read_only(to),
            Some(Boundary::None) => !read_only(to) && tree(path) == tree(to),
        }
    }

    fn can_go_back(&self, keeper: &[u8]) -> bool {
        let home = join(b"old-root", parent(keeper));
        let mut at = Vec::new();
        for name in parent(keeper).split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            at = join(&at, name);
            if !self.is_dir(&at) || !self.is_dir(&join(b"old-root", &at)) {
                return false;
            }
        }
        self.middle.get(&join(b"old-root", keeper)).is_none() && self.may_move(keeper, &home)
    }

    /// Whether an entry of the old root can have its name in the root.
    fn can_come(&self, name: &[u8]) -> bool {
        let reserved: [&[u8]; 4] = [b"nix", b"boot", b"nixos-root.tmp", b"old-root.tmp"];
        let stays = self.middle.get(name).is_some() && self.stays(name);
        !reserved.contains(&name) && !stays && self.may_move(&join(b"old-root", name), b"")
    }

    /// Whether an entry of the lustrated root is neither NixOS's nor goes anywhere.
    fn stays(&self, name: &[u8]) -> bool {
        let reserved: [&[u8]; 5] =
            [b"nix", b"boot", b"nixos-root.tmp", b"old-root.tmp", b".lustrate"];
        let old_root = name.starts_with(b"old-root-2") && self.is_dir(name);
        reserved.contains(&name) || self.is_pinned(name) || old_root
    }

    /// The name of what has a new name with a date.
    fn named(&self, name: &[u8], base: &[u8]) -> Vec<u8> {
        let id = self.middle.nodes[name].id;
        // All small file systems that are mounted have the same.
        let free = |n: &[u8]| n == name || self.middle.get(n).is_none();
        let is_it = |n: &&[u8]| self.after.nodes[*n].id == id && n.starts_with(base) && free(n);
        let found = self.after.children(b"").into_iter().find(is_it);
        found.map_or_else(|| [base, b"-<time>"].concat(), <[u8]>::to_vec)
    }

    /// Where a path of the lustrated root is now; `None` for what is the program's own.
    fn place(&self, path: &[u8]) -> Option<Vec<u8>> {
        let name = entry(path);
        if name.is_empty() {
            return Some(Vec::new());
        }
        // The one that asked for the lustration does not ask again.
        if path == b"old-root/etc/NIXOS_LUSTRATE" {
            return None;
        }
        let rest = below(path, name).unwrap_or_default();
        let ours = self.middle.get(&join(name, b".lustrate")).is_some();
        if name == b"old-root" {
            let entry = entry(rest);
            return match rest {
                b"" => None,
                _ if entry == b".lustrate" => None,
                _ if self.left.contains(entry) => Some(self.in_left(rest)),
                _ => Some(self.swapped(rest)),
            };
        }
        if let Some(keeper) = self.back.iter().find(|keeper| below(path, keeper).is_some()) {
            let is_left = self.left.contains(entry(keeper));
            return Some(if is_left { self.in_left(path) } else { path.to_vec() });
        }
        if name.starts_with(b"nixos-root") && ours && self.is_dir(name) {
            return (!in_lustrate(path)).then(|| join(&self.named(name, b"nixos-root"), rest));
        }
        if self.record.and_then(|r| r.rotated.as_ref()).is_some_and(|r| r.as_bytes() == name) {
            return (!in_lustrate(path)).then(|| join(b"old-root", rest));
        }
        if self.stays(name) {
            return Some(self.swapped(path));
        }
        if self.may_move(name, b"") {
            return Some(join(&self.home, path));
        }
        let has_to_go =
            self.middle.get(&join(b"old-root", name)).is_some() && !self.left.contains(name);
        let to = if has_to_go { self.named(name, name) } else { name.to_vec() };
        Some(join(&to, rest))
    }

    fn in_left(&self, path: &[u8]) -> Vec<u8> {
        join(&join(&self.home, b".lustrate/left"), path)
    }

    /// `boot` and `boot.bak` change places when the latter has come back.
    fn swapped(&self, path: &[u8]) -> Vec<u8> {
        let (boot, saved) = (&b"boot"[..], &b"boot.bak"[..]);
        let came =
            self.is_dir(b"old-root/boot.bak") && self.is_dir(boot) && !self.left.contains(saved);
        for (from, to) in [(boot, saved), (saved, boot)] {
            if let (true, Some(rest)) = (came, below(path, from)) {
                return join(to, rest);
            }
        }
        path.to_vec()
    }

    /// Everything that is not where it has to be, as it was, and everything else.
    pub(crate) fn differences(&self, times: Times) -> Vec<String> {
        let (mut list, mut known) = (Vec::new(), BTreeSet::new());
        for (path, node) in &self.middle.nodes {
            let Some(place) = self.place(path) else { continue };
            let Some(now) = self.after.get(&place) else {
                list.push(format!("{}: not at {}", show(path), show(&place)));
                continue;
            };
            if node.id != now.id {
                list.push(format!("{}: another inode at {}", show(path), show(&place)));
            }
            known.insert(place.clone());
            if node.boundary == Boundary::Mount || place.is_empty() {
                continue;
            }
            let mut node = node.clone();
            // The one flag that a kill can lose, while the marker leaves.
            if times == Times::Aside
                && [&b"etc"[..], &join(&self.home, b"etc")].contains(&&place[..])
            {
                node.flags = now.flags;
            }
            // Nobody but root looks into old roots.
            if (path.starts_with(b"old-root") || path.starts_with(b"nixos-root"))
                && !path.contains(&b'/')
            {
                node.mode = now.mode;
            }
            list.extend(metadata_diff(&place, &node, now, &Excuse::none()));
            if node.kind != Kind::Directory {
                list.extend(data_diff(&place, &node, now));
            } else if times == Times::Exact
                && !self.is_touched(path, &place)
                && node.mtime != now.mtime
            {
                list.push(format!("{}: mtime {:?} -> {:?}", show(&place), node.mtime, now.mtime));
            }
        }
        for path in self.after.nodes.keys().filter(|path| !known.contains(*path)) {
            let ours = in_lustrate(path) || *path == self.home;
            if !ours {
                list.push(format!("{}: should not be there", show(path)));
            }
        }
        list
    }

    /// Whether a name came or left.
    fn is_touched(&self, path: &[u8], place: &[u8]) -> bool {
        let etc = entry(path) == b"etc" || path == b"old-root/etc" || path.starts_with(b".rw-etc");
        let holds =
            self.back.iter().any(|keeper| parent(keeper) == path || parent(keeper) == place);
        etc || holds || self.middle.children(path) != self.after.children(place)
    }

    /// What of the old system, as it was before its lustration, is not at its place and
    /// as it was; that of keepers is NixOS's by now.
    pub(crate) fn old_system(&self, before: &Manifest, apart: &[Vec<u8>]) -> Vec<String> {
        let kept: Vec<Vec<u8>> = self.record.map_or(Vec::new(), |record| {
            let text = |path: &dyn std::fmt::Display| path.to_string().into_bytes();
            record.kept().iter().map(|kept| text(kept)).collect()
        });
        let mut list = Vec::new();
        for (path, node) in &before.nodes {
            let name = entry(path);
            let inside = |prefixes: &[Vec<u8>]| prefixes.iter().any(|p| below(path, p).is_some());
            let not_ours = [&b"old-root"[..], b"nixos-root", b".lustrate", b"boot"];
            if not_ours.iter().any(|n| name.starts_with(n))
                || path == b"etc/NIXOS_LUSTRATE"
                || path.is_empty()
                || self.left.contains(name)
                || self.is_pinned(name)
                || inside(&kept)
                || inside(apart)
            {
                continue;
            }
            let Some(now) = self.after.get(path) else {
                list.push(format!("{}: did not come back", show(path)));
                continue;
            };
            if now.id != node.id {
                list.push(format!("{}: another inode came back", show(path)));
            }
            if node.kind != Kind::Directory {
                // It may have more or fewer names: one of them was kept.
                let node = Node { links: now.links, ..node.clone() };
                if node.links == 1 {
                    list.extend(data_diff(path, &node, now));
                }
            }
        }
        list
    }
}

fn data_diff(path: &[u8], want: &Node, now: &Node) -> Vec<String> {
    let mut list = Vec::new();
    if (want.size, want.content, want.mtime) != (now.size, now.content, now.mtime) {
        list.push(format!("{}: another content or time", show(path)));
    }
    if want.links != now.links {
        list.push(format!("{}: link count {} -> {}", show(path), want.links, now.links));
    }
    list
}
