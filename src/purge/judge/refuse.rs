//! The reasons to refuse a purge: what was found, what would have happened, and
//! the fix.

use crate::engine::facts::Marker;
use crate::engine::intent::Direction;
use crate::engine::names::{ETC, MARKER};
use crate::error::Refusal;
pub(super) use crate::fs::name::word;
use crate::fs::name::{RelPath, Shown};
use crate::fs::sys::Kind;
use crate::machine::uses::{By, Process};
use crate::purge::facts::{Candidate, Found, Sort};

/// ` --root DIR`, where it is not the running system's.
fn at_root(facts: &Found) -> String {
    match facts.environment.root.as_str() {
        "/" => String::new(),
        root => format!(" --root {}", word(root)),
    }
}

/// An exchange that needs its directories to go on, or to go back.
pub(super) fn in_progress(facts: &Found) -> Option<Refusal> {
    let (root, at) = (&facts.environment.root, at_root(facts));
    if facts.in_progress {
        return Some(Refusal::new(
            format!("{root} is half-way through a lustration or a revert"),
            "What it needs to go on, or to go back, would have been removed",
            format!("Finish it first; how, says nixos-lustrate status{at}"),
        ));
    }
    let Marker::InProgress(direction) = facts.marker else { return None };
    let what = match direction {
        Direction::Lustrate => "lustration",
        Direction::Revert => "revert",
    };
    Some(Refusal::new(
        format!("{root} has a {what} behind it of which the last step is missing"),
        "The next boot would have missed the record of it, and stopped",
        format!("Boot once more, or from a rescue system: nixos-lustrate run{at}"),
    ))
}

/// Something else with the name of an old root.
pub(super) fn kind(facts: &Found, candidate: &Candidate) -> Option<Refusal> {
    let what = match candidate.kind {
        Kind::Dir => return None,
        Kind::Link => "a symbolic link",
        Kind::File => "a file",
        Kind::Special => "neither a directory nor a file",
    };
    let path = facts.show(&candidate.path);
    Some(Refusal::new(
        format!("{path} is {what}, and no old root"),
        "Something else than an old root would have been removed",
        format!("Rename or remove it: mv {} {}", word(&path), word(&format!("{path}.saved"))),
    ))
}

/// A name that no lustration and no revert gives.
pub(super) fn no_old_root(shown: &str) -> Refusal {
    Refusal::new(
        format!("'{shown}' is not the name of an old root"),
        "Something else than an old root would have been removed",
        "Name one that nixos-lustrate status lists: old-root, old-root-TIME, nixos-root",
    )
}

/// One that is not there.
pub(super) fn missing(facts: &Found, name: &[u8]) -> Refusal {
    Refusal::new(
        format!("{} is missing", facts.show(&Shown(name.strip_prefix(b"/").unwrap_or(name)))),
        "Nothing would have been removed",
        format!("Name one that is there: nixos-lustrate status{} lists them", at_root(facts)),
    )
}

/// What was asked for by name, and is not to be removed.
pub(super) fn named(facts: &Found, candidate: &Candidate) -> Option<Refusal> {
    if let Some(refusal) = kind(facts, candidate) {
        return Some(refusal);
    }
    let path = facts.show(&candidate.path);
    if candidate.sort == Sort::NixosRoot && !candidate.ours && !candidate.mounted {
        return Some(Refusal::new(
            format!("{path} is there, and no revert of nixos-lustrate made it"),
            "Files of yours would have been removed",
            format!("If they are of no use: rm -rf --one-file-system {}", word(&path)),
        ));
    }
    candidate.flagged.then(|| {
        Refusal::new(
            format!("{path} is immutable or append-only"),
            "Somebody has protected it, since no lustration does",
            format!("Clear that: chattr -ia {}", word(&path)),
        )
    })
}

/// What can be judged once it is decided what goes.
pub(super) fn what_goes(facts: &Found, remove: &[Candidate]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    refusals.extend(scheduled(facts));
    refusals.extend(facts.environment.unwritable("Nothing can be removed in it"));
    refusals.extend(mounts(facts, remove));
    refusals.extend(in_use(facts, remove));
    refusals.extend(swaps(facts, remove));
    refusals
}

