//! What the preflight reads: facts about a root, judged by [`crate::engine::plan`].
//!
//! Reading and judging are apart so that the judgement is a pure function.

use crate::engine::intent::{Direction, Flagged, Intent};
use crate::engine::keeplist::BadKeep;
use crate::engine::time::Timestamp;
use crate::error::OpError;
use crate::fs::mounts::Mount;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{Space, Stat};
use crate::fs::walk::Found;

/// What the system around the root says.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The path of the root, for messages.
    pub root: String,
    /// What is mounted below the root.
    pub mounts: Vec<Mount>,
    /// The root cannot be written to.
    pub read_only: bool,
    /// What is free there; `None` when it does not matter.
    pub space: Option<Space>,
    /// The root is an overlay; whether a rename copies directories up.
    pub overlay_redirects: Option<bool>,
    /// Active swap files below the root.
    pub swaps: Vec<RelPath>,
    /// `init=` of the kernel command line, when this is an initrd.
    pub init: Option<Vec<u8>>,
    /// The user id of this process; what it follows must be its own or root's.
    pub uid: u32,
    /// The id of this boot.
    pub boot_id: String,
}

/// What a command adds to the keep-list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--keep`.
    pub keep: Vec<RelPath>,
    /// `--always`: lustrate without a marker.
    pub always: bool,
}

/// The marker of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// There is none.
    None,
    /// It asks for a lustration.
    Asks,
    /// An exchange is in progress, or only the marker's removal is missing.
    InProgress(Direction),
    /// Something that is no regular file has its name.
    NoFile,
}

/// The intent of an exchange in progress, or the record of a finished one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Journal {
    /// There is none.
    None,
    /// It cannot be followed: what is wrong with it.
    Bad(String),
    /// It can.
    Good(Box<Intent>),
}

/// An entry of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub stat: Stat,
    /// It is a read-only btrfs subvolume.
    pub read_only: bool,
    /// A directory of ours: it holds a `.lustrate`.
    pub ours: bool,
}

/// A line of the keep-list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The path as it was asked for.
    pub asked: RelPath,
    /// What it leads to.
    pub found: Found,
    /// When it is a link: what it leads to.
    pub target: Option<Found>,
}

/// What is known of an older `/old-root`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Older {
    /// When its lustration was.
    pub time: Timestamp,
}

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The system around the root.
    pub environment: Environment,
    /// `--always`.
    pub always: bool,
    /// What the root directory itself is.
    pub root: Stat,
    /// Its inode flags, with those noted by an interrupted run.
    pub root_flags: u32,
    /// Its entries, sorted.
    pub entries: Vec<Entry>,
    /// The entries of the staging directory, sorted; `None` when there is none.
    pub staged: Option<Vec<Entry>>,
    /// The entries of the new population's home.
    pub incoming: Vec<Entry>,
    /// The marker.
    pub marker: Marker,
    /// The marker's own inode flags hinder.
    pub marker_flagged: bool,
    /// The keep-list, from the marker and the command line.
    pub keeps: Result<Vec<Keep>, BadKeep>,
    /// The intent in progress, or else the record of `/old-root`.
    pub journal: Journal,
    /// What is to be reverted is finished: the old population is in `/old-root`.
    pub finished: bool,
    /// An older `/old-root`, when there is one to make room.
    pub older: Option<Older>,
    /// `init=` is there below the root; `None` when it does not matter.
    pub init_found: Option<bool>,
    /// Flags of nested keepers and their directories, from an earlier intent's
    /// keepers.
    pub keeper_flags: Vec<Flagged>,
    /// `boot.bak` of the old population.
    pub boot_bak: Option<u64>,
    /// The time by the clock.
    pub now: Timestamp,
}

impl Facts {
    /// The entry of that name.
    #[must_use]
    pub fn entry(&self, name: &Name) -> Option<&Entry> {
        find(&self.entries, name)
    }

    /// The entry of that name in the staging directory.
    #[must_use]
    pub fn staged(&self, name: &Name) -> Option<&Entry> {
        find(self.staged.as_deref()?, name)
    }
}

fn find<'a>(entries: &'a [Entry], name: &Name) -> Option<&'a Entry> {
    let at = entries.binary_search_by(|e| e.name.cmp(name)).ok()?;
    entries.get(at)
}

/// A `Result` of reading.
pub type Result<T, E = OpError> = std::result::Result<T, E>;
