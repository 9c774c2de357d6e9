//! The end of an exchange: the record, the commit (I5), and after it the last
//! clean-up, which is all that is left to do once the marker is alone.

use super::flags::{Change, HINDERING, change_flags, note, remove_note};
use super::marker::{disarm, holds_in_progress, take_etc_again};
use super::space::{give_back, unstock};
use super::spares::draft;
use super::{Exchange, Population, Result, rename};
use crate::engine::facts::Staging;
use crate::engine::intent::{self, Direction, Intent, RootLook};
use crate::engine::names::{
    DRAFT, ETC, INTENT, LEFT, LUSTRATE, MARKER, NEW, NIXOS_ROOT, OLD_ROOT, OLD_ROOT_TMP, RECORD,
    RW_ETC, UPPER, UPPER_MARKER,
};
use crate::engine::time::{Timestamp, is_dated};
use crate::fs::name::Name;
use crate::fs::sys::{Kind, release};
use crate::fs::tree::{self, Moved, Stat, Tree};

/// Intents and records larger than this are not read: over a million entries.
pub(crate) const MAX_INTENT: usize = 512 << 20;

impl<T: Tree> Exchange<'_, T> {
    pub(super) fn close(&mut self, coming: Population) -> Result<()> {
        match coming {
            Population::New => self.close_lustration()?,
            Population::Old => self.close_revert()?,
        }
        if let Some(dated) = take_etc_again(self.tree, self.root, &self.intent)? {
            self.keeps_its_name(&dated, "there is another");
        }
        clean_up(self.tree, self.root, Some(&self.intent))
    }

    fn close_lustration(&mut self) -> Result<()> {
        if !self.serves
            && let Some(etc) = self.tree.open(&self.staging, &[ETC])?
        {
            disarm(self.tree, &self.meta, &etc, Direction::Lustrate)?;
        }
        self.change_flags(Change::RestoreEtc)?;
        self.put_upper_marker_aside()?;
        // A revert needs a directory, and may find no inode for one.
        if self.tree.rename((&self.meta, &NEW), (&self.meta, &DRAFT))? == Moved::Taken {
            self.tree.remove_dir(&self.meta, &NEW)?;
        }
        self.write_record()?;
        self.commit((&OLD_ROOT_TMP, &OLD_ROOT))
    }

    fn close_revert(&mut self) -> Result<()> {
        let left = self.tree.list(&self.staging)?.iter().any(|name| *name != LUSTRATE);
        if let Some(etc) = self.tree.open(&self.incoming, &[ETC])? {
            disarm(self.tree, &self.meta, &etc, Direction::Revert)?;
        }
        self.change_flags(Change::RestoreEtc)?;
        self.put_upper_marker_aside()?;
        // The old root that came back as an entry, or is going to have its name again.
        let rotated = self.intent.rotated.clone().unwrap_or(OLD_ROOT);
        self.intent.older = match identity(self.tree, self.root, &OLD_ROOT)? {
            None => identity(self.tree, self.root, &rotated)?,
            older => older,
        };
        self.write_record()?;
        rename(self.tree, (&self.staging, &LUSTRATE), (&self.incoming, &LUSTRATE))?;
        if left {
            self.rename((self.root, &OLD_ROOT_TMP), (&self.meta, &LEFT))?;
        } else {
            self.tree.remove_dir(self.root, &OLD_ROOT_TMP)?;
        }
        if let Some(rotated) = self.intent.rotated.clone()
            && let Err(stop) = self.rename((self.root, &rotated), (self.root, &OLD_ROOT))
        {
            let why = self.tolerated(stop)?;
            self.keeps_its_name(&rotated, &why);
        }
        unstock(self.tree, &self.meta)?;
        let name = self.name_for_new_root()?;
        self.done.place = Some(name.clone());
        self.commit((&self.intent.incoming(), &name))
    }

    /// A marker in the upper layer of NixOS's etc overlay that stayed in the root,
    /// or came back, would ask for a lustration again.
    fn put_upper_marker_aside(&self) -> Result<()> {
        let Some(upper) = self.tree.open(self.root, &[RW_ETC, UPPER])? else { return Ok(()) };
        let mut at = 0;
        loop {
            let name = UPPER_MARKER.numbered(at);
            match self.tree.rename((&upper, &MARKER), (&self.meta, &name))? {
                Moved::Taken => at += 1,
                Moved::Done | Moved::Missing => return Ok(()),
            }
        }
    }

    /// The one rename after which the exchange is done.
    fn commit(&self, (from, to): (&Name, &Name)) -> Result<()> {
        self.tree.sync(self.root)?;
        // Not before the record is on the disk, in whatever order it is written.
        self.tree.remove_file(&self.meta, &INTENT)?;
        rename(self.tree, (self.root, from), (self.root, to))?;
        Ok(self.tree.sync(self.root)?)
    }

    /// `nixos-root`: an older one of ours makes room; anything else of that
    /// name is the user's, and ours gets a date.
    fn name_for_new_root(&self) -> Result<Name> {
        let (tree, root) = (self.tree, self.root);
        if tree.stat(root, &NIXOS_ROOT)?.is_none() {
            return Ok(NIXOS_ROOT);
        }
        if let Some(meta) = tree.open(root, &[NIXOS_ROOT, LUSTRATE])? {
            let time = load(tree, &meta)?.map_or(self.intent.started, |older| older.started);
            let dated = free_dated(tree, root, time, &NIXOS_ROOT)?;
            match rename(tree, (root, &NIXOS_ROOT), (root, &dated)) {
                Ok(_) => return Ok(NIXOS_ROOT),
                // Something is mounted there, or it is immutable.
                Err(stop) => drop(self.tolerated(stop)?),
            }
        }
        free_dated(tree, root, self.intent.started, &NIXOS_ROOT)
    }

    fn write_record(&mut self) -> Result<()> {
        // From here on the intent is the record.
        let record = &mut self.intent;
        record.warnings.extend(self.done.notes.iter().cloned());
        record.finished = Some(Timestamp::now());
        let written = draft(self.tree, &self.meta, &record.to_text())?;
        Ok(self.tree.replace((&self.meta, &written), (&self.meta, &RECORD))?)
    }
}