fn scheduled(facts: &Found) -> Option<Refusal> {
    if !matches!(facts.marker, Marker::Asks | Marker::NoFile) {
        return None;
    }
    let marker = facts.show(&format_args!("{ETC}/{MARKER}"));
    Some(Refusal::new(
        format!("{marker} asks for a lustration that has not begun"),
        "The next boot makes another old root, and it would not have been clear which is which",
        format!(
            "Boot first, or take it back: nixos-lustrate cancel, or, if you wrote it by hand, rm {}",
            word(&marker)
        ),
    ))
}

fn goes(remove: &[Candidate], path: &RelPath) -> bool {
    remove.iter().any(|candidate| candidate.path.covers(path))
}

/// In the order in which they can be unmounted: the last first.
fn mounts(facts: &Found, remove: &[Candidate]) -> Vec<Refusal> {
    let inside = facts.environment.mounts.iter().rev().map(|mount| &mount.point);
    let mut points: Vec<&RelPath> = inside.filter(|point| goes(remove, point)).collect();
    // One that only its id tells.
    let bare = remove.iter().filter(|c| c.mounted).map(|c| &c.path);
    let unlisted: Vec<_> = bare.filter(|path| !points.contains(path)).collect();
    points.extend(unlisted);
    let refusal = |point: &RelPath| {
        let path = facts.show(point);
        let top = remove.iter().any(|candidate| candidate.path == *point);
        let found = if top { "a mount point" } else { "a mount point inside an old root" };
        Refusal::new(
            format!("{path} is {found}"),
            "What is mounted there is no part of the old root, and would have stopped the purge",
            format!("Unmount it first: umount {}", word(&path)),
        )
    };
    points.into_iter().map(refusal).collect()
}

fn in_use(facts: &Found, remove: &[Candidate]) -> Vec<Refusal> {
    let mut processes: Vec<&Process> = Vec::new();
    let mut refusals = Vec::new();
    for used in facts.in_use.iter().filter(|used| goes(remove, &used.source)) {
        let path = facts.show(&used.source);
        let refusal = match &used.by {
            By::Mount(point, of) => {
                let (point, place) = places(point, of.as_ref());
                Refusal::new(
                    format!("{path} is mounted at {place}"),
                    shared(&point),
                    match of {
                        None => format!(
                            "Move them to where they belong, or unmount them first: umount {}",
                            word(&point)
                        ),
                        Some(process) => stop(process),
                    },
                )
            }
            By::Overlay(point, of) => {
                let (point, place) = places(point, of.as_ref());
                Refusal::new(
                    format!("{path} is a layer of the overlay at {place}"),
                    shared(&point),
                    match of {
                        None => format!("Unmount it first: umount {}", word(&point)),
                        Some(process) => stop(process),
                    },
                )
            }
            By::Loop(device) => Refusal::new(
                format!("{path} is in use as {device}"),
                format!("What is on {device} would have been lost once it is detached"),
                format!("Unmount it, if it is mounted, and detach it first: losetup -d {device}"),
            ),
            By::Process(process) => {
                // Its first file: one that is open keeps a hundred others company.
                if processes.contains(&process) {
                    continue;
                }
                processes.push(process);
                let Process { id, name } = process;
                Refusal::new(
                    format!("{path} is in use by {} (process {id})", Shown(name.as_bytes())),
                    "What it works with would have been removed",
                    stop(process),
                )
            }
        };
        refusals.push(refusal);
    }
    refusals
}

/// What is seen at two places.
fn shared(point: &str) -> String {
    format!("What is in use there would have been removed: {point} shows the same files")
}

/// A mount point as it is shown, and with it whose mount namespace has it, if not
/// ours.
fn places(point: &[u8], of: Option<&Process>) -> (String, String) {
    let point = Shown(point).to_string();
    let place = match of {
        None => point.clone(),
        Some(Process { id, name }) => {
            format!("{point} for {} (process {id})", Shown(name.as_bytes()))
        }
    };
    (point, place)
}

fn stop(process: &Process) -> String {
    let id = process.id;
    format!("Let it end first, or stop what it belongs to: systemctl status {id}")
}

fn swaps(facts: &Found, remove: &[Candidate]) -> Vec<Refusal> {
    let used = facts.environment.swaps.iter().filter(|swap| goes(remove, swap));
    used.map(|swap| {
        let path = facts.show(swap);
        Refusal::new(
            format!("{path} is in use as swap space"),
            "It could not be removed",
            format!("Switch it off first: swapoff {}", word(&path)),
        )
    })
    .collect()
}
