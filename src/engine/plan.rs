//! The judgement: from the facts about a root to what is going to happen, or
//! to the reasons to refuse. Pure; `plan` shows it and `run` carries it out.

use crate::engine::exchange::Take;
use crate::engine::facts::{Entry, Facts, Journal, Marker};
use crate::engine::intent::{Direction, Flagged, Intent, Pin, RootLook};
use crate::engine::names::is_reserved;
use crate::engine::names::{
    BOOT, BOOT_BAK, ETC, LUSTRATE, NIX, NIXOS_ROOT, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP,
};
use crate::engine::time::is_dated;
use crate::error::Refusal;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Kind;

mod keep;
mod refuse;

pub use keep::{How, Kept};
#[cfg(feature = "full")]
pub(crate) use refuse::word;

/// What is going to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the exchange is told.
    pub intent: Intent,
    /// What is kept, and how.
    pub kept: Vec<Kept>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// An exchange in progress is taken up.
    pub resumes: bool,
    /// What was left by an interrupted stock lustration is taken over.
    pub takes_over: bool,
    /// What has to be there before anything moves.
    pub take: Take,
}

/// Judges the facts.
///
/// # Errors
/// All reasons to refuse.
pub fn plan(facts: &Facts, direction: Direction) -> Result<Plan, Vec<Refusal>> {
    let mut draft = Draft::new(facts, direction);
    let mut refusals = refuse::before(facts, direction);
    draft.pin_protected();
    match &facts.journal {
        Journal::Good(journal) => draft.resume(journal),
        _ => match &facts.keeps {
            Ok(keeps) => refusals.extend(draft.keep(keeps)),
            Err(bad) => refusals.push(refuse::keep_list(facts, bad)),
        },
    }
    draft.pin_what_cannot_move();
    draft.choose_old();
    draft.note_flags();
    draft.count();
    refusals.extend(refuse::after(facts, &draft.plan.intent));
    if !draft.plan.resumes {
        refusals.extend(refuse::space(facts, &draft.plan.intent));
    }
    if !draft.plan.resumes {
        draft.plan.intent.warnings.clone_from(&draft.plan.warnings);
    }
    if refusals.is_empty() { Ok(draft.plan) } else { Err(refusals) }
}

/// A plan in the making.
struct Draft<'a> {
    facts: &'a Facts,
    plan: Plan,
}

impl<'a> Draft<'a> {
    fn new(facts: &'a Facts, direction: Direction) -> Self {
        let in_progress = facts.staged.is_some() && direction == Direction::Lustrate;
        let intent = Intent {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            direction,
            started: facts.now,
            boot_id: facts.environment.boot_id.clone(),
            boot_bak: facts.boot_bak,
            look: (direction == Direction::Lustrate).then(|| RootLook::from(&facts.root)),
            ..Intent::default()
        };
        let plan = Plan {
            intent,
            kept: Vec::new(),
            warnings: Vec::new(),
            resumes: matches!(facts.journal, Journal::Good(_)) && !facts.finished,
            takes_over: facts.journal == Journal::None && in_progress && facts.any_staged(),
            take: Take::default(),
        };
        Self { facts, plan }
    }

    fn pin(&mut self, name: &Name, pin: Pin) {
        let pinned = &mut self.plan.intent.pinned;
        if let Err(at) = pinned.binary_search_by(|(known, _)| known.cmp(name)) {
            pinned.insert(at, (name.clone(), pin));
        }
    }

    fn warn(&mut self, warning: String) {
        self.plan.warnings.push(warning);
    }

