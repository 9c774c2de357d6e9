//! The beginning of an exchange, from whatever state the root is in: the
//! staging directory with the intent in it, and a home for both populations.
//! Until the intent is there nothing has moved, and all that was made can be
//! taken away again.

use std::cell::Cell;

use nix::errno::Errno;

use super::close::{remove_leftover, undo_note};
use super::flags::{Change, HINDERING, change_flags, remove_note, write_note};
use super::marker::{arm_nixos, prepare};
use super::space::{Take, give_back, reserve, stock, undone, unstock};
use super::spares::draft;
use super::{Boot, Coming, Done, Exchange, Result, open, rename};
use crate::engine::intent::{Direction, Intent, Pin};
use crate::engine::names::{
    DRAFT, ETC, INTENT, LEFT, LUSTRATE, MAKING, NEW, NIXOS_ROOT, OLD_ROOT, OLD_ROOT_TMP, RECORD,
    RESERVE,
};
use crate::engine::time::is_dated;
use crate::error::{Error, Stop};
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::{Moved, Stat, Tree};

/// What only root looks into: programs of a system that nobody patches any more
/// run with their owner's rights when a user calls them.
const CLOSED: u32 = 0o700;

/// What an exchange begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// A finished lustration, to revert it.
    Finished,
    /// A root that is whole, or an exchange in progress.
    Anywhere,
}

/// Begins an exchange, or takes up one in progress, whichever way it went.
///
/// # Errors
/// [`Error::Refused`] with nothing left behind when the space is not there, a
/// stop otherwise; nothing has moved yet.
pub(crate) fn begin<'a, T: Tree>(
    tree: &'a T,
    root: &'a T::Dir,
    mut intent: Intent,
    boot: Boot,
    from: From,
    take: Take,
) -> Result<Exchange<'a, T>, Error> {
    match from {
        From::Finished => reopen(tree, root, &mut intent, take)?,
        From::Anywhere if is_begun(tree, root, &intent)? => resume(tree, root, &mut intent, take)?,
        From::Anywhere => return anew(tree, root, intent, boot, take),
    }
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    let meta = open(tree, &staging, &LUSTRATE)?;
    let notes = settle(tree, root, &intent)?;
    let incoming = come_home(tree, root, &meta, &intent)?;
    let staged = close_homes(tree, &staging, &incoming)?;
    let (etc, coming) = (Cell::default(), Coming::Unknown);
    let done = Done { notes, ..Done::default() };
    Ok(Exchange {
        tree,
        root,
        intent,
        boot,
        staging,
        meta,
        incoming,
        staged,
        etc,
        coming,
        serves: false,
        take,
        done,
    })
}

/// Begins in a root that is whole, or that only the stock function has begun with.
fn anew<'a, T: Tree>(
    tree: &'a T,
    root: &'a T::Dir,
    intent: Intent,
    boot: Boot,
    take: Take,
) -> Result<Exchange<'a, T>, Error> {
    let is_new = tree.stat(root, &OLD_ROOT_TMP)?.is_none();
    let mut exchange = stage(tree, root, intent, boot, take, is_new)?;
    let (meta, intent) = (&exchange.meta, &exchange.intent);
    let notes = settle(tree, root, intent)?;
    exchange.incoming = come_home(tree, root, meta, intent)?;
    exchange.done.notes.extend(notes);
    if !is_new {
        exchange.staged = close_homes(tree, &exchange.staging, &exchange.incoming)?;
    }
    // What the stock function has copied is still in the way of some of it.
    let whole =
        exchange.intent.direction == Direction::Lustrate && exchange.intent.copies.is_empty();
    exchange.coming = if whole { Coming::Made } else { Coming::Unknown };
    Ok(exchange)
}

/// The stock function, or an earlier version, has left them open. What is in the first.
fn close_homes<T: Tree>(tree: &T, staging: &T::Dir, incoming: &T::Dir) -> Result<Vec<Name>> {
    tree.set_mode(staging, CLOSED)?;
    tree.set_mode(incoming, CLOSED)?;
    Ok(tree.list(staging)?)
}

