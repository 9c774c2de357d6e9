//! `etc`, which is exchanged last, so that `/etc` and a marker in it are there
//! at every instant: stage 1 asks for that marker before it calls us (I5).

use super::{Exchange, Population, Result};
use crate::engine::names::ETC;
use crate::error::Stop;
use crate::fs::tree::{Moved, Tree};

/// One of the directories that can hold an `etc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    Staging,
    Incoming,
}

/// Whose `etc` is where. The old one is known by its inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Etc {
    root: Option<Population>,
    staging: Option<Population>,
    incoming: Option<Population>,
}

/// A step towards the arriving `etc` in the root and the leaving one at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Exchange(Place, Place),
    Rename(Place, Place),
}

impl<T: Tree> Exchange<'_, T> {
    pub(super) fn place(&self, place: Place) -> &T::Dir {
        match place {
            Place::Root => self.root,
            Place::Staging => &self.staging,
            Place::Incoming => &self.incoming,
        }
    }

    fn etc(&self) -> Result<Etc> {
        if let Some(known) = self.etc.get() {
            return Ok(known);
        }
        let etc = Etc {
            root: self.whose_etc(Place::Root)?,
            staging: self.whose_etc(Place::Staging)?,
            incoming: self.whose_etc(Place::Incoming)?,
        };
        self.etc.set(Some(etc));
        Ok(etc)
    }

    fn whose_etc(&self, place: Place) -> Result<Option<Population>> {
        let found = self.tree.stat(self.place(place), &ETC)?;
        Ok(found.map(|stat| {
            let old = self.intent.etc == Some(stat.inode);
            if old { Population::Old } else { Population::New }
        }))
    }

    /// Where the `etc` of a population is.
    pub(super) fn etc_holder(&self, population: Population) -> Result<Option<Place>> {
        let etc = self.etc()?;
        let places = [Place::Root, Place::Staging, Place::Incoming];
        Ok(places.into_iter().find(|place| held(etc, *place) == Some(population)))
    }

    /// Brings the arriving `etc` into the root and the leaving one home, from
    /// wherever an interruption left them.
    pub(super) fn exchange_etc(&mut self, out: Population, coming: Population) -> Result<()> {
        if self.intent.pin(&ETC).is_some() {
            return Ok(());
        }
        let leaves = self.etc()?.root == Some(out);
        while let Some(step) = next(self.etc()?, out, coming) {
            if let Err(stop) = self.step(step, out, coming) {
                if self.whose_etc(Place::Root)? != Some(out) {
                    return Err(stop);
                }
                self.tolerated(stop)?;
                self.give_way(&ETC)?;
                if self.whose_etc(Place::Root)? == Some(out) {
                    // Not even that: the old one cannot come.
                    return Err(Stop::changed(format!("'{ETC}' of NixOS cannot leave the root")));
                }
            }
        }
        self.done.displaced += usize::from(leaves);
        Ok(())
    }

    fn step(&self, step: Step, out: Population, coming: Population) -> Result<()> {
        match step {
            Step::Exchange(a, b) => {
                let (a_dir, b_dir) = (self.place(a), self.place(b));
                self.etc.set(None);
                if !self.tree.exchange((a_dir, &ETC), (b_dir, &ETC))? {
                    // Two renames then; between them only the staging
                    // directory tells that an exchange is in progress.
                    let spare = if b == home(out) { (b, home(coming)) } else { (a, home(out)) };
                    self.move_etc(spare.0, spare.1)?;
                }
                Ok(())
            }
            Step::Rename(from, to) => self.move_etc(from, to),
        }
    }

    fn move_etc(&self, from: Place, to: Place) -> Result<()> {
        match self.rename((self.place(from), &ETC), (self.place(to), &ETC))? {
            Moved::Missing => {
                let path = self.tree.show(self.place(from), Some(&ETC));
                Err(Stop::changed(format!("'{path}' vanished while it was being moved")))
            }
            _ => Ok(()),
        }
    }
}

fn home(population: Population) -> Place {
    match population {
        Population::Old => Place::Staging,
        Population::New => Place::Incoming,
    }
}

fn held(etc: Etc, place: Place) -> Option<Population> {
    match place {
        Place::Root => etc.root,
        Place::Staging => etc.staging,
        Place::Incoming => etc.incoming,
    }
}

/// The next step, none when the arriving `etc` is in place.
fn next(etc: Etc, out: Population, coming: Population) -> Option<Step> {
    let (out_home, in_home) = (home(out), home(coming));
    let step = match (etc.root, held(etc, out_home), held(etc, in_home)) {
        (Some(root), _, Some(at)) if root == out && at == coming => {
            Step::Exchange(Place::Root, in_home)
        }
        (Some(root), Some(at), _) if root == out && at == coming => {
            Step::Exchange(Place::Root, out_home)
        }
        // Also when another of that population is at home: then a conflict.
        (Some(root), ..) if root == out => Step::Rename(Place::Root, out_home),
        (_, None, Some(at)) if at == out => Step::Rename(in_home, out_home),
        (None, _, Some(at)) if at == coming => Step::Rename(in_home, Place::Root),
        (None, Some(at), _) if at == coming => Step::Rename(out_home, Place::Root),
        _ => return None,
    };
    Some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From each of the 27 distributions, with at most one `etc` of either
    /// population, the steps end, and never leave a root without an `etc` that
    /// had one.
    #[test]
    fn any_distribution_ends_in_place() {
        let all = [None, Some(Population::Old), Some(Population::New)];
        for at in 0..27 {
            let (root, staging, incoming) = (all[at / 9], all[at / 3 % 3], all[at % 3]);
            let etc = Etc { root, staging, incoming };
            let count = |p| [root, staging, incoming].iter().filter(|h| **h == Some(p)).count();
            if count(Population::Old) > 1 || count(Population::New) > 1 {
                continue;
            }
            for (out, coming) in
                [(Population::Old, Population::New), (Population::New, Population::Old)]
            {
                let mut now = etc;
                let mut steps = 0;
                while let Some(step) = next(now, out, coming) {
                    let (a, b) = match step {
                        Step::Exchange(a, b) | Step::Rename(a, b) => (a, b),
                    };
                    if let Step::Rename(..) = step {
                        assert_eq!(
                            held(now, b),
                            None,
                            "a rename that would replace: {now:?} {step:?}"
                        );
                    }
                    now = swapped(now, a, b);
                    if count(coming) == 1 {
                        assert!(now.root.is_some() || etc.root.is_none(), "{etc:?} {now:?}");
                    }
                    steps += 1;
                    assert!(steps < 5, "no end from {etc:?}");
                }
                assert_ne!(now.root, Some(out), "{etc:?}");
                if count(coming) == 1 {
                    assert_eq!(now.root, Some(coming), "{etc:?}");
                }
                if count(out) == 1 {
                    let at_home = match home(out) {
                        Place::Staging => now.staging,
                        _ => now.incoming,
                    };
                    assert_eq!(at_home, Some(out), "{etc:?}");
                }
            }
        }
    }

    fn swapped(mut etc: Etc, a: Place, b: Place) -> Etc {
        let before = etc;
        for (place, value) in [(a, held(before, b)), (b, held(before, a))] {
            match place {
                Place::Root => etc.root = value,
                Place::Staging => etc.staging = value,
                Place::Incoming => etc.incoming = value,
            }
        }
        etc
    }
}
