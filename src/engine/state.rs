//! What state a root is in, and what is where. Reads only.

use crate::engine::exchange::read_intent;
use crate::engine::facts::{Environment, Journal, Marker, Staging, Wishes};
use crate::engine::intent::{Direction, Intent};
use crate::engine::names::{LUSTRATE, OLD_ROOT, OLD_ROOT_TMP, RECORD};
use crate::engine::osrelease::system_name;
use crate::engine::survey::{is_nixos_root, is_used, look, older_came_back, stock_keeps, survey};
use crate::engine::time::{Timestamp, is_dated};
use crate::error::{Error, OpError, Refusal};
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve};

/// The states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was or is to be done.
    None,
    /// A marker asks for a lustration.
    Scheduled,
    /// A lustration or a revert is in progress.
    InProgress(Direction),
    /// A stock lustration was interrupted.
    Stock,
    /// Done but for the removal of the in-progress marker.
    Unfinished,
    /// The root was lustrated.
    Done,
    /// And that was reverted.
    Reverted,
}

impl State {
    /// The word in reports and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Scheduled => "scheduled",
            Self::InProgress(_) => "in progress",
            Self::Stock => "interrupted stock lustration",
            Self::Unfinished => "done but for the last step",
            Self::Done => "done",
            Self::Reverted => "reverted",
        }
    }
}

/// A directory that holds a population.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its name in the root.
    pub name: Name,
    /// The system in it, by its os-release.
    pub system: Option<String>,
    /// When its exchange was complete.
    pub finished: Option<Timestamp>,
    /// How many entries it has.
    pub entries: usize,
}

/// Keepers that a stock lustration has not copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub paths: Vec<RelPath>,
    /// NixOS has used the root since: `run --complete` would be refused.
    pub used: bool,
}

/// The state of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The path of the root.
    pub root: String,
    /// The state.
    pub state: State,
    /// The system that the root holds, by its os-release.
    pub system: Option<String>,
    /// While in progress: entries of the old population that are at home, and all.
    pub progress: Option<(usize, usize)>,
    /// The record or intent.
    pub intent: Option<Intent>,
    /// Old roots, and roots that NixOS wrote.
    pub holders: Vec<Holder>,
    /// What a stock lustration was to keep and is not there: it was cut after its
    /// commit, or somebody has removed it since.
    pub missing: Option<Missing>,
    /// What is wrong with the intent or record.
    pub trouble: Option<String>,
}

/// Finds out.
///
/// # Errors
/// [`Error::Refused`] when the root cannot be read.
pub fn status<T: Tree>(tree: &T, root: &T::Dir, environment: Environment) -> Result<Status, Error> {
    let unread = |error| Error::from(Refusal::from(error));
    let shown = environment.root.clone();
    // The direction decides only what a finished root's record says.
    let (wishes, direction) = (Wishes::default(), Direction::Revert);
    let look = look(tree, root).map_err(unread)?;
    let facts = survey(tree, root, look, environment, &wishes, direction).map_err(unread)?;
    let mut holders = Vec::new();
    for entry in &facts.entries {
        let name = &entry.name;
        let may_hold = [OLD_ROOT, OLD_ROOT_TMP].contains(name)
            || is_dated(name, &OLD_ROOT)
            || is_nixos_root(name);
        if may_hold && entry.stat.kind == Kind::Dir {
            holders.extend(holder(tree, root, name).map_err(unread)?);
        }
    }
    let in_progress = !facts.finished;
    let old_root = facts.system && holders.iter().any(|h| h.name == OLD_ROOT);
    let nixos_root = holders.iter().any(|h| is_nixos_root(&h.name));
    let came_back = older_came_back(tree, root).map_err(unread)?;
    let state = match (&facts.marker, &facts.journal) {
        (_, Journal::Good(intent)) if in_progress => State::InProgress(intent.direction),
        (_, Journal::Bad(_)) if in_progress => State::InProgress(Direction::Lustrate),
        // Stopped before it could write an intent: nothing has moved, and it begins anew.
        _ if in_progress && !facts.any_staged() => State::Scheduled,
        _ if in_progress => State::Stock,
        (Marker::InProgress(_), _) => State::Unfinished,
        (Marker::Asks | Marker::NoFile, _) => State::Scheduled,
        (Marker::None, _) if came_back => State::Reverted,
        (Marker::None, _) if old_root => State::Done,
        (Marker::None, _) if nixos_root => State::Reverted,
        (Marker::None, _) => State::None,
    };
    let (intent, trouble) = match facts.journal {
        Journal::Good(intent) => (Some(*intent), None),
        Journal::Bad(why) => (None, Some(why)),
        Journal::None if facts.staging == Staging::Foreign => {
            let path = tree.show(root, Some(&OLD_ROOT_TMP));
            (None, Some(format!("{path} is of no lustration, and left alone")))
        }
        Journal::None => (None, None),
    };
    let progress = intent.as_ref().filter(|_| in_progress).map(|intent| {
        let staged = facts.staged.iter().flatten();
        (staged.filter(|e| intent.moves(&e.name)).count(), intent.old.len())
    });
    let system = system_name(tree, root, root).map_err(unread)?;
    let missing = match state {
        State::Done if cfg!(feature = "full") && intent.is_none() => {
            missing(tree, root, &OLD_ROOT).map_err(unread)?
        }
        State::Stock if facts.staging == Staging::Used => {
            let found =
                if cfg!(feature = "full") { missing(tree, root, &OLD_ROOT_TMP) } else { Ok(None) };
            found.map_err(unread)?.or(Some(Missing { paths: Vec::new(), used: true }))
        }
        _ => None,
    };
    Ok(Status { root: shown, state, system, progress, intent, holders, missing, trouble })
}

fn missing<T: Tree>(tree: &T, root: &T::Dir, home: &Name) -> Result<Option<Missing>, OpError> {
    let Some(home) = tree.open(root, std::slice::from_ref(home))? else { return Ok(None) };
    let keeps = stock_keeps(tree, &home)?;
    let used = is_used(tree, root, &home)?;
    let there = |base, path: &RelPath| Ok(resolve(tree, base, path, Last::Keep)? != Found::Missing);
    let mut paths = Vec::new();
    for path in keeps {
        if there(&home, &path)? && !there(root, &path)? {
            paths.push(path);
        }
    }
    Ok((used || !paths.is_empty()).then_some(Missing { paths, used }))
}

fn holder<T: Tree>(tree: &T, root: &T::Dir, name: &Name) -> Result<Option<Holder>, OpError> {
    let Some(dir) = tree.open(root, std::slice::from_ref(name))? else { return Ok(None) };
    let record = match tree.open(&dir, &[LUSTRATE])? {
        Some(meta) => read_intent(tree, &meta, &RECORD)?,
        None if is_nixos_root(name) => return Ok(None), // somebody else's
        None => None,
    };
    let finished = record.and_then(|record| record.finished);
    let entries = tree.list(&dir)?.iter().filter(|n| **n != LUSTRATE).count();
    Ok(Some(Holder {
        name: name.clone(),
        system: system_name(tree, root, &dir)?,
        finished,
        entries,
    }))
}
