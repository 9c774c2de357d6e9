//! The beginning of an exchange, from whatever state the root is in: the
//! staging directory with the intent in it, and a home for both populations.
//! Until the intent is there nothing has moved, and all that was made can be
//! taken away again.

use super::close::undo_note;
use super::flags::HINDERING;
use super::marker::{Need, arm, prepare};
use super::space::{Take, draft, give_back, reserve, stock, undone, unstock};
use super::{Boot, Coming, Done, Exchange, Result, rename};
use crate::engine::intent::{Direction, Intent, Pin};
use crate::engine::names::{
    COPIES, DRAFT, ETC, FLAGS_NOTE, INTENT, LUSTRATE, MAKING, NEW, NIXOS_ROOT, NIXOS_ROOT_TMP,
    OLD_ROOT, OLD_ROOT_TMP, PART, RECORD, RESERVE,
};
use crate::engine::time::is_dated;
use crate::error::{Error, Stop};
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::{Moved, Stat, Tree};

/// What only root looks into: programs of a system that nobody patches any more
/// run with their owner's rights when a user calls them.
const CLOSED: u32 = 0o700;

/// Begins an exchange, or takes up one in progress, whichever way it went.
///
/// # Errors
/// [`Error::Refused`] with nothing left behind when the space is not there, a
/// stop otherwise; nothing has moved yet.
pub fn begin<'a, T: Tree>(
    tree: &'a T,
    root: &'a T::Dir,
    mut intent: Intent,
    boot: Boot,
    take: Take,
) -> Result<Exchange<'a, T>, Error> {
    let staging = tree.open(root, &[OLD_ROOT_TMP])?;
    if is_begun(tree, root, staging.as_ref())? {
        return Ok(resume(tree, root, intent, boot, take)?);
    }
    if staging.is_some() || intent.direction == Direction::Lustrate {
        return stage(tree, root, intent, boot, take);
    }
    let meta = reopen(tree, root, &mut intent, take)?;
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    tree.set_mode(&staging, CLOSED)?;
    let incoming = come_home(tree, root, &meta, &intent)?;
    let staged = tree.list(&staging)?;
    let (coming, done) = (Coming::Unknown, Done::default());
    Ok(Exchange { tree, root, intent, boot, staging, meta, incoming, staged, coming, done })
}

/// Whether there is an intent to go on with, or a revert is in its last steps.
fn is_begun<T: Tree>(tree: &T, root: &T::Dir, staging: Option<&T::Dir>) -> Result<bool> {
    if let Some(staging) = staging
        && let Some(meta) = tree.open(staging, &[LUSTRATE])?
    {
        return Ok(tree.stat(&meta, &INTENT)?.is_some() || tree.stat(&meta, &RECORD)?.is_some());
    }
    Ok(tree.open(root, &[NIXOS_ROOT_TMP, LUSTRATE])?.is_some())
}

/// Takes up an exchange in progress.
fn resume<'a, T: Tree>(
    tree: &'a T,
    root: &'a T::Dir,
    mut intent: Intent,
    boot: Boot,
    take: Take,
) -> Result<Exchange<'a, T>> {
    tree.make_dir(root, &OLD_ROOT_TMP, CLOSED)?;
    let staging = open(tree, root, &OLD_ROOT_TMP)?;
    // The last steps of a revert, backwards.
    if let Some(incoming) = tree.open(root, &[NIXOS_ROOT_TMP])? {
        rename(tree, (&incoming, &LUSTRATE), (&staging, &LUSTRATE))?;
    }
    let meta = open(tree, &staging, &LUSTRATE)?;
    intent.anchor = tree.stat_dir(&meta)?.inode;
    let text = intent.to_text();
    if tree.stat(&meta, &RESERVE)?.is_none() {
        // Whatever can be had: an exchange in progress is not refused.
        let size = reserve(&intent, take.base, text.len());
        if stock(tree, &meta, size, intent.direction).is_err() {
            unstock(tree, &meta)?;
        }
    }
    // What there is serves to get to the end, whichever it is.
    tree.reserve(&meta, &RESERVE, 0, 0)?;
    if tree.read(&meta, &INTENT, text.len())?.as_ref() != Some(&text) {
        let written = draft(tree, &meta, &text)?;
        tree.sync(root)?;
        tree.replace((&meta, &written), (&meta, &INTENT))?;
    }
    let notes = settle(tree, root, &intent)?;
    let incoming = come_home(tree, root, &meta, &intent)?;
    // An earlier version has left them open.
    tree.set_mode(&staging, CLOSED)?;
    tree.set_mode(&incoming, CLOSED)?;
    let staged = tree.list(&staging)?;
    let (coming, done) = (Coming::Unknown, Done { notes, ..Done::default() });
    Ok(Exchange { tree, root, intent, boot, staging, meta, incoming, staged, coming, done })
}

