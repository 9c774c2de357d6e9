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

use std::cell::Cell;

use nix::errno::Errno;

use crate::engine::intent::{Direction, Intent};
use crate::engine::names::{ETC, LUSTRATE, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP, is_reserved};
use crate::error::{Stop, Trouble};
use crate::fs::name::Name;
use crate::fs::tree::{Moved, Tree};

mod begin;
mod boot;
mod close;
mod coming;
mod etc;
mod flags;
mod keepers;
mod marker;
mod space;
mod spares;

use begin::write_intent;
use etc::Etc;
use flags::Change;

pub(crate) use begin::{From, begin};
#[cfg(feature = "full")]
pub(crate) use close::free_dated;
pub(crate) use close::read_intent;
pub(crate) use close::{MAX_INTENT, ended, finish, identity, lustrated, record, withdraw};
#[cfg(feature = "full")]
pub(crate) use flags::write_note;
pub(crate) use flags::{HINDERING, note};
pub(crate) use marker::{LONGEST_MARKER, MAX_MARKER, direction_of};
pub(crate) use space::is_taken;
pub(crate) use space::{Take, reserve};

type Result<T, E = Stop> = std::result::Result<T, E>;

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

/// How far the new population's own directories and links are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coming {
    /// They are being made; nothing has moved, and none of it is in the root.
    Making,
    /// This process has made them all, and until `etc` is exchanged it has moved
    /// nothing but keepers.
    Made,
    /// Some may be missing: another process has begun.
    Unknown,
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
    /// Whose `etc` is where, until one of them moves.
    etc: Cell<Option<Etc>>,
    coming: Coming,
    /// The marker that asked serves to the end: it goes home with the old `etc`, and
    /// the new one has ours.
    serves: bool,
    /// What was taken for it when it began.
    take: Take,
    done: Done,
}

impl<T: Tree> Exchange<'_, T> {
    /// Carries the exchange out, to its commit and the last clean-up.
    ///
    /// # Errors
    /// [`Stop`]: the exchange can go on, or turn round, once the cause is fixed.
    pub fn carry_out(mut self) -> Result<Done> {
        let (out, coming) = match self.intent.direction {
            Direction::Lustrate => (Population::Old, Population::New),
            Direction::Revert => (Population::New, Population::Old),
        };
        if let (Population::New, Some((etc, dated))) =
            (out, self.intent.aside.iter().find(|(name, _)| *name == ETC))
        {
            self.done.notes.push(gave_way(etc, dated));
        }
        self.change_flags(Change::Clear)?;
        self.arm_root()?;
        if coming == Population::New {
            // Undoes what a revert does last, so that paths mean what they did.
            self.exchange_boot(coming)?;
            self.set_copies_aside()?;
            self.bring_draft()?;
        }
        self.collect(out, coming)?;
        self.arm_coming(coming)?;
        self.displace(out)?;
        self.exchange_etc(out, coming)?;
        self.install(coming)?;
        match coming {
            Population::Old => self.exchange_boot(coming)?,
            Population::New => self.take_places_again()?,
        }
        self.change_flags(Change::Restore)?;
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
        let (mut displaced, mut stuck) = (0, Vec::new());
        for name in names {
            let goes = match out {
                Population::Old => !self.is_staged(name),
                Population::New => !self.stays(name) && !self.is_old_in_root(name),
            };
            if goes && *name != ETC {
                match self.rename((self.root, name), (self.home(out), name)) {
                    Ok(moved) => displaced += usize::from(moved == Moved::Done),
                    Err(stop) => stuck.push((name.clone(), self.tolerated(stop)?)),
                }
            }
        }
        self.done.displaced += displaced;
        for (name, why) in stuck {
            if self.intent.moves(&name) {
                self.give_way(&name)?;
            } else {
                self.note(format!("'{name}' of NixOS could not leave the root: {why}"));
            }
        }
        // Also what the plan knew of: a file system that is mounted there.
        let aside: Vec<Name> = self.intent.aside.iter().map(|(name, _)| name.clone()).collect();
        for name in aside {
            if out == Population::New && name != ETC && !self.is_old_in_root(&name) {
                self.give_way(&name)?;
            }
        }
        Ok(())
    }

    /// Whether a failure is one that the way back goes on without: this file cannot
    /// go there. A disk that fails or is full is none.
    fn tolerated(&self, stop: Stop) -> Result<String> {
        match self.intent.direction {
            Direction::Revert => self.hindered(stop),
            Direction::Lustrate => Err(stop),
        }
    }

    /// Why this file cannot go there; any other failure again.
    fn hindered(&self, stop: Stop) -> Result<String> {
        let why = match &stop {
            Stop::Op(error) => match error.errno() {
                Errno::EIO
                | Errno::ENOSPC
                | Errno::ENOMEM
                | Errno::EINTR
                | Errno::EUCLEAN
                | Errno::EBADMSG
                | Errno::ENXIO
                | Errno::EMFILE
                | Errno::ENFILE => None,
                // Of a subvolume, or of the whole file system after an error.
                Errno::EROFS if self.tree.is_read_only(self.root, &OLD_ROOT_TMP)? => None,
                errno => Some(errno.desc().to_owned()),
            },
            Stop::Root(_) => Some("there is another".to_owned()),
        };
        why.ok_or(stop)
    }

    /// What has the name of an entry that comes back, and cannot leave the root,
    /// gets another name in it.
    fn give_way(&mut self, name: &Name) -> Result<()> {
        let (tree, root) = (self.tree, self.root);
        if tree.stat(root, name)?.is_none() {
            return Ok(()); // it has, before the power went
        }
        let known = self.intent.aside.iter().find(|(aside, _)| aside == name);
        let dated = match known {
            Some((_, dated)) if tree.stat(root, dated)?.is_none() => dated.clone(),
            _ => note_aside(tree, root, &self.meta, &mut self.intent, name)?,
        };
        match self.rename((root, name), (root, &dated)) {
            Ok(Moved::Done) => self.note(gave_way(name, &dated)),
            Ok(_) => {}
            Err(stop) => drop(self.tolerated(stop)?), // the old one then stays with NixOS's
        }
        Ok(())
    }

    /// What gave way to the old population has its name again.
    fn take_places_again(&mut self) -> Result<()> {
        // `etc` does after the commit: till then there is a marker in the other.
        let (etc, others) =
            std::mem::take(&mut self.intent.aside).into_iter().partition(|(name, _)| *name == ETC);
        self.intent.aside = etc;
        for (name, dated) in others {
            if let Err(stop) = self.rename((self.root, &dated), (self.root, &name)) {
                // It is a mount point, perhaps.
                let why = self.hindered(stop)?;
                self.keeps_its_name(&dated, &why);
            }
        }
        Ok(())
    }

    fn keeps_its_name(&mut self, dated: &Name, why: &str) {
        self.note(format!("'{dated}' keeps its name: {why}"));
    }

    /// Moves the entries of a population from their home to the root.
    fn install(&mut self, coming: Population) -> Result<()> {
        for name in self.tree.list(self.home(coming))? {
            if name == ETC || name == LUSTRATE {
                continue;
            }
            // By hand somebody may have put there what is never moved.
            let (from, to) = ((self.home(coming), &name), (self.root, &name));
            let may = coming == Population::New || !is_reserved(&name);
            match if may { self.rename(from, to) } else { Err(conflict(self.tree, from, to)) } {
                Ok(moved) => self.done.installed += usize::from(moved == Moved::Done),
                Err(stop) => {
                    let why = self.tolerated(stop)?;
                    self.not_back(&name, &why);
                }
            }
        }
        Ok(())
    }

    /// Something of the old system that could not go to its place.
    fn not_back(&mut self, what: &dyn std::fmt::Display, why: &str) {
        self.note(format!("'{what}' could not go back ({why}); it stays with what NixOS wrote"));
    }

    /// Whether an entry of the root belongs to neither population.
    fn stays(&self, name: &Name) -> bool {
        let ours = [OLD_ROOT, OLD_ROOT_TMP, NIXOS_ROOT_TMP, LUSTRATE];
        let home = self.intent.incoming.as_ref() == Some(name);
        home || ours.contains(name)
            || self.intent.pin(name).is_some()
            || self.intent.aside.iter().any(|(aside, dated)| aside == name || dated == name)
    }

    /// The directory that holds the entry `name` of a population now, if any; before
    /// entries move, without a look: what is missing shows when it is opened.
    fn holder(&self, population: Population, name: &Name) -> Result<Option<&T::Dir>> {
        if self.coming != Coming::Unknown {
            return Ok(Some(match population {
                Population::Old if self.is_staged(name) => &self.staging,
                Population::Old => self.root,
                Population::New => &self.incoming,
            }));
        }
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
        if [from.1, to.1].contains(&&ETC) {
            self.etc.set(None);
        }
        rename(self.tree, from, to)
    }
}

