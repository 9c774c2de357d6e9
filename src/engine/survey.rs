//! Reads a root: everything that a plan needs, and nothing is written (I6).

use crate::engine::exchange::{self, HINDERING, direction_of};
use crate::engine::facts::{
    Entry, Environment, Facts, Inodes, Journal, Marker, Older, Result, Staging, Wishes,
};
use crate::engine::intent::{Direction, Flagged};
use crate::engine::keeplist;
use crate::engine::names::{
    BOOT_BAK, ETC, LUSTRATE, MARKER, NEW, NIX, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP, RW_ETC,
    UPPER, is_numbered,
};
use crate::engine::time::Timestamp;
use crate::fs::name::{Name, RelPath, literal};
use crate::fs::sys::{CASEFOLD, Kind, PROJECT, Stat};
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve};

mod evidence;
mod journal;
mod keeps;
mod rests;

pub(crate) use evidence::{asked_here, kind_at};
pub(crate) use journal::is_nixos_root;
pub(crate) use journal::older_came_back;

use journal::{Age, journal};
use keeps::{keeper_flags, keeps};

/// What a few system calls tell: whether there is anything to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// The staging directory.
    pub staging: Staging,
    /// A revert is in its last steps.
    pub closing: bool,
    /// The marker.
    pub marker: Marker,
}

