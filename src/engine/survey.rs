//! Reads a root: everything that a plan needs, and nothing is written (I6).

use crate::engine::exchange::{self, HINDERING, direction_of};
use crate::engine::facts::{Entry, Environment, Facts, Journal, Marker, Older, Result, Wishes};
use crate::engine::intent::Direction;
use crate::engine::names::{
    BOOT_BAK, ETC, LUSTRATE, MARKER, NEW, NIX, NIXOS_ROOT, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP,
    RW_ETC, UPPER,
};
use crate::engine::time::Timestamp;
use crate::error::{OpError, Stop};
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{Kind, Stat};
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve};

mod journal;
mod keeps;

pub(crate) use journal::older_came_back;

use journal::journal;
use keeps::{keeper_flags, keeps};

/// What a few system calls tell: whether there is anything to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// The staging directory is there.
    pub staging: bool,
    /// A revert is in its last steps.
    pub closing: bool,
    /// The marker.
    pub marker: Marker,
}

impl Look {
    /// Whether an exchange is in progress.
    #[must_use]
    pub(crate) fn in_progress(&self) -> bool {
        self.staging || self.closing
    }
}

/// Looks whether there is anything to do.
///
/// # Errors
/// What the file system answers.
pub(crate) fn look<T: Tree>(tree: &T, root: &T::Dir) -> Result<Look> {
    look_in(tree, root, tree.open(root, &[ETC])?.as_ref())
}

/// The same, with `etc` open already: each call counts when there is nothing to do.
///
/// # Errors
/// What the file system answers.
pub(crate) fn look_in<T: Tree>(tree: &T, root: &T::Dir, etc: Option<&T::Dir>) -> Result<Look> {
    let staging = tree.stat(root, &OLD_ROOT_TMP)?.is_some_and(|s| s.kind == Kind::Dir);
    let closing = !staging
        && tree.stat(root, &NIXOS_ROOT_TMP)?.is_some_and(|s| s.kind == Kind::Dir)
        && tree.open(root, &[NIXOS_ROOT_TMP, LUSTRATE])?.is_some();
    let marker = match etc {
        Some(etc) => marker_in(tree, etc)?,
        None => marker_through_link(tree, root)?,
    };
    let marker = match (marker, tree.open(root, &[RW_ETC, UPPER])?) {
        (Marker::None, Some(upper)) => marker_in(tree, &upper)?,
        (marker, _) => marker,
    };
    Ok(Look { staging, closing, marker })
}

fn marker_in<T: Tree>(tree: &T, etc: &T::Dir) -> Result<Marker> {
    Ok(match tree.stat(etc, &MARKER)? {
        None => Marker::None,
        Some(stat) if stat.kind != Kind::File => Marker::NoFile,
        Some(_) => {
            let content = tree.read(etc, &MARKER, exchange::LONGEST_MARKER)?.unwrap_or_default();
            direction_of(&content).map_or(Marker::Asks, Marker::InProgress)
        }
    })
}

/// `etc` is a link (the plan refuses that): is there a marker behind it?
fn marker_through_link<T: Tree>(tree: &T, root: &T::Dir) -> Result<Marker> {
    if tree.stat(root, &ETC)?.is_none_or(|stat| stat.kind != Kind::Link) {
        return Ok(Marker::None);
    }
    let path = RelPath::new(vec![ETC, MARKER]);
    let found = path.map(|path| resolve(tree, root, &path, Last::Keep)).transpose()?;
    Ok(match found {
        Some(Found::Here { stat, .. }) if stat.kind == Kind::File => Marker::Asks,
        Some(Found::Here { .. }) => Marker::NoFile,
        _ => Marker::None,
    })
}