/// Gives a file of NixOS another name in the root; a run that turns the revert round
/// has to know it.
fn note_aside<T: Tree>(
    tree: &T,
    root: &T::Dir,
    meta: &T::Dir,
    intent: &mut Intent,
    name: &Name,
) -> Result<Name> {
    let dated = intent.started.dated(name);
    // Also of the old population something may have that name, where a clock stands still.
    let mut at = 0;
    while intent.moves(&dated.numbered(at)) || tree.stat(root, &dated.numbered(at))?.is_some() {
        at += 1;
    }
    let dated = dated.numbered(at);
    // In its place: who goes through the list meets each name once.
    match intent.aside.iter_mut().find(|(aside, _)| aside == name) {
        Some((_, known)) => known.clone_from(&dated),
        None => intent.aside.push((name.clone(), dated.clone())),
    }
    write_intent(tree, meta, &intent.to_text())?;
    tree.sync(root)?;
    Ok(dated)
}

fn gave_way(name: &Name, dated: &Name) -> String {
    format!("'{name}' of NixOS could not leave the root: it is '{dated}' now")
}

fn open<T: Tree>(tree: &T, dir: &T::Dir, name: &Name) -> Result<T::Dir> {
    let opened = tree.open(dir, std::slice::from_ref(name))?;
    opened.ok_or_else(|| Stop::changed(format!("'{}' is no directory", tree.show(dir, Some(name)))))
}

/// Renames; what has the new name already is a conflict.
pub(crate) fn rename<T: Tree>(
    tree: &T,
    from: (&T::Dir, &Name),
    to: (&T::Dir, &Name),
) -> Result<Moved> {
    match tree.rename(from, to)? {
        Moved::Taken => Err(conflict(tree, from, to)),
        moved => Ok(moved),
    }
}

fn conflict<T: Tree>(tree: &T, from: (&T::Dir, &Name), to: (&T::Dir, &Name)) -> Stop {
    Stop::Root(Box::new(Trouble::Conflict {
        from: tree.show(from.0, Some(from.1)),
        to: tree.show(to.0, Some(to.1)),
    }))
}
