//! The reasons to refuse, each with what was found, what would have happened,
//! and the fix (I6).

use crate::engine::exchange::reserve;
use crate::engine::facts::{Facts, Journal, Marker, Staging};
use crate::engine::intent::{Direction, Intent};
use crate::engine::keeplist::BadKeep;
use crate::engine::names::{ETC, LUSTRATE, MARKER, NIX, OLD_ROOT, OLD_ROOT_TMP};
use crate::error::Refusal;
use crate::fs::name::{Shown, word};
use crate::fs::sys::Kind;
use crate::fs::walk::Found;

mod moves;

pub(super) use moves::after;

/// What can be judged before anything is decided.
pub(super) fn before(facts: &Facts, direction: Direction) -> Vec<Refusal> {
    type Judge = fn(&Facts) -> Option<Refusal>;
    let lustrate: &[Judge] = &[our_name, folds_case, etc, marker, nix, init, used];
    let judges: &[Judge] = match direction {
        Direction::Lustrate => lustrate,
        // Whatever NixOS or its users did, the old system comes back (I4).
        Direction::Revert => &[no_system],
    };
    let both: [Judge; 3] = [unwritable, journal, in_the_way];
    both.iter().chain(judges).filter_map(|judge| judge(facts)).collect()
}

fn unwritable(facts: &Facts) -> Option<Refusal> {
    facts.environment.unwritable("Nothing can be moved in it")
}

/// btrfs takes new space for each rename, among the metadata, where nothing can be
/// set aside for it.
const MARGIN: u64 = 16 << 20;

/// What shows to be too little without trying (I9); the rest shows when it is taken.
pub(super) fn space(facts: &Facts, intent: &Intent) -> Option<Refusal> {
    let space = facts.environment.space?;
    let root = &facts.environment.root;
    // Both directions, and the files of one, at the least.
    let (bytes, least) = (2 * reserve(intent, space.base, 0), 16);
    let files = space.files.unwrap_or(u64::MAX);
    let short = space.bytes < bytes || files < least;
    let found = match space.metadata.filter(|free| *free < MARGIN) {
        Some(free) => format!(
            "{root} has {} MiB left for metadata, and btrfs needs {} for renames",
            free >> 20,
            MARGIN >> 20
        ),
        // A revert has its space, if a lustration of this version took it.
        None if short && intent.direction == Direction::Lustrate => format!(
            "{root} has {} KiB and {files} inodes left, and {} KiB and {least} are needed",
            space.bytes >> 10,
            bytes >> 10
        ),
        None => return None,
    };
    Some(Refusal::new(
        found,
        "The move, or the way back, would have stopped part-way",
        "Free some space there (delete files, or make it larger), then try again",
    ))
}

fn journal(facts: &Facts) -> Option<Refusal> {
    let Journal::Bad(why) = &facts.journal else { return None };
    Some(Refusal::new(
        why.clone(),
        "Which files belong to which system would have been guessed",
        "Put back what was changed by hand in that directory, or restore a backup",
    ))
}

/// What has the name of the staging directory, and is none of ours.
fn in_the_way(facts: &Facts) -> Option<Refusal> {
    let entry = facts.entry(&OLD_ROOT_TMP)?;
    let foreign = facts.staging == Staging::Foreign;
    if entry.stat.kind == Kind::Dir && !foreign {
        return None;
    }
    let path = facts.show(&entry.name);
    let found = if entry.stat.kind == Kind::Dir {
        format!("{path} is there, and nixos-lustrate did not make it")
    } else {
        format!("{path} is there and is no directory")
    };
    Some(Refusal::new(
        found,
        "That name is needed while files are being moved",
        format!("Rename it: mv {} {}", word(&path), word(&format!("{path}.saved"))),
    ))
}

/// In such a directory two of the names that an exchange gives may be one.
fn folds_case(facts: &Facts) -> Option<Refusal> {
    let root = &facts.environment.root;
    facts.folds_case.then(|| {
        Refusal::new(
            format!("{root} is a case-insensitive directory"),
            "Entries that differ in case only could not be told apart",
            "Copy the system to a root directory without that flag: lsattr -d shows it (F)",
        )
    })
}

/// Some directory of that name: nothing in it could be started.
fn no_system(facts: &Facts) -> Option<Refusal> {
    let gone = match &facts.journal {
        Journal::Good(journal) => journal.moves(&ETC) && facts.staged(&ETC).is_none(),
        _ => !facts.system,
    };
    (facts.finished && gone && !facts.is_mount_point(&OLD_ROOT)).then(|| {
        let path = facts.show(&OLD_ROOT);
        Refusal::new(
            format!("{path}/{ETC} is missing: there is no system in {path}"),
            "A root that nothing can be started from would have been left",
            "Bring it back from a backup first",
        )
    })
}

fn our_name(facts: &Facts) -> Option<Refusal> {
    facts.entry(&LUSTRATE).filter(|_| facts.journal == Journal::None)?;
    let path = facts.show(&LUSTRATE);
    Some(Refusal::new(
        format!("{path} is there"),
        "That name is needed in /old-root, where it would have to go",
        format!("Rename it: mv {} {}", word(&path), word(&facts.show(&"lustrate.saved"))),
    ))
}

