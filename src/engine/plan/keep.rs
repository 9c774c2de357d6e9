//! The keep-list's part of a plan: which paths are kept, and how.

use super::{Draft, add_flags};
use crate::engine::facts::{Keep, Rest};
use crate::engine::intent::{Direction, Flagged, Intent, Pin};
use crate::engine::names::{BOOT, ETC, MARKER, NIX, OLD_ROOT, RW_ETC, UPPER};
use crate::error::Refusal;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{Kind, Stat};
use crate::fs::walk::Found;

/// How something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is an entry of the root and simply stays.
    Entry,
    /// It is moved, by one rename, to the same path in the new root.
    Nested,
    /// The same, and the links that led to it are recreated.
    Link,
    /// It lies in a subvolume, which is kept whole.
    Subvolume,
}

impl How {
    /// The word in plans and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Nested => "nested",
            Self::Link => "link",
            Self::Subvolume => "subvolume",
        }
    }
}

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The path as it was asked for.
    pub asked: RelPath,
    /// The real path.
    pub real: RelPath,
    /// How.
    pub how: How,
}

impl Kept {
    /// What an intent keeps.
    pub(super) fn from_intent(intent: &Intent) -> Vec<Self> {
        let kept = |real: RelPath, how| Self { asked: real.clone(), real, how };
        let pinned = intent.pinned.iter().filter(|(_, pin)| *pin == Pin::Kept);
        let mut all = Vec::new();
        all.extend(pinned.map(|(name, _)| kept(RelPath::from(name.clone()), How::Entry)));
        all.extend(intent.keepers.iter().map(|keeper| kept(keeper.clone(), How::Nested)));
        all
    }
}

/// A keeper whose path is settled, with what its rename needs.
struct Settled {
    kept: Kept,
    links: Vec<RelPath>,
    stat: Stat,
    parent: Stat,
}