    /// `nix`, `boot`, and older roots of ours.
    fn pin_protected(&mut self) {
        if let Some(older) = self.facts.older {
            let taken = |name: &Name| self.facts.entry(name).is_some();
            let dated = older.time.dated(&OLD_ROOT);
            let mut names = (0..).map(|at| match at {
                0 => dated.clone(),
                at => dated.with_suffix(&format!("-{at}")),
            });
            self.plan.intent.rotated = names.find(|name| !taken(name));
        }
        let facts = self.facts;
        // One that the stock function had buried is an entry like any other.
        let buried = match &facts.journal {
            Journal::Good(journal) => journal.moves(&OLD_ROOT),
            _ => false,
        };
        let protected = |e: &&Entry| is_protected(e) && !(buried && e.name == OLD_ROOT);
        for entry in facts.entries.iter().filter(protected) {
            let older = entry.name == OLD_ROOT;
            match self.plan.intent.rotated.clone().filter(|_| older) {
                Some(rotated) => self.pin(&rotated, Pin::Protected),
                None => self.pin(&entry.name, Pin::Protected),
            }
        }
    }

    /// What an intent or record says about the two populations holds.
    fn resume(&mut self, journal: &Intent) {
        let intent = &mut self.plan.intent;
        if self.plan.resumes {
            intent.tool.clone_from(&journal.tool);
            intent.started = journal.started;
            intent.boot_id.clone_from(&journal.boot_id);
            intent.warnings.clone_from(&journal.warnings);
        }
        intent.etc = journal.etc;
        intent.boot_bak = journal.boot_bak;
        intent.rotated.clone_from(&journal.rotated);
        intent.keepers.clone_from(&journal.keepers);
        intent.links.clone_from(&journal.links);
        intent.copies.clone_from(&journal.copies);
        intent.old.clone_from(&journal.old);
        intent.flags.clone_from(&journal.flags);
        intent.look = journal.look;
        for (name, pin) in journal.pinned.iter().filter(|(name, _)| !journal.moves(name)) {
            self.pin(name, *pin);
        }
        if self.facts.finished {
            self.look_at_old_root();
        }
        self.plan.kept = Kept::from_intent(&self.plan.intent);
    }

    /// Between a lustration and its revert months may pass: what counts is what is
    /// in the old root now.
    fn look_at_old_root(&mut self) {
        let facts = self.facts;
        let intent = &mut self.plan.intent;
        intent.etc = facts.staged(&ETC).map(|e| e.stat.inode);
        intent.boot_bak = facts.boot_bak;
        let all = std::mem::take(&mut intent.old);
        let (old, gone): (Vec<Name>, Vec<Name>) =
            all.into_iter().partition(|name| facts.staged(name).is_some());
        intent.old = old;
        for name in gone {
            self.warn(format!("'{name}' is no longer in /old-root, and does not come back"));
        }
    }

    /// Entries that are other file systems, or subvolumes that cannot move.
    fn pin_what_cannot_move(&mut self) {
        let facts = self.facts;
        for Entry { name, stat, read_only, .. } in &facts.entries {
            let mount = stat.mount != facts.root.mount || facts.is_mount_point(name);
            let (pin, what) = match (mount, read_only) {
                (true, _) => (Pin::Mount, "mount point"),
                (_, true) => (Pin::ReadOnly, "read-only subvolume"),
                _ => continue,
            };
            if self.plan.intent.pin(name).is_none() {
                self.pin(name, pin);
                self.warn(format!("{} is a {what} and is left in place", facts.show(name)));
            }
        }
    }

    /// The entries of the old population that move.
    fn choose_old(&mut self) {
        let facts = self.facts;
        let intent = &mut self.plan.intent;
        if !matches!(facts.journal, Journal::Good(_)) {
            let staged = facts.staged.as_deref().unwrap_or_default();
            let staged = staged.iter().map(|e| &e.name);
            let mut old: Vec<Name> = staged.clone().cloned().collect();
            if !facts.finished {
                old.extend(facts.entries.iter().map(|e| e.name.clone()));
            }
            old.sort_unstable();
            old.dedup();
            intent.old = old;
            if !facts.finished {
                intent.copies = staged.filter(|n| facts.entry(n).is_some()).cloned().collect();
            }
            intent.copies.retain(|n| !is_reserved(n) && *n != OLD_ROOT);
        }
        let known = matches!(facts.journal, Journal::Good(_));
        let rotated = intent.rotated.is_some() && !known;
        let mut old = std::mem::take(&mut intent.old);
        old.retain(|n| {
            let stays = intent.pin(n).is_some() || (rotated && *n == OLD_ROOT);
            !is_reserved(n) && (!stays || facts.staged(n).is_some())
        });
        intent.old = old;
        if !matches!(facts.journal, Journal::Good(_)) && intent.moves(&ETC) {
            // Where it is now: in the staging directory, or else in the root.
            let mut all = facts.staged.iter().flatten().chain(&facts.entries);
            intent.etc = all.find(|e| e.name == ETC).map(|e| e.stat.inode);
        }
        // What stays is kept with all that is in it.
        let mut keepers = std::mem::take(&mut intent.keepers);
        keepers.retain(|keeper| intent.pin(keeper.entry()).is_none());
        intent.keepers = keepers;
        if !intent.moves(&BOOT_BAK) {
            intent.boot_bak = None;
        }
    }