fn etc(facts: &Facts) -> Option<Refusal> {
    let entry = facts.entry(&ETC)?;
    let path = facts.show(&ETC);
    let stays = "A boot could not see that files are being moved, and would go on with half a root";
    // Turned round, a revert gives NixOS its own again, whatever it is.
    let fresh = facts.journal == Journal::None;
    if fresh && entry.stat.kind != Kind::Dir {
        let what = if entry.stat.kind == Kind::Link { "a symbolic link" } else { "no directory" };
        let (etc, new) = (word(&path), word(&format!("{path}.new")));
        let fix = format!(
            "Make it a directory with the same content: \
             cp -a {etc}/. {new} && rm {etc} && mv {new} {etc}"
        );
        return Some(Refusal::new(format!("{path} is {what}"), stays, fix));
    }
    if fresh && entry.stat.device != facts.root.device && entry.stat.mount == facts.root.mount {
        let [etc, new, old] = ["", ".new", ".old"].map(|end| word(&format!("{path}{end}")));
        let fix = format!(
            "Make it a plain directory: \
             cp -a --reflink=auto {etc} {new} && mv {etc} {old} && mv {new} {etc}"
        );
        return Some(Refusal::new(
            format!("{path} is a subvolume of its own"),
            "The marker could not be moved out of it, and every boot would lustrate again",
            fix,
        ));
    }
    if entry.stat.mount != facts.root.mount || facts.is_mount_point(&ETC) {
        let found = format!("{path} is a mount point");
        return Some(Refusal::new(
            found,
            stays,
            format!("Unmount it first: umount {}", word(&path)),
        ));
    }
    if fresh && entry.stat.flags != 0 {
        let found = format!("{path} is immutable or append-only");
        return Some(Refusal::new(found, stays, format!("Clear that: chattr -ia {}", word(&path))));
    }
    let marker = format!("{path}/{MARKER}");
    facts.marker_flagged.then(|| {
        Refusal::new(
            format!("{marker} is immutable or append-only"),
            "It could not be taken away afterwards, and the next boot would lustrate again",
            format!("Clear that: chattr -ia {}", word(&marker)),
        )
    })
}

fn marker(facts: &Facts) -> Option<Refusal> {
    if facts.marker != Marker::NoFile {
        return None;
    }
    let marker = format!("{}/{MARKER}", facts.show(&ETC));
    Some(Refusal::new(
        format!("{marker} is not a regular file"),
        "Its keep-list cannot be read, and everything in it would be gone",
        format!("Replace it by a file that lists what to keep: rm {0}; touch {0}", word(&marker)),
    ))
}

fn nix(facts: &Facts) -> Option<Refusal> {
    let path = facts.show(&NIX);
    match facts.entry(&NIX) {
        None => Some(Refusal::new(
            format!("{path} is missing"),
            "No system would have been left to boot",
            "Install Nix and build the NixOS system first, or give the right --root",
        )),
        Some(entry) if entry.stat.kind != Kind::Dir && !leads(facts) => Some(Refusal::new(
            format!("{path} is no directory"),
            "No system would have been left to boot",
            format!("Make {path} a directory that holds the store"),
        )),
        Some(_) => None,
    }
}

/// Whether `nix` is a link that leads somewhere; when an exchange goes on, that may
/// be on its way.
fn leads(facts: &Facts) -> bool {
    let link = facts.entry(&NIX).is_some_and(|e| e.stat.kind == Kind::Link);
    let nix = facts.rests.iter().find(|rest| rest.point.is_entry() && *rest.point.entry() == NIX);
    let found = nix.and_then(|rest| rest.source.as_ref()).map(|keep| &keep.found);
    let nowhere = matches!(found, None | Some(Found::Missing | Found::Loop));
    link && (!nowhere || matches!(facts.journal, Journal::Good(_)))
}

/// NixOS has used a root on which a stock lustration was interrupted.
fn used(facts: &Facts) -> Option<Refusal> {
    (facts.staging == Staging::Used).then(|| {
        let root = &facts.environment.root;
        Refusal::new(
            format!(
                "a lustration of {root} by other means was interrupted, and NixOS has used it since"
            ),
            "What it has written would have been exchanged for old copies",
            format!(
                "Copy by hand what is missing: nixos-lustrate status lists it. \
                 Or go back: nixos-lustrate revert --root {}",
                word(root)
            ),
        )
    })
}

fn init(facts: &Facts) -> Option<Refusal> {
    if facts.init_found != Some(false) {
        return None;
    }
    let init = Shown(facts.environment.init.as_deref().unwrap_or_default()).to_string();
    let root = &facts.environment.root;
    Some(Refusal::new(
        format!("{init} (init= on the kernel command line) is not in {root}/nix/store"),
        "This is the wrong root, or the wrong generation, and it would not have booted",
        "Check root= and init=, or choose another entry in the boot menu",
    ))
}

/// A keep-list that cannot be meant.
pub(super) fn keep_list(facts: &Facts, bad: &BadKeep) -> Refusal {
    Refusal::new(
        bad.to_string(),
        "What it should have kept would have moved to /old-root",
        format!("Correct {}/{MARKER}", facts.show(&ETC)),
    )
}
