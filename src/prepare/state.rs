//! The state file, `/nix/var/nixos-lustrate/state.json`.
//!
//! It is below `/nix`, which a lustration never moves, so that `cancel` finds it
//! from a rescue shell and a `revert` does not lose it. It is written in one
//! piece and synced before the step that it describes. It names the inode of the
//! `etc` that it was made for: once a lustration has put another `etc` into the
//! root, it describes a system that is not there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::efi::Variables;
use super::files::put;
use super::step::{Mark, Phase, Result};
use super::{saving, steps, text};
use crate::engine::names::NIX;
use crate::error::Refusal;
use crate::fs::disk::{Dir, Disk};
use crate::fs::name::Name;
use crate::fs::tree::Tree;

/// The version of the format.
pub const VERSION: u32 = 1;

/// The directory of the state file, below the root.
pub const HOME: [Name; 3] = [NIX, Name::literal("var"), Name::literal("nixos-lustrate")];
/// In it: the state.
pub const STATE: Name = Name::literal("state.json");
/// What the boot loader's installer said.
pub const LOG: Name = Name::literal("boot-loader.log");
/// Held by whoever is at work, and by the boot loader's installer.
pub const LOCK: Name = Name::literal("lock");

const MAX: usize = 16 << 20;

/// What `prepare` has done, and what `cancel` needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct State {
    /// [`VERSION`].
    pub version: u32,
    /// The version of the program that wrote it.
    pub tool: String,
    /// When `prepare` began.
    pub started: String,
    /// Which way it goes.
    pub phase: PhaseText,
    /// The inode number of the `etc` that is prepared.
    pub etc: u64,
    /// The system, below the root.
    pub system: String,
    /// Neither the old boot loader nor the new one may be whole.
    pub window: bool,
    /// How far each step is; those that have not begun are not listed.
    pub steps: BTreeMap<String, MarkText>,
    /// What the steps have put aside.
    #[serde(default)]
    pub notes: Notes,
}

/// [`Phase`] as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseText {
    /// [`Phase::Preparing`].
    Preparing,
    /// [`Phase::Prepared`].
    Prepared,
    /// [`Phase::Cancelling`].
    Cancelling,
}

/// [`Mark`] as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkText {
    /// [`Mark::Begun`].
    Begun,
    /// [`Mark::Done`].
    Done,
}

/// What the steps have put aside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Notes {
    /// The marker files.
    pub marker: Option<steps::marker::Note>,
    /// How many files list owners in `/nix`.
    pub owners: u32,
    /// The modes of host keys, by path.
    pub keys: BTreeMap<String, u32>,
    /// Whether `/etc/resolv.conf` is replaced.
    pub resolv: bool,
    /// Where the boot files were saved, by place.
    pub saved: BTreeMap<String, saving::Note>,
    /// The EFI variables before.
    pub efi: Option<Variables>,
    /// `/run/current-system` was made for the boot loader's installer.
    pub current_system: bool,
    /// The systems in a store that were named as what to boot before anything was
    /// changed.
    pub named: Option<BTreeSet<String>>,
}

impl From<Phase> for PhaseText {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Preparing => Self::Preparing,
            Phase::Prepared => Self::Prepared,
            Phase::Cancelling => Self::Cancelling,
        }
    }
}

impl From<PhaseText> for Phase {
    fn from(phase: PhaseText) -> Self {
        match phase {
            PhaseText::Preparing => Self::Preparing,
            PhaseText::Prepared => Self::Prepared,
            PhaseText::Cancelling => Self::Cancelling,
        }
    }
}

impl From<Mark> for MarkText {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Begun => Self::Begun,
            Mark::Done => Self::Done,
        }
    }
}

impl From<MarkText> for Mark {
    fn from(mark: MarkText) -> Self {
        match mark {
            MarkText::Begun => Self::Begun,
            MarkText::Done => Self::Done,
        }
    }
}

impl State {
    /// A state in which nothing has been done.
    #[must_use]
    pub fn new(etc: u64, system: String) -> Self {
        Self {
            version: VERSION,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            started: crate::engine::time::Timestamp::now().to_string(),
            phase: PhaseText::Preparing,
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
    /// A refusal when it cannot be read or understood.
    pub fn read(disk: &Disk, home: &Dir) -> std::result::Result<Option<Self>, Refusal> {
        let Some(text) = disk.read(home, &STATE, MAX)? else { return Ok(None) };
        let shown = disk.show(home, Some(&STATE));
        let consequence = "What is to be undone would have been guessed";
        let state: Self = serde_json::from_slice(&text).map_err(|error| {
            Refusal::new(
                format!("{shown} is damaged: {error}"),
                consequence,
                "Bring it back from a backup, or undo by hand what it lists, and remove it",
            )
        })?;
        if state.version > VERSION {
            return Err(Refusal::new(
                format!("{shown} was written by nixos-lustrate {}, a newer one", state.tool),
                consequence,
                "Use that version",
            ));
        }
        if let Some(what) = state.impossible() {
            return Err(Refusal::new(
                format!("{shown} names {what}, which nixos-lustrate never chooses"),
                "What is there would have been removed or changed",
                "Bring the file back from a backup, or undo by hand what it lists, and remove it",
            ));
        }
        Ok(Some(state))
    }

    /// The first path that no `prepare` can have written.
    fn impossible(&self) -> Option<String> {
        let store = [NIX, Name::literal("store")];
        let system = text::path(&self.system).unwrap_or_default();
        if !(self.system.is_empty() || system.len() == 3 && system.starts_with(&store)) {
            let system = &self.system;
            return Some(format!("the system '{system}'"));
        }
        let is_name = |name: &str| text::path(name).is_some_and(|path| path.len() == 1);
        let mut keys = self.notes.keys.keys();
        if let Some(key) = keys.find(|key| !(is_name(key) && key.starts_with("ssh_host_"))) {
            return Some(format!("the host key '{key}'"));
        }
        self.notes.saved.iter().find_map(|(name, note)| note.impossible(name))
    }

    /// Writes it, onto the disk.
    ///
    /// # Errors
    /// Any failure of a system call.
    pub fn write(&self, disk: &Disk, home: &Dir) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        put(disk, home, &STATE, text.as_bytes())
    }
}
