//! The exchange of populations: run, resume and revert are this one engine.
//!
//! Two populations share the root's file system. The *old* one has its home in
//! the staging directory, the *new* one in `.lustrate/new` of it, or, once a
//! revert has begun, in `nixos-root.tmp`. An exchange moves the one that goes
//! out from the root to its home, and the one that comes in from its home to
//! the root. `run` sends the old population out, `revert` the new one.
//!
//! Every step is one rename that asks for nothing but where the file is now,
//! so an exchange can be stopped anywhere and go on, or turn round (I3, I4).
//! Nothing is ever copied or replaced (I1).

use crate::engine::intent::{Direction, Intent};
use crate::engine::names::{ETC, LUSTRATE, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP};
use crate::error::{Stop, Trouble};
use crate::fs::name::Name;
use crate::fs::tree::{Moved, Tree};

mod begin;
mod boot;
mod close;
mod etc;
mod flags;
mod keepers;
mod marker;

pub use begin::begin;
pub use close::{MAX_INTENT, ended, finish, free_dated, identity, noted_flags, undo_note};
pub use flags::HINDERING;
pub use marker::{LONGEST_MARKER, MAX_MARKER, direction_of};

type Result<T> = std::result::Result<T, Stop>;

/// Which population an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Population {
    /// What was in the root when the lustration began.
    Old,
    /// What came after it: keepers, and what NixOS wrote.
    New,
}

/// Whether `boot` and `boot.bak` change places when a revert brings `boot.bak`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Boot {
    /// They do.
    #[default]
    Exchange,
    /// Both stay where they are (`--keep-boot`).
    Keep,
}

/// What an exchange did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// Entries moved out of the root.
    pub displaced: usize,
    /// Entries moved into it.
    pub installed: usize,
    /// Nested keepers moved.
    pub keepers: usize,
    /// The name that a finished revert gave to what NixOS had written.
    pub place: Option<Name>,
    /// What was noticed on the way.
    pub notes: Vec<String>,
}

/// An exchange in progress. [`begin()`] makes one.
pub struct Exchange<'a, T: Tree> {
    tree: &'a T,
    root: &'a T::Dir,
    intent: Intent,
    boot: Boot,
    /// `old-root.tmp`, the home of the old population.
    staging: T::Dir,
    /// `.lustrate` in it.
    meta: T::Dir,
    /// The home of the new population.
    incoming: T::Dir,
    /// The entries of the old population that were at home when we began.
    staged: Vec<Name>,
    done: Done,
}

impl<T: Tree> Exchange<'_, T> {
    /// Carries the exchange out, to its commit and the last clean-up.
    ///
    /// # Errors
    /// [`Stop`]: the exchange can go on, or turn round, once the cause is mended.
    pub fn carry_out(mut self) -> Result<Done> {
        let (out, coming) = match self.intent.direction {
            Direction::Lustrate => (Population::Old, Population::New),
            Direction::Revert => (Population::New, Population::Old),
        };
        self.clear_flags()?;
        self.arm_root()?;
        if coming == Population::New {
            // Undoes what a revert does last, so that paths mean what they did.
            self.exchange_boot(coming)?;
            self.set_copies_aside()?;
        }
        self.collect(out, coming)?;
        self.arm_coming(coming)?;
        self.displace(out)?;
        self.exchange_etc(out, coming)?;
        self.install(coming)?;
        if coming == Population::Old {
            self.exchange_boot(coming)?;
        }
        self.restore_flags()?;
        self.close(coming)?;
        Ok(self.done)
    }

    fn home(&self, population: Population) -> &T::Dir {
        match population {
            Population::Old => &self.staging,
            Population::New => &self.incoming,
        }
    }

    /// Whether the entry `name` of the root is of the old population. The rule:
    /// the old population is known by the intent, and what is at home is not in
    /// the root.
    fn is_old_in_root(&self, name: &Name) -> bool {
        self.intent.moves(name) && !self.is_staged(name)
    }

    fn is_staged(&self, name: &Name) -> bool {
        self.staged.binary_search(name).is_ok()
    }

    /// Moves the entries of a population from the root to their home; `etc`
    /// has its own step.
    fn displace(&mut self, out: Population) -> Result<()> {
        let listed = match out {
            Population::Old => Vec::new(),
            Population::New => self.tree.list(self.root)?,
        };
        let names = if out == Population::Old { &self.intent.old } else { &listed };
        let mut displaced = 0;
        for name in names {
            let goes = match out {
                Population::Old => !self.is_staged(name),
                Population::New => !self.stays(name) && !self.is_old_in_root(name),
            };
            if goes && *name != ETC {
                let moved = self.rename((self.root, name), (self.home(out), name))?;
                displaced += usize::from(moved == Moved::Done);
            }
        }
        self.done.displaced += displaced;
        Ok(())
    }

    /// Moves the entries of a population from their home to the root.
    fn install(&mut self, coming: Population) -> Result<()> {
        for name in self.tree.list(self.home(coming))? {
            if name != ETC && name != LUSTRATE {
                let moved = self.rename((self.home(coming), &name), (self.root, &name))?;
                self.done.installed += usize::from(moved == Moved::Done);
            }
        }
        Ok(())
    }

    /// Whether an entry of the root belongs to neither population.
    fn stays(&self, name: &Name) -> bool {
        let ours = [OLD_ROOT, OLD_ROOT_TMP, NIXOS_ROOT_TMP];
        ours.contains(name) || self.intent.pin(name).is_some()
    }

    /// The directory that holds the entry `name` of a population now.
    fn holder(&self, population: Population, name: &Name) -> Result<Option<&T::Dir>> {
        if *name == ETC && self.intent.pin(&ETC).is_none() {
            return Ok(self.etc_holder(population)?.map(|place| self.place(place)));
        }
        let at_home = match population {
            Population::Old => self.is_staged(name),
            Population::New => self.tree.stat(&self.incoming, name)?.is_some(),
        };
        if at_home {
            return Ok(Some(self.home(population)));
        }
        let old = self.is_old_in_root(name);
        let ours = old == (population == Population::Old);
        let there = ours && self.tree.stat(self.root, name)?.is_some();
        Ok(there.then_some(self.root))
    }

    fn note(&mut self, note: String) {
        self.done.notes.push(note);
    }

    fn rename(&self, from: (&T::Dir, &Name), to: (&T::Dir, &Name)) -> Result<Moved> {
        rename(self.tree, from, to)
    }
}

/// Renames; what has the new name already is a conflict.
fn rename<T: Tree>(tree: &T, from: (&T::Dir, &Name), to: (&T::Dir, &Name)) -> Result<Moved> {
    match tree.rename(from, to)? {
        Moved::Taken => Err(Stop::Root(Box::new(Trouble::Conflict {
            from: tree.show(from.0, Some(from.1)),
            to: tree.show(to.0, Some(to.1)),
        }))),
        moved => Ok(moved),
    }
}