    /// What has to be there before anything moves (I9).
    fn count(&mut self) {
        let facts = self.facts;
        let intent = &self.plan.intent;
        let markers = match intent.direction {
            Direction::Revert => 2,
            // The one that asked for it serves, unless its `etc` stays.
            Direction::Lustrate => {
                u32::from(facts.marker == Marker::None || intent.pin(&ETC).is_some())
            }
        };
        let base = facts.environment.space.map_or(0, |space| space.base);
        self.plan.take = Take { base, markers };
    }

    /// The flags that are cleared for the exchange.
    fn note_flags(&mut self) {
        let facts = self.facts;
        let intent = &mut self.plan.intent;
        let places = facts.entries.iter().chain(facts.staged.iter().flatten());
        for entry in places.chain(&facts.incoming) {
            // Flags are rare, and come first: the rest is a search for each entry.
            let moves = || intent.moves(&entry.name) || intent.pin(&entry.name).is_none();
            if entry.stat.flags != 0 && !is_reserved(&entry.name) && moves() {
                add_flags(&mut intent.flags, entry_flags(entry));
            }
        }
        for flagged in &facts.keeper_flags {
            add_flags(&mut intent.flags, flagged.clone());
        }
        if facts.root_flags != 0 {
            let (inode, flags) = (facts.root.inode, facts.root_flags);
            add_flags(&mut intent.flags, Flagged { path: None, inode, flags });
        }
    }
}

fn entry_flags(entry: &Entry) -> Flagged {
    let (path, stat) = (RelPath::from(entry.name.clone()), entry.stat);
    Flagged { path: Some(path), inode: stat.inode, flags: stat.flags }
}

/// Adds flags; those that an earlier run has cleared meanwhile stay noted.
fn add_flags(flags: &mut Vec<Flagged>, new: Flagged) {
    match flags.iter_mut().find(|f| f.path == new.path && f.inode == new.inode) {
        Some(known) => known.flags |= new.flags,
        None => flags.push(new),
    }
}

/// Whether an entry of the root is never touched.
fn is_protected(entry: &Entry) -> bool {
    let dir = entry.stat.kind == Kind::Dir;
    let name = &entry.name;
    *name == NIX
        || *name == BOOT
        || (dir && (*name == OLD_ROOT || is_dated(name, &OLD_ROOT)))
        || (entry.ours && (*name == NIXOS_ROOT || is_dated(name, &NIXOS_ROOT)))
}

impl Facts {
    /// A path below the root for a message.
    fn show(&self, path: &impl std::fmt::Display) -> String {
        format!("{}/{path}", self.environment.root.trim_end_matches('/'))
    }

    /// Whether anything of the old system is in the staging directory.
    pub(crate) fn any_staged(&self) -> bool {
        self.staged.iter().flatten().any(|entry| !is_reserved(&entry.name))
    }

    fn is_mount_point(&self, name: &Name) -> bool {
        let mut mounts = self.environment.mounts.iter();
        mounts.any(|m| m.point.is_entry() && m.point.entry() == name)
    }
}

/// Names that an exchange uses for itself.
fn is_ours(name: &Name) -> bool {
    [OLD_ROOT_TMP, NIXOS_ROOT_TMP, LUSTRATE].contains(name)
}