/// When the lustration was that an old root has the record of.
///
/// # Errors
/// What the file system answers.
pub(crate) fn lustrated<T: Tree>(
    tree: &T,
    root: &T::Dir,
    name: &Name,
) -> tree::Result<Option<Timestamp>> {
    Ok(record(tree, root, name)?.map(|record| record.started))
}

/// The record in an old root, or in what NixOS wrote, if there is one that is
/// understood.
///
/// # Errors
/// What the file system answers.
pub(crate) fn record<T: Tree>(
    tree: &T,
    root: &T::Dir,
    name: &Name,
) -> tree::Result<Option<Intent>> {
    match tree.open(root, &[name.clone(), LUSTRATE])? {
        Some(meta) => read_intent(tree, &meta, &RECORD),
        None => Ok(None),
    }
}

/// An intent or record in a `.lustrate`.
pub(crate) fn read_intent<T: Tree>(
    tree: &T,
    meta: &T::Dir,
    name: &Name,
) -> tree::Result<Option<Intent>> {
    let Some(text) = tree.read(meta, name, MAX_INTENT)? else { return Ok(None) };
    let intent = intent::parse(&text).ok();
    release(text);
    Ok(intent)
}

/// An old root by its inode number, and the time of its lustration.
///
/// # Errors
/// What the file system answers.
pub(crate) fn identity<T: Tree>(
    tree: &T,
    root: &T::Dir,
    name: &Name,
) -> tree::Result<Option<(u64, Timestamp)>> {
    let Some(stat) = tree.stat(root, name)?.filter(|stat| stat.kind == Kind::Dir) else {
        return Ok(None);
    };
    // The stock function leaves no record; nothing is moved into an old root later.
    let modified = Timestamp(u64::try_from(stat.modified.0).unwrap_or(0));
    Ok(Some((stat.inode, lustrated(tree, root, name)?.unwrap_or(modified))))
}

/// The intent in a `.lustrate`, or else the record; `None` when there is
/// neither, or the intent is none.
///
/// # Errors
/// [`Stop`] when it cannot be read.
pub(super) fn load<T: Tree>(tree: &T, meta: &T::Dir) -> Result<Option<Intent>> {
    for name in [INTENT, RECORD] {
        if let Some(text) = tree.read(meta, &name, MAX_INTENT)? {
            return Ok(intent::parse(&text).ok());
        }
    }
    Ok(None)
}

/// A name `BASE-<time>` that nothing in the root has.
///
/// # Errors
/// [`Stop`] when the root cannot be looked at.
pub(crate) fn free_dated<T: Tree>(
    tree: &T,
    root: &T::Dir,
    time: Timestamp,
    base: &Name,
) -> Result<Name> {
    let dated = time.dated(base);
    let mut at = 0;
    while tree.stat(root, &dated.numbered(at))?.is_some() {
        at += 1;
    }
    Ok(dated.numbered(at))
}

/// After the commit: what the root directory itself was like, the flags of the root
/// and of old roots, and last the in-progress marker.
fn clean_up<T: Tree>(tree: &T, root: &T::Dir, intent: Option<&Intent>) -> Result<()> {
    let flags = intent.map_or(&[][..], |intent| &intent.flags);
    if let Some(intent) = intent
        && let Some(look) = &intent.look
        && intent.direction == Direction::Revert
        && intent.finished.is_some()
    {
        give_look_back(tree, root, intent, look)?;
    }
    if !flags.is_empty() {
        let old_root = tree.open(root, &[OLD_ROOT])?;
        let bases: Vec<_> = std::iter::once(root).chain(&old_root).collect();
        change_flags(tree, &bases, flags, Change::RestoreHolders)?;
        change_flags(tree, &[root], flags, Change::RestoreOpenEtc)?;
    }
    if let Some(etc) = tree.open(root, &[ETC])?
        && holds_in_progress(tree, &etc)?
    {
        // Only of an immutable root there is one.
        if intent.is_none_or(|intent| intent.root_flags().is_some()) {
            remove_note(tree, &etc)?;
        }
        tree.remove_file(&etc, &MARKER)?;
    }
    // The marker could not leave an immutable one: only here a crash can lose a flag.
    change_flags(tree, &[root], flags, Change::RestoreEtc)
}

