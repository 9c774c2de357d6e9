//! `run` and `revert`, on any [`Tree`]: look, survey, plan, exchange.

use crate::engine::exchange::{self, Boot, Done, From};
use crate::engine::facts::{Environment, Marker, Staging, Wishes};
use crate::engine::intent::Direction;
use crate::engine::names::{LUSTRATE, MARKER, OLD_ROOT, OLD_ROOT_TMP};
use crate::engine::plan::{Plan, plan};
use crate::engine::survey::{Look, asked_here, look, older_came_back, survey};
use crate::error::{Error, OpError, Refusal, Stop};
use crate::fs::sys::release;
use crate::fs::tree::Tree;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to do.
    Nothing,
    /// The exchange was done already; only its last clean-up was missing.
    Finished(Direction),
    /// Nothing had moved; what had been begun is taken back.
    Withdrawn,
    /// The exchange is done.
    Exchanged(Box<(Plan, Done)>),
}

/// Lustrates, or goes on with it; an interrupted revert is turned round.
///
/// # Errors
/// [`Error::Refused`] with nothing touched, [`Error::Stopped`] part-way.
pub fn run<T: Tree>(
    tree: &T,
    root: &T::Dir,
    environment: Environment,
    wishes: &Wishes,
    announce: impl FnOnce(&Plan),
) -> Result<Outcome, Error> {
    let look = look(tree, root).map_err(unread)?;
    match (look.in_progress(), &look.marker) {
        (false, Marker::InProgress(direction)) => finish(tree, root, &environment, *direction),
        (false, Marker::None) if cfg!(feature = "full") && wishes.complete => {
            complete(tree, root, look, environment, wishes, announce)
        }
        (false, Marker::None) if !wishes.always => Ok(Outcome::Nothing),
        _ => {
            let plan = judge_looked(tree, root, look, environment, wishes, Direction::Lustrate)?;
            announce(&plan);
            exchange(tree, root, plan, Boot::Exchange)
        }
    }
}

/// Takes up a stock lustration that was cut after its commit, while it copied
/// keepers: with its old root half-done again, the originals come.
fn complete<T: Tree>(
    tree: &T,
    root: &T::Dir,
    looked: Look,
    environment: Environment,
    wishes: &Wishes,
    announce: impl FnOnce(&Plan),
) -> Result<Outcome, Error> {
    let Some(home) = tree.open(root, &[OLD_ROOT]).map_err(unread)? else {
        return Ok(Outcome::Nothing);
    };
    let ours = tree.stat(&home, &LUSTRATE).map_err(unread)?.is_some();
    if ours || !asked_here(tree, &home).map_err(unread)? {
        return Ok(Outcome::Nothing);
    }
    let direction = Direction::Lustrate;
    judge_looked(tree, root, looked, environment.clone(), wishes, direction)?;
    exchange::rename(tree, (root, &OLD_ROOT), (root, &OLD_ROOT_TMP))?;
    tree.sync(root).map_err(Stop::from)?;
    let looked = look(tree, root).map_err(unread)?;
    let plan = judge_looked(tree, root, looked, environment, wishes, direction)?;
    announce(&plan);
    exchange(tree, root, plan, Boot::Exchange)
}

/// Brings the old population back, from wherever a lustration is.
///
/// # Errors
/// [`Error::Refused`] with nothing touched, [`Error::Stopped`] part-way.
pub fn revert<T: Tree>(
    tree: &T,
    root: &T::Dir,
    environment: Environment,
    boot: Boot,
    announce: impl FnOnce(&Plan),
) -> Result<Outcome, Error> {
    let look = look(tree, root).map_err(unread)?;
    let may = may_revert(tree, root, &look)?;
    // Beside a finished one, it is that which is meant; it makes room for it.
    let finished = may && look.marker == Marker::None;
    let left = if finished { Staging::None } else { look.staging };
    match (may, look.in_progress(), &look.marker) {
        (false, _, Marker::InProgress(direction)) => {
            return finish(tree, root, &environment, *direction);
        }
        // A run that was interrupted before it could write an intent.
        (_, false, _) if exchange::withdraw(tree, root, left)? => {
            return Ok(Outcome::Withdrawn);
        }
        (false, ..) => return Ok(Outcome::Nothing),
        (true, false, Marker::Asks) => return Err(scheduled(&environment).into()),
        (true, ..) => {}
    }
    let (wishes, direction) = (Wishes::default(), Direction::Revert);
    let mut plan = judge_looked(tree, root, look, environment, &wishes, direction)?;
    if boot == Boot::Keep {
        plan.intent.boot_bak = None; // also for whoever goes on with it
    }
    announce(&plan);
    exchange(tree, root, plan, boot)
}