/// Whether there is an intent to go on with, or a revert is in its last steps.
fn is_begun<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<bool> {
    for home in [OLD_ROOT_TMP, intent.incoming()] {
        let Some(meta) = tree.open(root, &[home, LUSTRATE])? else { continue };
        for name in [INTENT, RECORD, NEW] {
            if tree.stat(&meta, &name)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Takes up an exchange in progress.
fn resume<T: Tree>(tree: &T, root: &T::Dir, intent: &mut Intent, take: Take) -> Result<()> {
    let home = intent.incoming();
    if tree.stat(root, &OLD_ROOT_TMP)?.is_none() {
        note_root_flags(tree, root, intent)?;
        clear_root_flags(tree, root, intent)?;
        // What a revert had to leave there comes with it.
        let left = tree.open(root, &[home.clone(), LUSTRATE])?;
        let left = left.map(|meta| rename(tree, (&meta, &LEFT), (root, &OLD_ROOT_TMP)));
        if left.transpose()?.is_none_or(|moved| moved == Moved::Missing) {
            tree.make_dir(root, &OLD_ROOT_TMP, CLOSED)?;
        }
    }
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    // The last steps of a revert, backwards.
    if let Some(incoming) = tree.open(root, &[home])? {
        rename(tree, (&incoming, &LUSTRATE), (&staging, &LUSTRATE))?;
    }
    let meta = open(tree, &staging, &LUSTRATE)?;
    intent.anchor = tree.stat_dir(&meta)?.inode;
    let text = intent.to_text();
    // Whatever can be had: an exchange in progress is not refused.
    if tree.stat(&meta, &RESERVE)?.is_none()
        && stock(tree, &meta, reserve(intent, take.base, text.len()), intent.direction).is_err()
    {
        unstock(tree, &meta)?;
    }
    // What there is serves to get to the end, whichever it is.
    tree.reserve(&meta, &RESERVE, 0, 0)?;
    if tree.read(&meta, &INTENT, text.len())?.as_ref() != Some(&text) {
        write_intent(tree, &meta, &text)?;
    }
    Ok(())
}

/// The intent is on the disk, whole, before anything moves.
pub(super) fn write_intent<T: Tree>(tree: &T, meta: &T::Dir, text: &[u8]) -> Result<()> {
    let written = draft(tree, meta, text)?;
    tree.sync(meta)?;
    Ok(tree.replace((meta, &written), (meta, &INTENT))?)
}

/// Once the intent is on the disk: the root can be changed, and an older old root
/// makes room; also when the stock function had buried another one, which a revert
/// brings back under that name.
fn settle<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<Vec<String>> {
    change_flags(tree, &[root], &intent.flags, Change::ClearHolders)?;
    if intent.root_flags().is_some()
        && let Some(etc) = tree.open(root, &[ETC])?
    {
        remove_note(tree, &etc)?;
    }
    if (intent.direction == Direction::Lustrate || intent.moves(&OLD_ROOT))
        && let Some(rotated) = &intent.rotated
        && tree.stat(root, rotated)?.is_none()
    {
        rename(tree, (root, &OLD_ROOT), (root, rotated))?;
    }
    match intent.direction {
        Direction::Lustrate => close_old_roots(tree, root, intent),
        Direction::Revert => Ok(Vec::new()),
    }
}

/// The home of the new population; a revert in progress shows in its name.
fn come_home<T: Tree>(tree: &T, root: &T::Dir, meta: &T::Dir, intent: &Intent) -> Result<T::Dir> {
    let home = intent.incoming();
    let (inside, outside) = ((meta, &NEW), (root, &home));
    let (from, to) = match intent.direction {
        Direction::Lustrate => (outside, inside),
        Direction::Revert => (inside, outside),
    };
    // What the stock function has copied is of the new population, and has the names of
    // directories in the draft: an empty home then, and the draft comes in once the
    // copies are aside.
    let made = if intent.copies.is_empty() { DRAFT } else { MAKING };
    if rename(tree, from, to)? == Moved::Missing {
        match tree.rename((meta, &made), to) {
            Ok(Moved::Missing) => tree.make_dir(to.0, to.1, CLOSED)?,
            // The old root has become a subvolume, or of another project.
            Err(error)
                if intent.direction == Direction::Revert && error.errno() == Errno::EXDEV =>
            {
                tree.make_dir(to.0, to.1, CLOSED)?;
            }
            moved => drop(moved?),
        }
    }
    open(tree, to.0, to.1)
}

/// Makes a finished lustration one in progress, to revert it.
fn reopen<T: Tree>(tree: &T, root: &T::Dir, intent: &mut Intent, take: Take) -> Result<(), Error> {
    let old_root = open(tree, root, &OLD_ROOT)?;
    if tree.stat(&old_root, &LUSTRATE)?.is_none() {
        // The stock function's: there is no place yet to note its flags in.
        unlock(tree, &old_root, None)?;
    }
    let before = tree.stat_dir(&old_root)?;
    tree.make_dir(&old_root, &LUSTRATE, CLOSED).map_err(|e| undone(e.into(), Ok(())))?;
    let meta = open(tree, &old_root, &LUSTRATE)?;
    unlock(tree, &meta, None)?;
    for name in tree.list(&meta)? {
        if tree.stat(&meta, &name)?.is_some_and(|stat| stat.flags != 0) {
            unlock(tree, &meta, Some(&name))?;
        }
    }
    // Taken when it was lustrated; not by an earlier version, or the stock function.
    let size = if tree.stat(&meta, &RESERVE)?.is_some() { None } else { Some(take.base) };
    if let Err(stop) = take_back(tree, &meta, intent, take, size) {
        return Err(undone(stop, leave(tree, &old_root, &meta, &before, size)));
    }
    // From here a boot finds work: the marker first, then the staging directory.
    change_flags(tree, &[root], &intent.flags, Change::ClearEtc)?;
    arm_nixos(tree, root, &meta, intent)?;
    change_flags(tree, &[root], &intent.flags, Change::Clear)?;
    if tree.stat(root, &OLD_ROOT_TMP)?.is_some() {
        remove_leftover(tree, root)?;
    }
    rename(tree, (root, &OLD_ROOT), (root, &OLD_ROOT_TMP))?;
    Ok(())
}

/// All that a revert is going to make, and its intent on the disk. Without a base
/// it was taken before.
fn take_back<T: Tree>(
    tree: &T,
    meta: &T::Dir,
    intent: &mut Intent,
    take: Take,
    base: Option<u64>,
) -> Result<()> {
    intent.anchor = tree.stat_dir(meta)?.inode;
    let text = intent.to_text();
    match base {
        None => tree.reserve(meta, &RESERVE, 0, 0)?,
        Some(base) => stock(tree, meta, reserve(intent, base, text.len()), intent.direction)?,
    }
    tree.make_dir(meta, &DRAFT, CLOSED)?;
    prepare(tree, meta, intent.direction, take.markers)?;
    write_intent(tree, meta, &text)
}

/// The same backwards.
fn leave<T: Tree>(
    tree: &T,
    old_root: &T::Dir,
    meta: &T::Dir,
    before: &Stat,
    base: Option<u64>,
) -> Result<()> {
    if base.is_some() {
        unstock(tree, meta)?;
    }
    give_back(tree, old_root)?;
    Ok(tree.set_times(old_root, before)?)
}

/// Makes the staging directory, with all that either direction is going to make in
/// it; that of an interrupted stock lustration is completed.
fn stage<'a, T: Tree>(
    tree: &'a T,
    root: &'a T::Dir,
    intent: Intent,
    boot: Boot,
    take: Take,
    is_new: bool,
) -> Result<Exchange<'a, T>, Error> {
    let before = tree.stat_dir(root)?;
    // A note of the root's flags comes and goes in it.
    let etc = if intent.root_flags().is_some() { tree.open(root, &[ETC])? } else { None };
    let etc = etc.map(|etc| tree.stat_dir(&etc).map(|stat| (etc, stat))).transpose()?;
    taken(tree, root, intent, boot, take, is_new).map_err(|stop| {
        let undo = unstage(tree, root, &before, is_new);
        let times = |(etc, stat)| tree.set_times(etc, stat).map_err(Stop::from);
        undone(stop, undo.and_then(|()| etc.iter().map(|(e, s)| (e, s)).try_for_each(times)))
    })
}

/// The same backwards.
fn unstage<T: Tree>(tree: &T, root: &T::Dir, before: &Stat, is_new: bool) -> Result<()> {
    if let Some(staging) = tree.open(root, &[OLD_ROOT_TMP])? {
        give_back(tree, &staging)?;
        if is_new {
            tree.remove_dir(root, &OLD_ROOT_TMP)?;
            tree.set_times(root, before)?;
        }
    }
    undo_note(tree, root).map(drop)
}

fn taken<'a, T: Tree>(
    tree: &'a T,
    root: &'a T::Dir,
    intent: Intent,
    boot: Boot,
    take: Take,
    is_new: bool,
) -> Result<Exchange<'a, T>> {
    if is_new {
        note_root_flags(tree, root, &intent)?;
        clear_root_flags(tree, root, &intent)?;
    }
    tree.make_dir(root, &OLD_ROOT_TMP, CLOSED)?;
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    let staged = if is_new { Vec::new() } else { tree.list(&staging)? };
    if !is_new {
        give_back(tree, &staging)?;
    }
    tree.make_dir(&staging, &LUSTRATE, CLOSED)?;
    let meta = open(tree, &staging, &LUSTRATE)?;
    tree.make_dir(&meta, &DRAFT, CLOSED)?;
    let incoming = open(tree, &meta, &DRAFT)?;
    let (etc, coming, done) = (Cell::default(), Coming::Making, Done::default());
    let mut exchange = Exchange {
        tree,
        root,
        intent,
        boot,
        staging,
        meta,
        incoming,
        staged,
        etc,
        coming,
        serves: false,
        take,
        done,
    };
    exchange.take()?;
    Ok(exchange)
}

