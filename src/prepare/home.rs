//! The state directory: what is in it makes root remove trees and change owners,
//! so that it has to be root's, closed to others, and made by us.
//!
//! `/nix` and `/nix/var` may still belong to a user (single-user Nix) until the
//! step `owners`, and again once it is undone. He can rename or replace what is in
//! them, but cannot make a directory that is root's: what was opened is looked at,
//! never its name.

use nix::sys::stat::Mode;

use super::state_file::HOME;
use super::step::Result;
use crate::error::{Refusal, Stop};
use crate::fs::disk::{Dir, Disk};
use crate::fs::sys::{Kind, Stat};
use crate::fs::tree::Tree;

const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Opens it, if it is there.
///
/// # Errors
/// A refusal when it is not ours, or when others could replace it.
pub(super) fn open(disk: &Disk, root: &Dir) -> std::result::Result<Option<Dir>, Refusal> {
    let Some(parent) = parent(disk, root)? else { return Ok(None) };
    let Some(named) = disk.stat(&parent, &HOME[2])? else { return Ok(None) };
    let shown = disk.show(&parent, Some(&HOME[2]));
    let opened = match named.kind {
        Kind::Dir => disk.open(&parent, &HOME[2..])?,
        _ => None,
    };
    let Some(opened) = opened else {
        return Err(foreign(&shown, "is no directory"));
    };
    trouble(&shown, &disk.stat_dir(&opened)?).map_or(Ok(Some(opened)), Err)
}

/// Makes it.
///
/// # Errors
/// When it cannot be made, or is not what was made.
pub(super) fn make(disk: &Disk, root: &Dir) -> Result<Dir> {
    let shown = disk.show(root, None);
    let gone = || {
        Stop::wrong(
            format!("{shown} has no /nix/var"),
            "What is to be undone is recorded in it",
            format!("Make it: mkdir -p {shown}/nix/var"),
        )
    };
    let parent = parent(disk, root)?.ok_or_else(gone)?;
    let shown = disk.show(&parent, Some(&HOME[2]));
    disk.make_dir(&parent, &HOME[2], 0o700)?;
    let made = disk.open(&parent, &HOME[2..])?;
    let made = made.ok_or_else(|| foreign(&shown, "is no directory"))?;
    // The umask may take away more, and an inherited access list adds nobody.
    if disk.stat_dir(&made)?.uid == 0 {
        let _ = nix::sys::stat::fchmod(&made, Mode::S_IRWXU);
    }
    if let Some(refusal) = trouble(&shown, &disk.stat_dir(&made)?) {
        return Err(refusal.into());
    }
    if !disk.list(&made)?.is_empty() {
        return Err(foreign(&shown, "is not empty").into());
    }
    disk.sync(&parent)?;
    Ok(made)
}

/// `/nix/var`, which nobody but its owner may write to.
fn parent(disk: &Disk, root: &Dir) -> std::result::Result<Option<Dir>, Refusal> {
    let mut at = None;
    for length in 1..HOME.len() {
        let above = at.as_ref().unwrap_or(root);
        let name = &HOME[length - 1];
        let Some(stat) = disk.stat(above, name)? else { return Ok(None) };
        let shown = disk.show(above, Some(name));
        let opened = match stat.kind {
            Kind::Dir => disk.open(above, std::slice::from_ref(name))?,
            _ => None,
        };
        let Some(opened) = opened else {
            return Err(Refusal::new(
                format!("{shown} is no directory"),
                "What is to be undone is recorded below it, and would be written to where it leads",
                "Make it a directory, or mount the file system there",
            ));
        };
        if stat.mode & OTHERS_WRITE != 0 && stat.mode & STICKY == 0 {
            let mode = format!("{:04o}", stat.mode);
            return Err(Refusal::new(
                format!("others than its owner may write to {shown} (mode {mode})"),
                "They could replace the record of what is to be undone",
                format!("Close it: chmod go-w {shown}"),
            ));
        }
        at = Some(opened);
    }
    Ok(at)
}

/// Why a directory is not one of ours.
fn trouble(shown: &str, stat: &Stat) -> Option<Refusal> {
    let (uid, mode) = (stat.uid, format!("{:04o}", stat.mode));
    if uid != 0 {
        return Some(foreign(shown, &format!("is user {uid}'s")));
    }
    if stat.mode & OTHERS_WRITE != 0 {
        return Some(foreign(shown, &format!("can be written to by others ({mode})")));
    }
    (stat.mode & 0o077 != 0).then(|| {
        Refusal::new(
            format!("{shown} is open to others (mode {mode})"),
            "They could read what only root may",
            format!("Close it: chmod 700 {shown}"),
        )
    })
}

fn foreign(shown: &str, what: &str) -> Refusal {
    Refusal::new(
        format!("{shown} {what}, and nixos-lustrate did not make it so"),
        "What somebody else wrote there would have been taken for the record of what is to be undone",
        format!("See what is in it, then rename it: mv {shown} {shown}.older"),
    )
}