impl Look {
    /// Whether an exchange is in progress.
    #[must_use]
    pub(crate) fn in_progress(&self) -> bool {
        matches!(self.staging, Staging::Proved | Staging::Used) || self.closing
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
    let marker = match etc {
        Some(etc) => marker_in(tree, etc)?,
        None => marker_through_link(tree, root)?,
    };
    let marker = match (marker, tree.open(root, &[RW_ETC, UPPER])?) {
        (Marker::None, Some(upper)) => marker_in(tree, &upper)?,
        (marker, _) => marker,
    };
    let staging = evidence::staging(tree, root, &marker)?;
    let closing = !matches!(staging, Staging::Proved | Staging::Used)
        && closing(tree, root, &marker)?.is_some();
    Ok(Look { staging, closing, marker })
}

/// The home of the new population, by the `.lustrate` that a revert in its last
/// steps has put there. Somebody else may have the first of the names, or have had it.
fn closing<T: Tree>(tree: &T, root: &T::Dir, marker: &Marker) -> Result<Option<Name>> {
    let begun = matches!(marker, Marker::InProgress(_));
    if !begun && tree.stat(root, &NIXOS_ROOT_TMP)?.is_none() {
        return Ok(None); // a boot pays for each call
    }
    for name in tree.list(root)? {
        if is_numbered(&name, &NIXOS_ROOT_TMP)
            && tree.open(root, &[name.clone(), LUSTRATE])?.is_some()
        {
            return Ok(Some(name));
        }
    }
    Ok(None)
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
    let finished = !look.in_progress() && direction == Direction::Revert;
    // One that is finished is taken for one that was cut before its commit.
    let complete = cfg!(feature = "full")
        && wishes.complete
        && !look.in_progress()
        && look.marker == Marker::None;
    let staging = match look.staging {
        _ if complete => tree.open(root, &[OLD_ROOT])?,
        Staging::None | Staging::Foreign => None,
        Staging::Empty if finished => None,
        _ => tree.open(root, &[OLD_ROOT_TMP])?,
    };
    let old_home = if finished { tree.open(root, &[OLD_ROOT])? } else { staging };
    let begun = stat_in(tree, old_home.as_ref(), &LUSTRATE)?.is_some();
    // In its last steps a revert has moved `.lustrate`.
    let ends = look.in_progress() && !begun && !finished;
    let closing = if ends { closing(tree, root, &look.marker)? } else { None };
    let mut incoming = closing.map_or(Ok(None), |name| tree.open(root, &[name]))?;
    let age = match look.marker {
        _ if !finished => Age::InProgress,
        Marker::InProgress(Direction::Lustrate) => Age::Fresh,
        _ => Age::Old,
    };
    let journal = match (&old_home, &incoming) {
        (Some(home), _) if begun => journal(tree, home, environment.uid, age)?,
        (_, Some(home)) => journal(tree, home, environment.uid, age)?,
        _ => Journal::None,
    };
    if let (Journal::Good(intent), Some(home), false) = (&journal, &old_home, finished) {
        let home = match tree.open(root, &[intent.incoming()])? {
            None => tree.open(home, &[LUSTRATE, NEW])?,
            home => home,
        };
        incoming = home.or(incoming);
    }
    let here = tree.stat_dir(root)?;
    let mut entries = entries(tree, root, &here)?;
    entries.retain(|entry| !complete || entry.name != OLD_ROOT);
    let etc = tree.open(root, &[ETC])?;
    let noted = etc.as_ref().map_or(Ok(None), |etc| Ok(exchange::note(tree, etc)?.1))?.unwrap_or(0);
    let keeps = match &journal {
        Journal::None if !finished => {
            keeps(tree, (root, &here, etc.as_ref()), old_home.as_ref(), wishes)?
        }
        _ => Ok(Vec::new()),
    };
    let mut keeper_flags = match &journal {
        Journal::Good(intent) if finished => {
            keeper_flags(tree, [Some(root), old_home.as_ref()], intent)?
        }
        _ => Vec::new(),
    };
    let holder = old_home.as_ref().filter(|_| finished || journal == Journal::None);
    keeper_flags.extend(entered(tree, etc.as_ref(), holder, finished.then_some(OLD_ROOT))?);
    let boot_bak = stat_in(tree, old_home.as_ref(), &BOOT_BAK)?;
    let boot_bak = boot_bak.or(entry_stat(&entries, &BOOT_BAK)).filter(|s| s.kind == Kind::Dir);
    let staged = old_home.as_ref().map(|home| self::entries(tree, home, &here)).transpose()?;
    let marker_stat = stat_in(tree, etc.as_ref(), &MARKER)?;
    let older = match &journal {
        Journal::None if !finished && !complete => older(tree, root, wishes)?,
        _ => None,
    };
    let root_flags = tree.flags(root, None)?;
    let system = match &old_home {
        Some(home) if finished => holds_system(tree, home)?,
        _ => true,
    };
    let rests = match (&journal, direction) {
        (Journal::None, Direction::Lustrate) => {
            rests::rests(tree, (root, old_home.as_ref()), &entries, &environment)?
        }
        _ => Vec::new(),
    };
    let staging = match &old_home {
        Some(home) if complete && is_used(tree, root, home)? => Staging::Used,
        _ if complete => Staging::Proved,
        _ => look.staging,
    };
    Ok(Facts {
        always: wishes.always,
        root_flags: (root_flags | noted) & HINDERING,
        folds_case: root_flags & CASEFOLD != 0,
        system,
        root: here,
        staged,
        incoming: incoming.map_or(Ok(Vec::new()), |home| self::entries(tree, &home, &here))?,
        marker: look.marker,
        staging,
        rests,
        inodes: inodes(&here, entries.iter().map(|e| &e.stat).chain(&marker_stat)),
        marker_flagged: marker_stat.is_some_and(|s| s.flags != 0),
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

/// The flags of directories that something enters, or that get another name: `etc`,
/// and the old population's home with its own, by its name when it is `finished`.
fn entered<T: Tree>(
    tree: &T,
    etc: Option<&T::Dir>,
    holder: Option<&T::Dir>,
    finished: Option<Name>,
) -> Result<Vec<Flagged>> {
    let old_etc = match holder {
        Some(home) if finished.is_some() => tree.open(home, &[ETC])?,
        _ => None,
    };
    // An immutable one is no reason to stop on the way back.
    let mask = if finished.is_some() { HINDERING } else { PROJECT };
    let etcs = [etc, old_etc.as_ref()].map(|etc| (ETC, etc, mask));
    let mut found = Vec::new();
    let holder = (finished.unwrap_or(OLD_ROOT_TMP), holder, HINDERING);
    for (name, dir, mask) in etcs.into_iter().chain([holder]) {
        let Some(dir) = dir else { continue };
        let flags = tree.flags(dir, None)? & mask;
        if flags != 0 {
            let (path, inode) = (Some(RelPath::from(name)), tree.stat_dir(dir)?.inode);
            found.push(Flagged { path, inode, flags });
        }
    }
    Ok(found)
}

/// Whether a directory is an old root: what any system has, or can be started by.
fn holds_system<T: Tree>(tree: &T, home: &T::Dir) -> Result<bool> {
    if tree.open(home, &[ETC])?.is_some() {
        return Ok(true);
    }
    for init in ["sbin/init", "init", "usr/lib/systemd/systemd", "bin/sh"] {
        let path = RelPath::parse(init.as_bytes()).ok();
        let found = path.map(|path| resolve(tree, home, &path, Last::Keep)).transpose()?;
        if !matches!(found, None | Some(Found::Missing | Found::Loop)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether NixOS has used a root since the stock function had finished with it.
pub(crate) fn is_used<T: Tree>(tree: &T, root: &T::Dir, home: &T::Dir) -> Result<bool> {
    evidence::is_used(tree, root, home, &stock_keeps(tree, home)?)
}

/// What the stock function was to keep: the list went with `etc`.
pub(crate) fn stock_keeps<T: Tree>(tree: &T, home: &T::Dir) -> Result<Vec<RelPath>> {
    let Some(etc) = tree.open(home, &[ETC])? else { return Ok(Vec::new()) };
    let list = tree.read(&etc, &MARKER, exchange::MAX_MARKER)?.unwrap_or_default();
    Ok(keeplist::parse(&list).unwrap_or_default())
}

fn inodes<'a>(here: &Stat, mut found: impl Iterator<Item = &'a Stat>) -> Inodes {
    let fleeting =
        |s: &Stat| s.kind != Kind::Dir && s.mount == here.mount && s.device != here.device;
    if found.any(fleeting) { Inodes::Fleeting } else { Inodes::Lasting }
}

fn older<T: Tree>(tree: &T, root: &T::Dir, wishes: &Wishes) -> Result<Option<Older>> {
    let Some((_, time)) = exchange::identity(tree, root, &OLD_ROOT)? else { return Ok(None) };
    let warnings = if wishes.always { warnings(tree, root)? } else { Vec::new() };
    Ok(Some(Older { time, warnings }))
}

/// What the last lustration warned of.
fn warnings<T: Tree>(tree: &T, root: &T::Dir) -> Result<Vec<String>> {
    let record = exchange::record(tree, root, &OLD_ROOT)?;
    Ok(record.map(|record| record.warnings).unwrap_or_default())
}

/// What has a name in a directory, if that is there.
fn stat_in<T: Tree>(tree: &T, dir: Option<&T::Dir>, name: &Name) -> Result<Option<Stat>> {
    dir.map_or(Ok(None), |dir| tree.stat(dir, name))
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
        let ours = is_nixos_root(&name) && tree.open(dir, &[name.clone(), LUSTRATE])?.is_some();
        entries.push(Entry { name, stat, read_only, ours });
    }
    Ok(entries)
}

/// Whether the stage-2 program that this boot is going to start is there; when
/// the store is a file system of its own, that cannot be known yet.
fn init_found<T: Tree>(tree: &T, root: &T::Dir, init: Option<&[u8]>) -> Result<Option<bool>> {
    let store = [NIX, literal!("store")];
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