/// An immutable root can hold no staging directory and so no intent: until it
/// does, a note in `etc` has the flags.
fn note_root_flags<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<()> {
    let Some(flags) = intent.root_flags() else { return Ok(()) };
    let Some(etc) = tree.open(root, &[ETC])? else { return Ok(()) };
    write_note(tree, root, &etc, flags)
}

fn clear_root_flags<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<()> {
    change_flags(tree, &[root], &intent.flags, Change::ClearRoot)
}

/// Clears the flags of a directory of ours, or of what waits in it.
fn unlock<T: Tree>(tree: &T, dir: &T::Dir, name: Option<&Name>) -> Result<()> {
    let now = tree.flags(dir, name)?;
    if now & HINDERING != 0 {
        tree.set_flags(dir, name, now & !HINDERING)?;
    }
    Ok(())
}

/// Old roots that an earlier version, or the stock function, has left open; those
/// that cannot be closed are noted.
fn close_old_roots<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<Vec<String>> {
    let holds = |name: &Name| [OLD_ROOT, NIXOS_ROOT].iter().any(|b| name == b || is_dated(name, b));
    let mut notes = Vec::new();
    let pinned = intent.pinned.iter().filter(|(_, pin)| *pin == Pin::Protected);
    for (name, _) in pinned.filter(|(name, _)| holds(name)) {
        let here = tree.stat_dir(root)?;
        let is_open = |stat: &Stat| {
            let plain = stat.kind == Kind::Dir && stat.mount == here.mount;
            plain && stat.mode & 0o77 != 0
        };
        if tree.stat(root, name)?.as_ref().is_some_and(is_open)
            && let Some(dir) = tree.open(root, std::slice::from_ref(name))?
            && let Err(error) = tree.set_mode(&dir, CLOSED)
        {
            notes.push(format!("'{name}' stays open to users: {error}"));
        }
    }
    Ok(notes)
}
