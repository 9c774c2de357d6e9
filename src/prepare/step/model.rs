//! The engine on steps in memory, with the power cut after every write, again in
//! what follows, and then taken to either end.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::{Ledger, Look, Mark, News, Phase, Result, Step, Steps, backward, forward};
use crate::error::Stop;

/// What is on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Written {
    /// What steps have written, and what was there.
    cells: BTreeMap<String, u8>,
    phase: Option<Phase>,
    marks: BTreeMap<String, Mark>,
    /// What steps have recorded: the cells as they were.
    notes: BTreeMap<String, BTreeMap<String, Option<u8>>>,
}

/// The machine while it has power.
struct World {
    disk: RefCell<Written>,
    /// In memory until the record is written.
    notes: BTreeMap<String, BTreeMap<String, Option<u8>>>,
    /// Writes until the power goes.
    left: Cell<usize>,
    writes: Cell<usize>,
}

impl World {
    fn new(disk: Written, left: usize) -> Self {
        let notes = disk.notes.clone();
        Self { disk: RefCell::new(disk), notes, left: Cell::new(left), writes: Cell::new(0) }
    }

    fn write(&self, change: impl FnOnce(&mut Written)) -> Result<()> {
        if self.left.get() == 0 {
            return Err(Stop::interrupted());
        }
        self.left.set(self.left.get() - 1);
        self.writes.set(self.writes.get() + 1);
        change(&mut self.disk.borrow_mut());
        self.check();
        Ok(())
    }

    /// P1: no boot loader of NixOS, not even a part of it, without the marker; and
    /// nothing is changed that the record does not know.
    fn check(&self) {
        let disk = self.disk.borrow();
        let is = |cell: &str, value| disk.cells.get(cell) == Some(&value);
        if is("loader-0", 2) || is("loader-1", 2) {
            assert!(is("marker-0", 2) && is("marker-1", 2), "NixOS without the marker: {disk:?}");
            assert!(is("saved-0", 2) && is("saved-1", 2), "not saved: {disk:?}");
        }
        for (cell, value) in &disk.cells {
            let step = cell.split('-').next().unwrap_or_default();
            let known = disk.marks.contains_key(step) && disk.notes.contains_key(step);
            assert!(*value == 1 || known, "{cell} is not in the record: {disk:?}");
        }
    }
}

impl Ledger for World {
    fn phase(&self) -> Option<Phase> {
        self.disk.borrow().phase
    }

    fn set_phase(&mut self, phase: Phase) -> Result<()> {
        self.write(|disk| disk.phase = Some(phase))
    }

    fn mark(&self, step: &str) -> Option<Mark> {
        self.disk.borrow().marks.get(step).copied()
    }

    fn set_mark(&mut self, step: &str, mark: Option<Mark>) -> Result<()> {
        let notes = self.notes.clone();
        self.write(|disk| {
            match mark {
                Some(mark) => disk.marks.insert(step.to_owned(), mark),
                None => disk.marks.remove(step),
            };
            disk.notes = notes;
        })
    }

    fn end(&mut self) -> Result<()> {
        self.notes.clear();
        self.write(|disk| {
            disk.phase = None;
            disk.marks.clear();
            disk.notes.clear();
        })
    }

    fn pause(&self) -> Result<()> {
        Ok(())
    }

    fn tell(&self, _: News<'_>) {}
}

/// A step that writes two cells, and records what they held.
struct Two(&'static str);

impl Two {
    fn cells(&self) -> [String; 2] {
        [0, 1].map(|n| format!("{}-{n}", self.0))
    }
}

impl Step<World> for Two {
    fn name(&self) -> &'static str {
        self.0
    }

    fn title(&self) -> &'static str {
        self.0
    }

    fn look(&self, world: &World) -> Result<Look> {
        let disk = world.disk.borrow();
        let done = self.cells().iter().all(|cell| disk.cells.get(cell) == Some(&2));
        Ok(if done { Look::Skip(String::new()) } else { Look::Due(String::new()) })
    }

    fn record(&self, world: &mut World) -> Result<()> {
        let disk = world.disk.borrow();
        let note = self.cells().map(|cell| (cell.clone(), disk.cells.get(&cell).copied()));
        drop(disk);
        world.notes.entry(self.0.to_owned()).or_insert_with(|| note.into_iter().collect());
        Ok(())
    }

    fn carry_out(&self, world: &mut World) -> Result<()> {
        self.cells().into_iter().try_for_each(|cell| {
            world.write(|disk| {
                disk.cells.insert(cell, 2);
            })
        })
    }

    fn undo(&self, world: &mut World) -> Result<Vec<String>> {
        let note = world.notes.get(self.0).cloned().expect("a record of what was there");
        for (cell, old) in note.into_iter().rev() {
            world.write(|disk| {
                match old {
                    Some(old) => disk.cells.insert(cell, old),
                    None => disk.cells.remove(&cell),
                };
            })?;
        }
        world.notes.remove(self.0);
        Ok(Vec::new())
    }
}

const STEPS: &Steps<'static, World> = &[&Two("marker"), &Two("nix"), &Two("saved"), &Two("loader")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    On,
    Back,
}

/// Goes a way until the power goes; what is on the disk then, and how many writes
/// that took.
fn go(disk: &Written, way: Course, left: usize) -> (Written, usize, bool) {
    let mut world = World::new(disk.clone(), left);
    let done = match way {
        Course::On => forward(STEPS, &mut world),
        // What there is no record of is not undone.
        Course::Back if world.phase().is_none() => Ok(()),
        Course::Back => backward(STEPS, &mut world).map(drop),
    };
    (world.disk.into_inner(), world.writes.get(), done.is_ok())
}

#[test]
fn a_power_cut_after_any_write_and_again_after_any_is_taken_to_either_end() {
    // One of the cells was there, and one step is done already.
    let mut start = Written::default();
    start.cells.insert("loader-0".into(), 1);
    start.cells.insert("nix-1".into(), 1);
    let (prepared, all, done) = go(&start, Course::On, usize::MAX);
    assert!(done && prepared.phase == Some(Phase::Prepared));
    let (cancelled, ..) = go(&prepared, Course::Back, usize::MAX);
    assert_eq!(cancelled, start);
    let (mut states, mut cases) = (BTreeSet::new(), 0);
    for (from, first) in [(&start, Course::On), (&prepared, Course::Back)] {
        for cut in 0..=all + 12 {
            let (half, ..) = go(from, first, cut);
            states.insert(format!("{half:?}"));
            for second in [Course::On, Course::Back] {
                for again in 0..=all + 12 {
                    let (half, ..) = go(&half, second, again);
                    let (on, _, done) = go(&half, Course::On, usize::MAX);
                    assert!(done && on == prepared, "{first:?} {cut} {second:?} {again}: {on:?}");
                    let (back, _, done) = go(&half, Course::Back, usize::MAX);
                    assert!(done && back == start, "{first:?} {cut} {second:?} {again}: {back:?}");
                    cases += 2;
                }
            }
        }
    }
    assert!(states.len() > 20 && cases > 4_000, "{} states, {cases} cases", states.len());
}

#[test]
fn what_is_as_it_should_be_leaves_no_record() {
    let mut start = Written::default();
    for step in STEPS {
        for n in [0, 1] {
            start.cells.insert(format!("{}-{n}", step.name()), 2);
        }
    }
    let mut world = World::new(start.clone(), usize::MAX);
    forward(STEPS, &mut world).expect("nothing to do");
    assert_eq!(world.disk.into_inner(), start);
}