fn give_look_back<T: Tree>(
    tree: &T,
    root: &T::Dir,
    intent: &Intent,
    look: &RootLook,
) -> Result<()> {
    // One that is immutable again has it.
    if intent.root_flags().is_some() && tree.flags(root, None)? & HINDERING != 0 {
        return Ok(());
    }
    let now = tree.stat_dir(root)?;
    if (now.uid, now.gid) != (look.uid, look.gid) {
        tree.set_owner(root, (look.uid, look.gid))?;
    }
    if now.mode != look.mode {
        tree.set_mode(root, look.mode)?;
    }
    Ok(tree.set_times(root, &Stat { accessed: look.accessed, modified: look.modified, ..now })?)
}

/// The `.lustrate` of an exchange of which only the in-progress marker is left:
/// it is over, or a revert that had not moved anything yet. `None`: somebody
/// has taken the staging directory away.
///
/// # Errors
/// What the file system answers.
pub(crate) fn ended<T: Tree>(
    tree: &T,
    root: &T::Dir,
    direction: Direction,
) -> tree::Result<Option<T::Dir>> {
    let with = |home: &Name, note: &Name| -> tree::Result<Option<T::Dir>> {
        let Some(meta) = tree.open(root, &[home.clone(), LUSTRATE])? else { return Ok(None) };
        Ok(tree.stat(&meta, note)?.map(|_| meta))
    };
    if direction == Direction::Revert {
        if let Some(begun) = with(&OLD_ROOT, &INTENT)? {
            return Ok(Some(begun));
        }
        // Ours has a date when a `nixos-root` of the user's was there.
        let dated = tree.list(root)?.into_iter().rev().filter(|n| is_dated(n, &NIXOS_ROOT));
        for name in std::iter::once(NIXOS_ROOT).chain(dated) {
            if let Some(reverted) = with(&name, &RECORD)? {
                return Ok(Some(reverted));
            }
        }
    }
    with(&OLD_ROOT, &RECORD)
}

/// Ends what a power cut after the commit, or before the first step, left: the
/// `.lustrate` is what [`ended`] found.
///
/// # Errors
/// [`Stop`]; it can be repeated.
pub(crate) fn finish<T: Tree>(tree: &T, root: &T::Dir, meta: &T::Dir) -> Result<()> {
    let intent = load(tree, meta)?;
    if let Some(intent) = &intent {
        take_etc_again(tree, root, intent)?;
    }
    let flags = intent.as_ref().map_or(&[][..], |intent| &intent.flags);
    // A revert that had only begun has cleared these.
    if let Some(old_root) = tree.open(root, &[OLD_ROOT])?.filter(|_| !flags.is_empty()) {
        change_flags(tree, &[root, &old_root], flags, Change::Restore)?;
    }
    clean_up(tree, root, intent.as_ref())?;
    Ok(tree.remove_file(meta, &INTENT)?)
}

/// Takes back what a run has left that did not get to its intent: the staging
/// directory, and the flags of an immutable root, which are noted in `etc`.
/// `false` when there is nothing of it.
///
/// # Errors
/// [`Stop`]; it can be repeated.
pub(crate) fn withdraw<T: Tree>(tree: &T, root: &T::Dir, staging: Staging) -> Result<bool> {
    let left = staging == Staging::Empty && remove_leftover(tree, root)?;
    Ok(undo_note(tree, root)? || left)
}

/// Sets the flags of an immutable root again that are noted in `etc`.
pub(super) fn undo_note<T: Tree>(tree: &T, root: &T::Dir) -> Result<bool> {
    let Some(etc) = tree.open(root, &[ETC])? else { return Ok(false) };
    if let Some(flags) = note(tree, &etc)?.1 {
        let now = tree.flags(root, None)?;
        tree.set_flags(root, None, now | flags)?;
    }
    remove_note(tree, &etc)
}

/// Removes a staging directory in which there is no intent, and nothing moved.
/// One in a root that is immutable is not ours: a run clears that first.
pub(super) fn remove_leftover<T: Tree>(tree: &T, root: &T::Dir) -> Result<bool> {
    let Some(staging) = tree.open(root, &[OLD_ROOT_TMP])? else { return Ok(false) };
    let given = give_back(tree, &staging)?;
    if tree.flags(root, None)? & HINDERING != 0 {
        return Ok(given);
    }
    tree.remove_dir(root, &OLD_ROOT_TMP)?;
    Ok(true)
}
