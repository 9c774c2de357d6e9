//! The judgement: from the facts about a root to what is going to happen, or
//! to the reasons to refuse. Pure; `plan` shows it and `run` carries it out.

use crate::engine::exchange::Take;
use crate::engine::facts::{Entry, Facts, Journal, Marker, Older};
use crate::engine::intent::{Direction, Flagged, Intent, Pin, RootLook};
use crate::engine::names::is_reserved;
use crate::engine::names::{
    BOOT, BOOT_BAK, ETC, LUSTRATE, NIX, NIXOS_ROOT, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP, RW_ETC,
};
use crate::engine::time::{Timestamp, is_dated};
use crate::error::Refusal;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Kind;

mod keep;
mod refuse;
mod renames;

pub use keep::{How, Kept};

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
    /// A finished lustration is reverted.
    pub finished: bool,
    /// What was left by an interrupted stock lustration is taken over.
    pub takes_over: bool,
    /// What is kept because something that stays rests on it (I8).
    pub rests: Vec<RelPath>,
    /// What the lustration before this one warned of, too.
    pub known: Vec<String>,
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
            Ok(keeps) => refusals.extend(draft.keep(keeps, &facts.rests)),
            Err(bad) => refusals.push(refuse::keep_list(facts, bad)),
        },
    }
    draft.choose_homes();
    draft.pin_what_cannot_move();
    draft.pin_dotfiles();
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
            finished: facts.finished,
            takes_over: facts.journal == Journal::None && in_progress && facts.any_staged(),
            rests: Vec::new(),
            known: facts.older.as_ref().map(|older| older.warnings.clone()).unwrap_or_default(),
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

    /// Names for what is going to be made: nobody has them, and none comes twice.
    fn choose_homes(&mut self) {
        let facts = self.facts;
        let intent = &mut self.plan.intent;
        if self.plan.resumes {
            return;
        }
        let taken = |name: &Name| facts.entry(name).is_some() || facts.staged(name).is_some();
        let home = NIXOS_ROOT_TMP.free(taken);
        intent.incoming = Some(home).filter(|name| *name != NIXOS_ROOT_TMP);
        // Old roots are told apart by their times, also where a clock stands still.
        if let Some(Older { time, .. }) = &facts.older {
            intent.started = intent.started.max(Timestamp(time.0.saturating_add(1)));
        }
    }

    /// `nix`, `boot`, and older roots of ours.
    fn pin_protected(&mut self) {
        if let Some(older) = &self.facts.older {
            let taken = |name: &Name| self.facts.entry(name).is_some();
            let dated = older.time.dated(&OLD_ROOT);
            self.plan.intent.rotated = Some(dated.free(taken));
        }
        let facts = self.facts;
        // One that the stock function had buried is an entry like any other.
        let buried = match &facts.journal {
            Journal::Good(journal) => journal.moves(&OLD_ROOT),
            _ => false,
        };
        // Somebody else's stays: no name of ours is worth a move.
        let foreign = |e: &Entry| e.name == NIXOS_ROOT_TMP && facts.journal == Journal::None;
        let protected =
            |e: &&Entry| (is_protected(e) && !(buried && e.name == OLD_ROOT)) || foreign(e);
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
            intent.incoming.clone_from(&journal.incoming);
            intent.aside.clone_from(&journal.aside);
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
        let gone: Vec<Name> = all.into_iter().filter(|n| facts.staged(n).is_none()).collect();
        // By hand somebody may have put there another of what was kept.
        let staged = facts.staged.iter().flatten().map(|entry| &entry.name);
        intent.old = staged.filter(|name| intent.pin(name).is_none()).cloned().collect();
        for name in gone {
            self.warn(format!("'{name}' is no longer in /old-root, and does not come back"));
        }
    }

    /// The stock function moves what `/*` names: dotfiles of the old system are
    /// still in the root. The one that NixOS makes itself is not.
    fn pin_dotfiles(&mut self) {
        let facts = self.facts;
        if !facts.finished || facts.journal != Journal::None {
            return;
        }
        for Entry { name, .. } in &facts.entries {
            let dot = name.as_bytes().starts_with(b".") && *name != RW_ETC;
            if dot && facts.staged(name).is_none() {
                self.pin(name, Pin::Kept);
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