/// Once the intent is on the disk: the root can be changed, and an older old root
/// makes room; also when the stock function had buried another one, which a revert
/// brings back under that name.
fn settle<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<Vec<String>> {
    clear_root_flags(tree, root, intent)?;
    if intent.root_flags().is_some()
        && let Some(etc) = tree.open(root, &[ETC])?
    {
        tree.remove_file(&etc, &FLAGS_NOTE)?;
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
    let (inside, outside) = ((meta, &NEW), (root, &NIXOS_ROOT_TMP));
    let (from, to) = match intent.direction {
        Direction::Lustrate => (outside, inside),
        Direction::Revert => (inside, outside),
    };
    if rename(tree, from, to)? == Moved::Missing
        && tree.rename((meta, &first_home(intent)), to)? == Moved::Missing
    {
        tree.make_dir(to.0, to.1, CLOSED)?;
    }
    open(tree, to.0, to.1)
}

/// What becomes the home of the new population. What the stock function has copied
/// is of that one, and has the names of directories in the draft: an empty one then,
/// and the draft comes in once the copies are aside.
fn first_home(intent: &Intent) -> Name {
    if intent.copies.is_empty() { DRAFT } else { MAKING }
}

/// Makes a finished lustration one in progress, to revert it.
fn reopen<T: Tree>(
    tree: &T,
    root: &T::Dir,
    intent: &mut Intent,
    take: Take,
) -> Result<T::Dir, Error> {
    let old_root = open(tree, root, &OLD_ROOT)?;
    let before = tree.stat_dir(&old_root)?;
    let is_new = tree.stat(&old_root, &LUSTRATE)?.is_none();
    tree.make_dir(&old_root, &LUSTRATE, CLOSED).map_err(|e| undone(e.into(), Ok(())))?;
    let meta = open(tree, &old_root, &LUSTRATE)?;
    // Taken when it was lustrated; not by an earlier version, or the stock function.
    let has_reserve = tree.stat(&meta, &RESERVE)?.is_some();
    if let Err(stop) = take_back(tree, &meta, intent, take, has_reserve) {
        let undo = || {
            if !has_reserve {
                unstock(tree, &meta)?;
                tree.remove_file(&meta, &PART)?;
            }
            if is_new && give_back(tree, &old_root)? {
                tree.set_times(&old_root, &before)?;
            }
            Ok(())
        };
        return Err(undone(stop, undo()));
    }
    // From here a boot finds work: the marker first, then the staging directory.
    if let Some(etc) = tree.open(root, &[ETC])? {
        arm(tree, &meta, &etc, Need::InProgress(Direction::Revert))?;
    }
    clear_root_flags(tree, root, intent)?;
    rename(tree, (root, &OLD_ROOT), (root, &OLD_ROOT_TMP))?;
    Ok(meta)
}

/// All that a revert is going to make, and its intent on the disk.
fn take_back<T: Tree>(
    tree: &T,
    meta: &T::Dir,
    intent: &mut Intent,
    take: Take,
    has_reserve: bool,
) -> Result<()> {
    intent.anchor = tree.stat_dir(meta)?.inode;
    let text = intent.to_text();
    if has_reserve {
        tree.reserve(meta, &RESERVE, 0, 0)?;
    } else {
        stock(tree, meta, reserve(intent, take.base, text.len()), intent.direction)?;
    }
    tree.make_dir(meta, &DRAFT, CLOSED)?;
    prepare(tree, meta, intent.direction, take.markers)?;
    let written = draft(tree, meta, &text)?;
    tree.sync(meta)?;
    Ok(tree.replace((meta, &written), (meta, &INTENT))?)
}

/// Makes the staging directory, with all that either direction is going to make in
/// it; that of an interrupted stock lustration is completed.
fn stage<'a, T: Tree>(
    tree: &'a T,
    root: &'a T::Dir,
    intent: Intent,
    boot: Boot,
    take: Take,
) -> Result<Exchange<'a, T>, Error> {
    let before = tree.stat_dir(root)?;
    let is_new = tree.stat(root, &OLD_ROOT_TMP)?.is_none();
    let etc = match intent.root_flags().filter(|_| is_new) {
        Some(_) => tree.open(root, &[ETC])?,
        None => None,
    };
    let etc_before = etc.as_ref().map(|etc| tree.stat_dir(etc)).transpose()?;
    let has_flags = intent.root_flags().is_some();
    match taken(tree, root, intent, boot, take, is_new) {
        Ok(mut exchange) => {
            exchange.done.notes.extend(settle(tree, root, &exchange.intent)?);
            exchange.incoming = come_home(tree, root, &exchange.meta, &exchange.intent)?;
            if !is_new {
                tree.set_mode(&exchange.staging, CLOSED)?;
                exchange.staged = tree.list(&exchange.staging)?;
            }
            Ok(exchange)
        }
        Err(stop) => {
            let undo = || {
                if let Some(staging) = tree.open(root, &[OLD_ROOT_TMP])? {
                    give_back(tree, &staging)?;
                    if is_new {
                        tree.remove_dir(root, &OLD_ROOT_TMP)?;
                        tree.set_times(root, &before)?;
                    }
                }
                if has_flags
                    && undo_note(tree, root)?
                    && let (Some(etc), Some(times)) = (&etc, &etc_before)
                {
                    tree.set_times(etc, times)?;
                }
                Ok(())
            };
            Err(undone(stop, undo()))
        }
    }
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
    let (coming, done) = (Coming::Making, Done::default());
    let mut exchange =
        Exchange { tree, root, intent, boot, staging, meta, incoming, staged, coming, done };
    exchange.intent.anchor = tree.stat_dir(&exchange.meta)?.inode;
    let direction = exchange.intent.direction;
    if direction == Direction::Lustrate {
        exchange.make_coming()?;
    }
    let (meta, text) = (&exchange.meta, exchange.intent.to_text());
    if !exchange.intent.copies.is_empty() {
        tree.make_dir(meta, &MAKING, CLOSED)?;
        tree.make_dir(meta, &COPIES, CLOSED)?;
    }
    tree.make_empty(meta, &PART)?;
    tree.fill(meta, &PART, &text)?;
    stock(tree, meta, reserve(&exchange.intent, take.base, text.len()), direction)?;
    prepare(tree, meta, direction, take.markers)?;
    tree.sync(root)?;
    rename(tree, (meta, &PART), (meta, &INTENT))?;
    // From here on it is in progress.
    exchange.coming = if direction == Direction::Lustrate { Coming::Made } else { Coming::Unknown };
    Ok(exchange)
}

