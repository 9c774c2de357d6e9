//! The state file, `/nix/var/nixos-lustrate/state.json`.
//!
//! It is below `/nix`, which a lustration never moves, so that `cancel` finds it
//! from a rescue shell and a `revert` does not lose it. It is written in one
//! piece and synced before the step that it describes. It names the inode of the
//! `etc` that it was made for: once a lustration has put another `etc` into the
//! root, it describes a system that is not there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::durable::{not_json, put};
use super::escape;
use super::notes::{AnyKey, Notes, Wrong};
use super::step::{Mark, Phase, Result};
use crate::engine::names::NIX;
use crate::error::Refusal;
use crate::fs::disk::{Dir, Disk};
use crate::fs::name::Name;
use crate::fs::tree::Tree;

/// The version of the format.
pub(crate) const VERSION: u32 = 1;

/// The directory of the state file, below the root.
pub(crate) const HOME: [Name; 3] = [NIX, Name::literal("var"), Name::literal("nixos-lustrate")];
/// In it: the state.
pub(crate) const STATE: Name = Name::literal("state.json");
/// What the boot loader's installer said.
pub(crate) const LOG: Name = Name::literal("boot-loader.log");
/// Held by whoever is at work, and by the boot loader's installer.
pub(crate) const LOCK: Name = Name::literal("lock");

const MAX: usize = 16 << 20;

/// What `prepare` has done, and what `cancel` needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct State {
    /// [`VERSION`].
    pub version: u32,
    /// The version of the program that wrote it.
    pub tool: String,
    /// When `prepare` began.
    pub started: String,
    /// Which way it goes.
    pub phase: Phase,
    /// The inode number of the `etc` that is prepared.
    pub etc: u64,
    /// The system, below the root.
    pub system: String,
    /// Neither the old boot loader nor the new one may be whole.
    pub window: bool,
    /// How far each step is; those that have not begun are not listed.
    pub steps: BTreeMap<String, Mark>,
    /// What the steps have put aside.
    #[serde(default)]
    pub notes: Notes,
}

impl State {
    /// A state in which nothing has been done.
    #[must_use]
    pub(crate) fn new(etc: u64, system: String) -> Self {
        Self {
            version: VERSION,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            started: crate::engine::time::Timestamp::now().to_string(),
            phase: Phase::Preparing,
            etc,
            system,
            window: false,
            steps: BTreeMap::new(),
            notes: Notes::default(),
        }
    }

    /// Reads it; `None` when there is none.
    ///
    /// # Errors
    /// A refusal when it cannot be read or understood, or when one of the `known`
    /// notes is wrong.
    pub(crate) fn read(
        disk: &Disk,
        home: &Dir,
        known: &[&dyn AnyKey],
    ) -> std::result::Result<Option<Self>, Refusal> {
        let Some(text) = disk.read(home, &STATE, MAX)? else { return Ok(None) };
        let shown = disk.show(home, Some(&STATE));
        let consequence = "What is to be undone would have been guessed";
        let damaged = |error: serde_json::Error| {
            Refusal::new(
                format!("{shown} is damaged: {error}"),
                consequence,
                "Bring it back from a backup, or undo by hand what it lists, and remove it",
            )
        };
        let state: Self = serde_json::from_slice(&text).map_err(damaged)?;
        if state.version > VERSION {
            return Err(Refusal::new(
                format!("{shown} was written by nixos-lustrate {}, a newer one", state.tool),
                consequence,
                "Use that version",
            ));
        }
        let wrong = known.iter().find_map(|key| key.wrong(&state.notes).transpose());
        match state.wrong_system().map(Ok).or(wrong).transpose().map_err(damaged)? {
            None => Ok(Some(state)),
            Some(Wrong::Never(what)) => Err(Refusal::new(
                format!("{shown} names {what}, which nixos-lustrate never chooses"),
                "What is there would have been removed or changed",
                "Bring the file back from a backup, or undo by hand what it lists, and remove it",
            )),
            Some(Wrong::Earlier(did)) => Err(Refusal::new(
                format!("{shown} was written by nixos-lustrate {}, which {did}", state.tool),
                "This version cannot undo that",
                "Use that version",
            )),
        }
    }

    /// A system that is in no store.
    fn wrong_system(&self) -> Option<Wrong> {
        let store = [NIX, Name::literal("store")];
        let system = escape::path(&self.system).unwrap_or_default();
        let is_system = self.system.is_empty() || system.len() == 3 && system.starts_with(&store);
        (!is_system).then(|| Wrong::Never(format!("the system '{}'", self.system)))
    }

    /// Writes it, onto the disk.
    pub(crate) fn write(&self, disk: &Disk, home: &Dir) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| not_json(&error))?;
        text.push('\n');
        put(disk, home, &STATE, text.as_bytes())
    }
}