impl Draft<'_> {
    /// Decides on every line of the keep-list.
    pub(super) fn keep(&mut self, keeps: &[Keep], rests: &[Rest]) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let mut settled = Vec::new();
        for keep in keeps {
            match self.settle(keep) {
                Ok(one) => settled.extend(one),
                Err(refusal) => refusals.push(refusal),
            }
        }
        for rest in rests {
            match self.rest(rest) {
                Ok(one) => settled.extend(one),
                Err(refusal) => refusals.push(refusal),
            }
        }
        self.take(settled);
        for keep in keeps {
            self.warn_of_target(keep);
        }
        refusals
    }

    /// What something that stays leads to is kept as if it were listed (I8).
    fn rest(&mut self, rest: &Rest) -> Result<Option<Settled>, Refusal> {
        let point = self.facts.show(&rest.point);
        let moves = |source: String| {
            Refusal::new(
                format!("{point} leads to {source}, which has to move"),
                "It would have led nowhere, and perhaps no system been left to boot",
                "Move that to a directory of its own, and let it lead there",
            )
        };
        let Some(keep) = &rest.source else {
            // The whole root, mounted at one of its entries as well: nothing rests on it.
            let ours = [NIX, BOOT].contains(rest.point.entry());
            let root = self.facts.environment.root.clone();
            return if ours { Err(moves(root)) } else { Ok(None) };
        };
        let source = match &keep.found {
            Found::Missing | Found::Loop if rest.link => {
                self.warn(format!("{point} is a link that leads nowhere; it stays as it is"));
                return Ok(None);
            }
            Found::Missing | Found::Loop | Found::Mount { .. } => return Ok(None),
            Found::Root => return Err(moves(self.facts.environment.root.clone())),
            Found::Here { real, .. } => real,
            Found::Subvolume { at, .. } => at,
        };
        let entry = source.entry();
        let rotated = *entry == OLD_ROOT && self.plan.intent.rotated.is_some();
        if !rotated && self.plan.intent.pin(entry) == Some(Pin::Protected) {
            return Ok(None);
        }
        let settled = if rotated || super::is_ours(entry) { None } else { self.settle(keep)? };
        if settled.is_none() {
            return Err(moves(self.facts.show(source)));
        }
        if self.plan.rests.iter().any(|known| known.covers(source)) {
            return Ok(settled);
        }
        let why = if rest.link { "leads to it" } else { "is mounted from it" };
        self.warn(format!("'{source}' is kept, since {point} {why}"));
        self.plan.rests.push(source.clone());
        Ok(settled)
    }

    fn settle(&mut self, keep: &Keep) -> Result<Option<Settled>, Refusal> {
        let asked = &keep.asked;
        let (real, links, stat, parent, how) = match &keep.found {
            // The last part of a keeper is never followed, so it is never the root.
            Found::Missing | Found::Root => {
                let pattern = asked.to_bytes().iter().any(|b| b"*?[".contains(b));
                let hint = if pattern { ": wildcards are not expanded here" } else { "" };
                self.warn(format!("'{asked}' is in the keep-list but not there{hint}"));
                return Ok(None);
            }
            Found::Loop => {
                self.warn(format!("'{asked}' is in the keep-list but its links lead in a circle"));
                return Ok(None);
            }
            Found::Mount { at } => {
                self.warn(format!(
                    "'{asked}' lies on another file system, mounted at '{at}', which is not touched"
                ));
                return Ok(None);
            }
            Found::Subvolume { at, read_only: true, .. } if !at.is_entry() => {
                let path = self.facts.show(at);
                return Err(Refusal::new(
                    format!(
                        "{path} is a read-only subvolume, and '{asked}' in the keep-list needs it"
                    ),
                    "It cannot be moved into the new root",
                    format!("Make it writable: btrfs property set {path} ro false"),
                ));
            }
            Found::Subvolume { at, links, stat, parent, .. } => {
                if at != asked {
                    self.warn(format!(
                        "'{asked}' lies in the subvolume '{at}', which is kept whole"
                    ));
                }
                (at, links, stat, parent, How::Subvolume)
            }
            Found::Here { real, links, stat, parent } => {
                let how = match (links.is_empty(), real.is_entry()) {
                    (false, _) => How::Link,
                    (true, true) => How::Entry,
                    (true, false) => How::Nested,
                };
                (real, links, stat, parent, how)
            }
        };
        let entry = real.entry();
        let in_etc = match real.parents() {
            [etc] => *etc == ETC,
            [rw, upper] => *rw == RW_ETC && *upper == UPPER,
            _ => false,
        };
        let is_marker = in_etc && *real.last() == MARKER;
        if is_marker {
            self.warn(format!(
                "'{asked}' in the keep-list is ignored: kept, it would ask for a lustration again"
            ));
            return Ok(None);
        }
        let old_root = *entry == OLD_ROOT;
        if old_root || super::is_ours(entry) || self.plan.intent.pin(entry) == Some(Pin::Protected)
        {
            self.warn(format!(
                "'{asked}' in the keep-list is ignored: '{entry}' has a place of its own"
            ));
            return Ok(None);
        }
        if real.is_entry() && *entry == ETC && self.was_moved(entry) {
            if self.plan.intent.direction == Direction::Revert {
                return Ok(None); // it only has to go back
            }
            let path = self.facts.show(&entry);
            return Err(Refusal::new(
                format!(
                    "'{asked}' in the keep-list is the whole of {path}, which an interrupted \
                         lustration by other means has moved already"
                ),
                "Its marker could not be told from the one of this lustration",
                "List what to keep in it instead, or go back first: nixos-lustrate revert",
            ));
        }
        let kept = Kept { asked: asked.clone(), real: real.clone(), how };
        Ok(Some(Settled { kept, links: links.clone(), stat: *stat, parent: *parent }))
    }

    /// Whether an entry is in the staging directory of an interrupted stock
    /// lustration.
    fn was_moved(&self, name: &Name) -> bool {
        self.facts.staged(name).is_some()
    }

    /// Takes the settled keepers, without those that others cover.
    fn take(&mut self, mut settled: Vec<Settled>) {
        // What covers comes before what it covers.
        // Among those with the same real path: in the order of what was asked.
        settled.sort_unstable_by(|a, b| {
            (&a.kept.real, &a.kept.asked).cmp(&(&b.kept.real, &b.kept.asked))
        });
        // What an interrupted stock lustration has moved has to come back.
        for one in &settled {
            if one.kept.real.is_entry() && !self.was_moved(one.kept.real.entry()) {
                self.pin(one.kept.real.entry(), Pin::Kept);
            }
        }
        let mut last: Option<RelPath> = None;
        for one in settled {
            let real = &one.kept.real;
            let by_entry = !real.is_entry() && self.plan.intent.pin(real.entry()).is_some();
            let covered = by_entry || last.as_ref().is_some_and(|l| l.covers(real));
            for link in one.links {
                self.link(link);
            }
            if !covered {
                last = Some(real.clone());
                if !real.is_entry() || self.was_moved(real.entry()) {
                    self.plan.intent.keepers.push(real.clone());
                    self.flag(Some(real.clone()), &one.stat);
                    self.flag(RelPath::new(real.parents().to_vec()), &one.parent);
                }
            }
            if !covered || one.kept.how == How::Link {
                self.plan.kept.push(one.kept);
            }
        }
        let mut links = std::mem::take(&mut self.plan.intent.links);
        links.retain(|link| !self.stays(link));
        self.plan.intent.links = links;
    }

    /// Whether a path is kept, by itself or with what holds it.
    fn stays(&self, path: &RelPath) -> bool {
        let Intent { keepers, .. } = &self.plan.intent;
        // Sorted, and none covers another.
        let before = keepers.partition_point(|keeper| keeper <= path);
        let covered = before.checked_sub(1).and_then(|at| keepers.get(at));
        self.plan.intent.pin(path.entry()).is_some() || covered.is_some_and(|k| k.covers(path))
    }

    fn link(&mut self, link: RelPath) {
        let links = &mut self.plan.intent.links;
        if let Err(at) = links.binary_search(&link) {
            links.insert(at, link);
        }
    }

    fn flag(&mut self, path: Option<RelPath>, stat: &Stat) {
        if path.is_some() && stat.flags != 0 {
            let flagged = Flagged { path, inode: stat.inode, flags: stat.flags };
            add_flags(&mut self.plan.intent.flags, flagged);
        }
    }

    /// A keeper that is a link stays a link; what it leads to may go.
    fn warn_of_target(&mut self, keep: &Keep) {
        let Found::Here { stat, .. } = &keep.found else { return };
        let Some(target) = keep.target.as_ref().filter(|_| stat.kind == Kind::Link) else { return };
        let asked = &keep.asked;
        match target {
            Found::Here { real, .. } => {
                if !self.stays(real) {
                    self.warn(format!(
                        "'{asked}' is a link to '{real}', which is not kept: it will lead nowhere"
                    ));
                }
            }
            Found::Missing | Found::Loop => {
                self.warn(format!("'{asked}' is a link that leads nowhere; it is kept as it is"));
            }
            Found::Root | Found::Mount { .. } | Found::Subvolume { .. } => {}
        }
    }
}
