//! What `purge` knows before it judges: the old roots and the like, with what
//! is mounted and in progress around them.

use crate::engine::facts::{Environment, Marker};
use crate::engine::time::Timestamp;
use crate::fs::name::RelPath;
use crate::fs::sys::{Kind, Stat};
use crate::machine::uses::Use;

/// What a directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// `old-root`, or `old-root-TIME`.
    OldRoot,
    /// `nixos-root`, or `nixos-root-TIME`: what a revert set aside.
    NixosRoot,
    /// What an interrupted purge left.
    Leftover,
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Where, below the root: a leftover may have moved into an old root.
    pub path: RelPath,
    /// What it is by its name.
    pub sort: Sort,
    /// What it is really.
    pub kind: Kind,
    /// Another file system is mounted on it.
    pub mounted: bool,
    /// It holds a `.lustrate`.
    pub ours: bool,
    /// It is immutable or append-only itself.
    pub flagged: bool,
    /// The system in it, by its os-release.
    pub system: Option<String>,
    /// How many entries it has.
    pub entries: u64,
    /// When its exchange was, by the record, or else by the directory's times.
    pub time: Timestamp,
    /// The system in it was still at work then. When that is later, the clock was
    /// wrong in the initrd, as on boards without one of their own.
    pub alive: Timestamp,
}

impl Candidate {
    /// What the stat(2) of a name tells.
    #[must_use]
    pub(crate) fn new(path: RelPath, sort: Sort, stat: &Stat, mounted: bool) -> Self {
        Self {
            path,
            sort,
            kind: stat.kind,
            mounted,
            ours: false,
            flagged: stat.flags != 0,
            system: None,
            entries: 0,
            time: Timestamp(u64::try_from(stat.modified.0).unwrap_or(0)),
            alive: Timestamp(0),
        }
    }

    /// The time that its age is counted from.
    #[must_use]
    pub(crate) fn since(&self) -> Timestamp {
        self.time.max(self.alive)
    }
}
/// Everything that is judged.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The system around the root.
    pub environment: Environment,
    /// What below the root is in use.
    pub in_use: Vec<Use>,
    /// What `prepare` has saved of a system that is not the root any more.
    pub saved: Option<RelPath>,
    /// The candidates, in the order of the names.
    pub candidates: Vec<Candidate>,
    /// An exchange is in progress.
    pub in_progress: bool,
    /// The marker.
    pub marker: Marker,
    /// The time now.
    pub now: Timestamp,
}

impl Found {
    /// A path below the root for a message.
    #[must_use]
    pub(crate) fn show(&self, path: &impl std::fmt::Display) -> String {
        format!("{}/{path}", self.environment.root.trim_end_matches('/'))
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Choice {
    /// Only these, as they were written.
    pub names: Vec<Vec<u8>>,
    /// The newest that stay.
    pub keep: usize,
    /// Only what is older.
    pub older_than: Option<super::age::Age>,
}