/// Reads everything that a plan in this direction is made from, after a [`look`].
///
/// # Errors
/// What the file system answers.
pub(crate) fn survey<T: Tree>(
    tree: &T,
    root: &T::Dir,
    look: Look,
    environment: Environment,
    wishes: &Wishes,
    direction: Direction,
) -> Result<Facts> {
    let staging = tree.open(root, &[OLD_ROOT_TMP])?;
    let incoming = match &staging {
        Some(staging) => match tree.open(root, &[NIXOS_ROOT_TMP])? {
            None => tree.open(staging, &[LUSTRATE, NEW])?,
            incoming => incoming,
        },
        None if look.closing => tree.open(root, &[NIXOS_ROOT_TMP])?,
        None => None,
    };
    let finished = !look.in_progress() && direction == Direction::Revert;
    let old_home = if finished { tree.open(root, &[OLD_ROOT])? } else { staging };
    let journal_home = match (&old_home, &incoming) {
        (Some(home), _) if tree.stat(home, &LUSTRATE)?.is_some() => Some(home),
        (_, incoming) => incoming.as_ref(),
    };
    let journal = match journal_home {
        Some(home) => journal(tree, home, environment.uid, finished)?,
        None => Journal::None,
    };
    let here = tree.stat_dir(root)?;
    let entries = entries(tree, root, &here)?;
    let etc = tree.open(root, &[ETC])?;
    let noted = etc.as_ref().map(|etc| exchange::noted_flags(tree, etc)).transpose();
    let noted = noted.map_err(reading)?.flatten().unwrap_or(0);
    let keeps = match &journal {
        Journal::None if !finished => keeps(tree, root, old_home.as_ref(), wishes)?,
        _ => Ok(Vec::new()),
    };
    let keeper_flags = match &journal {
        Journal::Good(intent) if finished => {
            keeper_flags(tree, [Some(root), old_home.as_ref()], intent)?
        }
        _ => Vec::new(),
    };
    let boot_bak = match &old_home {
        Some(home) => tree.stat(home, &BOOT_BAK)?,
        None => None,
    };
    let boot_bak = boot_bak.or(entry_stat(&entries, &BOOT_BAK)).filter(|s| s.kind == Kind::Dir);
    let staged = match &old_home {
        Some(home) => Some(self::entries(tree, home, &here)?),
        None => None,
    };
    let marker_flagged = match &etc {
        Some(etc) => tree.stat(etc, &MARKER)?.is_some_and(|s| s.flags != 0),
        None => false,
    };
    let older = match &journal {
        Journal::None if !finished => exchange::identity(tree, root, &OLD_ROOT)?,
        _ => None,
    };
    let older = older.map(|(_, time)| Older { time });
    Ok(Facts {
        always: wishes.always,
        root_flags: (tree.flags(root, None)? | noted) & HINDERING,
        root: here,
        staged,
        incoming: match &incoming {
            Some(home) => self::entries(tree, home, &here)?,
            None => Vec::new(),
        },
        marker: look.marker,
        marker_flagged,
        keeps,
        finished,
        older,
        init_found: init_found(tree, root, environment.init.as_deref())?,
        journal,
        keeper_flags,
        boot_bak: boot_bak.map(|s| s.inode),
        now: Timestamp::now(),
        entries,
        environment,
    })
}

fn reading(stop: Stop) -> OpError {
    match stop {
        Stop::Op(error) => error,
        Stop::Root(trouble) => OpError::new("read", trouble.to_string(), nix::errno::Errno::EIO),
    }
}

fn entry_stat(entries: &[Entry], name: &Name) -> Option<Stat> {
    entries.iter().find(|e| e.name == *name).map(|e| e.stat)
}

fn entries<T: Tree>(tree: &T, dir: &T::Dir, here: &Stat) -> Result<Vec<Entry>> {
    let names = tree.list(dir)?;
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        let Some(stat) = tree.stat(dir, &name)? else { continue };
        // Only a subvolume of its own can be read-only by itself.
        let read_only = stat.kind == Kind::Dir
            && stat.device != here.device
            && stat.mount == here.mount
            && tree.is_read_only(dir, &name)?;
        let may_be_ours = [NIXOS_ROOT, NIXOS_ROOT_TMP].contains(&name)
            || crate::engine::time::is_dated(&name, &NIXOS_ROOT);
        let ours = may_be_ours && tree.open(dir, &[name.clone(), LUSTRATE])?.is_some();
        entries.push(Entry { name, stat, read_only, ours });
    }
    Ok(entries)
}

/// Whether the stage-2 program that this boot is going to start is there; when
/// the store is a file system of its own, that cannot be known yet.
fn init_found<T: Tree>(tree: &T, root: &T::Dir, init: Option<&[u8]>) -> Result<Option<bool>> {
    let store = [NIX, Name::literal("store")];
    let Some(init) = init else { return Ok(None) };
    let Some(store) = tree.open(root, &store)? else { return Ok(None) };
    if let Ok(path) = RelPath::parse(init)
        && *path.entry() == NIX
        && !matches!(resolve(tree, root, &path, Last::Follow)?, Found::Missing | Found::Loop)
    {
        return Ok(Some(true));
    }
    Ok((!tree.list(&store)?.is_empty()).then_some(false))
}