/// An immutable root can hold no staging directory and so no intent: until it
/// can, its flags are noted in `etc`.
fn note_root_flags<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<()> {
    let Some(flags) = intent.root_flags() else { return Ok(()) };
    let Some(etc) = tree.open(root, &[ETC])? else { return Ok(()) };
    let note = format!("{flags}\n");
    if tree.read(&etc, &FLAGS_NOTE, note.len())?.as_deref() != Some(note.as_bytes()) {
        tree.remove_file(&etc, &FLAGS_NOTE)?;
        let made = tree.make_file(&etc, &FLAGS_NOTE, note.as_bytes());
        if made.is_err() {
            tree.remove_file(&etc, &FLAGS_NOTE)?;
        }
        made?;
        tree.sync(root)?;
    }
    Ok(())
}

fn clear_root_flags<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<()> {
    if intent.root_flags().is_some() {
        let now = tree.flags(root, None)?;
        if now & HINDERING != 0 {
            tree.set_flags(root, None, now & !HINDERING)?;
        }
    }
    Ok(())
}

/// Old roots that an earlier version, or the stock function, has left open; those
/// that cannot be closed are noted.
fn close_old_roots<T: Tree>(tree: &T, root: &T::Dir, intent: &Intent) -> Result<Vec<String>> {
    let here = tree.stat_dir(root)?;
    let mut notes = Vec::new();
    for (name, _) in intent.pinned.iter().filter(|(_, pin)| *pin == Pin::Protected) {
        let holds = [OLD_ROOT, NIXOS_ROOT].iter().any(|b| name == b || is_dated(name, b));
        let is_open = |stat: &Stat| {
            let plain = stat.kind == Kind::Dir && stat.mount == here.mount;
            plain && stat.mode & 0o77 != 0
        };
        if holds
            && tree.stat(root, name)?.as_ref().is_some_and(is_open)
            && let Some(dir) = tree.open(root, std::slice::from_ref(name))?
            && let Err(error) = tree.set_mode(&dir, CLOSED)
        {
            notes.push(format!("'{name}' stays open to users: {error}"));
        }
    }
    Ok(notes)
}

pub(super) fn open<T: Tree>(tree: &T, dir: &T::Dir, name: &Name) -> Result<T::Dir> {
    let opened = tree.open(dir, std::slice::from_ref(name))?;
    opened.ok_or_else(|| Stop::changed(format!("'{}' is no directory", tree.show(dir, Some(name)))))
}
