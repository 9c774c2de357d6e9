//! What the preflight reads: facts about a root, judged by [`crate::engine::plan`].
//!
//! Reading and judging are apart so that the judgement is a pure function.

use crate::engine::intent::{Direction, Flagged, Intent};
use crate::engine::keeplist::BadKeep;
use crate::engine::names::{OLD_ROOT, OLD_ROOT_TMP};
use crate::engine::time::Timestamp;
use crate::error::{OpError, Refusal};
use crate::fs::mounts::{Bind, Mount};
use crate::fs::name::{Name, RelPath, word};
use crate::fs::sys::{Space, Stat};
use crate::fs::walk::Found;

/// What the system around the root says.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The path of the root, for messages.
    pub root: String,
    /// What is mounted below the root.
    pub mounts: Vec<Mount>,
    /// Those of them whose content lies in the root.
    pub binds: Vec<Bind>,
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

impl Environment {
    /// Nothing can be changed in a root that is mounted read-only.
    pub(crate) fn unwritable(&self, consequence: &'static str) -> Option<Refusal> {
        let root = &self.root;
        self.read_only.then(|| {
            Refusal::new(
                format!("{root} is mounted read-only"),
                consequence,
                format!("Remount it: mount -o remount,rw {}", word(root)),
            )
        })
    }
}

/// What a command adds to the keep-list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--keep`.
    pub keep: Vec<RelPath>,
    /// `--always`: lustrate without a marker.
    pub always: bool,
    /// `--complete`: take up a stock lustration that was cut after its commit.
    pub complete: bool,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// When its lustration was.
    pub time: Timestamp,
    /// What that one warned of; read with `--always` only.
    pub warnings: Vec<String>,
}

/// Something that stays in the root, and what it leads to in the root (I8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// What stays: `nix`, `boot`, or a mount point.
    pub point: RelPath,
    /// It is a link; else something is mounted there.
    pub link: bool,
    /// What it leads to; `None` for the root itself.
    pub source: Option<Keep>,
}

/// How long inode numbers last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inodes {
    /// As long as the file.
    Lasting,
    /// Files have other devices than their directories: an overlay of several file
    /// systems without `xino`, whose directories have other numbers after each mount.
    Fleeting,
}

/// Whether a directory called `old-root.tmp` is of an exchange (I5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staging {
    /// There is none.
    None,
    /// Nothing is in it but what a run leaves that has not got to its intent.
    Empty,
    /// Somebody's: nothing proves that an exchange is in progress.
    Foreign,
    /// A stock lustration was interrupted, and NixOS has used the root since.
    Used,
    /// An exchange is in progress, or a stock lustration was interrupted.
    Proved,
}

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // each is a fact by itself
pub struct Facts {
    /// The system around the root.
    pub environment: Environment,
    /// `--always`.
    pub always: bool,
    /// What the root directory itself is.
    pub root: Stat,
    /// Its inode flags, with those noted by an interrupted run.
    pub root_flags: u32,
    /// Names in it that differ in case only are the same.
    pub folds_case: bool,
    /// Its entries, sorted.
    pub entries: Vec<Entry>,
    /// The entries of the staging directory, sorted; `None` when there is none.
    pub staged: Option<Vec<Entry>>,
    /// The entries of the new population's home.
    pub incoming: Vec<Entry>,
    /// The marker.
    pub marker: Marker,
    /// How long inode numbers last.
    pub inodes: Inodes,
    /// The marker's own inode flags hinder.
    pub marker_flagged: bool,
    /// What the staging directory is.
    pub staging: Staging,
    /// What stays, and rests on something in the root.
    pub rests: Vec<Rest>,
    /// The keep-list, from the marker and the command line.
    pub keeps: Result<Vec<Keep>, BadKeep>,
    /// The intent in progress, or else the record of `/old-root`.
    pub journal: Journal,
    /// What is to be reverted is finished: the old population is in `/old-root`.
    pub finished: bool,
    /// What is to be reverted holds a system.
    pub system: bool,
    /// An older `/old-root`, when there is one to make room.
    pub older: Option<Older>,
    /// `init=` is there below the root; `None` when it does not matter.
    pub init_found: Option<bool>,
    /// Flags of nested keepers and their directories, from an earlier intent's
    /// keepers, of `etc`, and of the old population's home.
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

    /// The name of the old population's home now.
    #[must_use]
    pub fn home(&self) -> Name {
        if self.finished { OLD_ROOT } else { OLD_ROOT_TMP }
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
