//! The engine of `prepare` and `cancel`: steps in order, and in the opposite one.
//!
//! It knows nothing of what a step does. What it keeps is the order of writes:
//! the record of a step is on the disk before the step changes anything, and is
//! removed only after the step is undone. So whatever is interrupted, the record
//! covers all that was changed; each step can be carried out and undone from any
//! of its own half-way states.

use serde::{Deserialize, Serialize};

use crate::error::Stop;

/// A `Result` of one operation.
pub(crate) type Result<T> = std::result::Result<T, Stop>;

/// What a look tells about a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// There is something to do: what, for a person.
    Due(String),
    /// It is as it should be, or does not apply: why.
    Skip(String),
}

/// How far a step is, by the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mark {
    /// It may have changed something.
    Begun,
    /// It is done.
    Done,
}

/// Which way the whole goes, by the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Towards NixOS.
    Preparing,
    /// All steps are done.
    Prepared,
    /// Back.
    Cancelling,
}

/// What happened to a step, by its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News<'a> {
    /// It begins.
    Begins(&'a str),
    /// It is done.
    Done(&'a str),
    /// Nothing was to do, and why.
    Skipped(&'a str, &'a str),
    /// It begins to be undone.
    Undoing(&'a str),
    /// It is undone; what could not be, in sentences.
    Undone(&'a str, &'a [String]),
}

/// The record. Every change is on the disk, in one piece, when a call returns.
pub(crate) trait Ledger {
    /// Which way it goes; `None` without a record.
    fn phase(&self) -> Option<Phase>;

    /// Notes which way it goes; makes the record where there is none.
    fn set_phase(&mut self, phase: Phase) -> Result<()>;

    /// How far a step is.
    fn mark(&self, step: &str) -> Option<Mark>;

    /// Notes how far a step is, and what [`Step::record`] has put aside.
    fn set_mark(&mut self, step: &str, mark: Option<Mark>) -> Result<()>;

    /// Removes the record; all steps are undone.
    fn end(&mut self) -> Result<()>;

    /// Stops here when somebody asked for it.
    ///
    /// # Errors
    /// [`Stop`] when so.
    fn pause(&self) -> Result<()>;

    /// Tells what happened.
    fn tell(&self, news: News<'_>);
}

/// One thing that `prepare` does.
pub(crate) trait Step<W: Ledger> {
    /// Its name in the record; never changed.
    fn name(&self) -> &'static str;

    /// What it is, for a person.
    fn title(&self) -> &'static str;

    /// Whether there is something to do. Reads only.
    fn look(&self, world: &W) -> Result<Look>;

    /// Puts into the record what [`Step::undo`] will need. Changes nothing
    /// outside the record, and loses nothing that is in it.
    fn record(&self, world: &mut W) -> Result<()>;

    /// Does it, or goes on with it; on the disk when it returns.
    ///
    /// # Errors
    /// When it could not be done; it can be repeated and undone.
    fn carry_out(&self, world: &mut W) -> Result<()>;

    /// Undoes it, or goes on with that; on the disk when it returns. What cannot
    /// be undone comes back, in sentences.
    ///
    /// # Errors
    /// When it could not be undone; it can be repeated.
    fn undo(&self, world: &mut W) -> Result<Vec<String>>;
}

/// All steps, in their order.
pub(crate) type Steps<'a, W> = [&'a dyn Step<W>];

/// Carries out what is due, in order. A cancel that was interrupted is ended
/// first: half of a record says nothing about the other half.
///
/// # Errors
/// The first that a step or the record reports.
pub(crate) fn forward<W: Ledger>(steps: &Steps<'_, W>, world: &mut W) -> Result<()> {
    if world.phase() == Some(Phase::Cancelling) {
        backward(steps, world)?;
    }
    let mut changed = false;
    for step in steps {
        world.pause()?;
        let (name, mark) = (step.name(), world.mark(step.name()));
        match (step.look(world)?, mark) {
            (Look::Skip(_), Some(Mark::Begun)) => {
                world.set_mark(name, Some(Mark::Done))?;
                world.tell(News::Done(step.title()));
                continue;
            }
            (Look::Skip(why), _) => {
                world.tell(News::Skipped(step.title(), &why));
                continue;
            }
            (Look::Due(_), _) => {}
        }
        if !changed {
            world.set_phase(Phase::Preparing)?;
            changed = true;
        }
        step.record(world)?;
        world.set_mark(name, Some(Mark::Begun))?;
        world.tell(News::Begins(step.title()));
        step.carry_out(world)?;
        world.set_mark(name, Some(Mark::Done))?;
        world.tell(News::Done(step.title()));
    }
    if world.phase() == Some(Phase::Preparing) {
        world.set_phase(Phase::Prepared)?;
    }
    Ok(())
}

/// Undoes all that the record knows of, the last first. What could not be
/// undone comes back.
///
/// # Errors
/// The first that a step or the record reports.
pub(crate) fn backward<W: Ledger>(steps: &Steps<'_, W>, world: &mut W) -> Result<Vec<String>> {
    world.set_phase(Phase::Cancelling)?;
    let mut rest = Vec::new();
    for step in steps.iter().rev() {
        world.pause()?;
        let name = step.name();
        if world.mark(name).is_some() {
            world.tell(News::Undoing(step.title()));
            let left = step.undo(world)?;
            world.set_mark(name, None)?;
            world.tell(News::Undone(step.title(), &left));
            rest.extend(left);
        }
    }
    world.end()?;
    Ok(rest)
}

#[cfg(test)]
mod model;