/// A new lustration is asked for and has not begun, and `/old-root` is of an
/// earlier one: to revert that is not what somebody who interrupted the new one
/// means.
fn scheduled(environment: &Environment) -> Refusal {
    let root = environment.root.trim_end_matches('/');
    Refusal::new(
        format!("{root}/etc/{MARKER} asks for a lustration that has not begun"),
        "An earlier one would have been reverted, the one in /old-root",
        format!("If you mean that one, remove the marker first: rm {root}/etc/{MARKER}"),
    )
}

/// Whether there is something that a revert would bring back.
fn may_revert<T: Tree>(tree: &T, root: &T::Dir, look: &Look) -> Result<bool, Error> {
    let done = tree.open(root, &[OLD_ROOT]).map_err(unread)?.is_some();
    Ok(look.in_progress() || (done && !older_came_back(tree, root).map_err(unread)?))
}

/// Judges as `run` and `revert` do, and writes nothing.
///
/// # Errors
/// [`Error::Refused`] with all reasons.
pub fn judge<T: Tree>(
    tree: &T,
    root: &T::Dir,
    environment: Environment,
    wishes: &Wishes,
    direction: Direction,
) -> Result<Plan, Error> {
    let look = look(tree, root).map_err(unread)?;
    judge_looked(tree, root, look, environment, wishes, direction)
}

/// The same, of a root that was looked at already: each call counts.
fn judge_looked<T: Tree>(
    tree: &T,
    root: &T::Dir,
    look: Look,
    environment: Environment,
    wishes: &Wishes,
    direction: Direction,
) -> Result<Plan, Error> {
    let facts = survey(tree, root, look, environment, wishes, direction).map_err(unread)?;
    let plan = plan(&facts, direction).map_err(Error::Refused);
    release(facts.entries);
    release(facts.staged.unwrap_or_default());
    plan
}

fn exchange<T: Tree>(tree: &T, root: &T::Dir, plan: Plan, boot: Boot) -> Result<Outcome, Error> {
    let from = if plan.finished { From::Finished } else { From::Anywhere };
    let done =
        exchange::begin(tree, root, plan.intent.clone(), boot, from, plan.take)?.carry_out()?;
    Ok(Outcome::Exchanged(Box::new((plan, done))))
}

fn finish<T: Tree>(
    tree: &T,
    root: &T::Dir,
    environment: &Environment,
    direction: Direction,
) -> Result<Outcome, Error> {
    let ended = exchange::ended(tree, root, direction).map_err(unread)?;
    let meta = ended.ok_or_else(|| staging_gone(environment))?;
    exchange::finish(tree, root, &meta)?;
    Ok(Outcome::Finished(direction))
}

/// The marker says that an exchange is in progress, and half of the root is not
/// there (I7).
fn staging_gone(environment: &Environment) -> Refusal {
    let root = environment.root.trim_end_matches('/');
    let (marker, staging) = (format!("{root}/etc/{MARKER}"), format!("{root}/{OLD_ROOT_TMP}"));
    Refusal::new(
        format!("{marker} says that files are being moved, and the directory {staging} is gone"),
        "Half a system would have booted",
        format!("Put {staging} back, or, if you want the root as it is: rm {marker}"),
    )
}

fn unread(error: OpError) -> Error {
    Refusal::from(error).into()
}

/// What remains of a stop before anything was changed: a refusal.
#[must_use]
pub fn untouched(error: Error) -> Error {
    match error {
        Error::Stopped(Stop::Op(error)) => unread(error),
        Error::Stopped(stop) => Refusal::new(
            stop.to_string(),
            "Nothing could be moved",
            "Try again, or look into the root",
        )
        .into(),
        error => error,
    }
}
