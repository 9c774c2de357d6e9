//! The reasons to refuse, each with what was found, what would have happened,
//! and the mend (I6).

use crate::engine::exchange::reserve;
use crate::engine::facts::{Facts, Journal, Marker};
use crate::engine::intent::{Direction, Intent};
use crate::engine::keeplist::BadKeep;
use crate::engine::names::{ETC, LUSTRATE, MARKER, NIX, NIXOS_ROOT_TMP, OLD_ROOT_TMP};
use crate::error::Refusal;
use crate::fs::name::{Name, Shown};
use crate::fs::sys::Kind;

mod moves;

pub(super) use moves::after;

/// A path as a word of a shell command; mostly it is one as it is.
pub(crate) fn word(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if path.chars().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

/// What can be judged before anything is decided.
pub(super) fn before(facts: &Facts, direction: Direction) -> Vec<Refusal> {
    let checks = [
        read_only(facts),
        journal(facts),
        in_the_way(facts, &OLD_ROOT_TMP),
        in_the_way(facts, &NIXOS_ROOT_TMP),
        our_name(facts),
        etc(facts, direction),
        marker(facts, direction),
    ];
    let mut refusals: Vec<Refusal> = checks.into_iter().flatten().collect();
    if direction == Direction::Lustrate {
        refusals.extend([nix(facts), init(facts)].into_iter().flatten());
    }
    refusals
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

fn read_only(facts: &Facts) -> Option<Refusal> {
    let root = &facts.environment.root;
    facts.environment.read_only.then(|| {
        Refusal::new(
            format!("{root} is mounted read-only"),
            "Nothing can be moved in it",
            format!("Remount it: mount -o remount,rw {}", word(root)),
        )
    })
}

fn journal(facts: &Facts) -> Option<Refusal> {
    let Journal::Bad(why) = &facts.journal else { return None };
    Some(Refusal::new(
        why.clone(),
        "Which files belong to which system would have been guessed",
        "Put back what was changed by hand in that directory, or restore a backup",
    ))
}

/// A file with one of the names that an exchange needs for a directory.
fn in_the_way(facts: &Facts, name: &Name) -> Option<Refusal> {
    let entry = facts.entry(name)?;
    let fresh = facts.journal == Journal::None && facts.staged.is_none();
    let foreign = *name == NIXOS_ROOT_TMP && !entry.ours && (facts.finished || fresh);
    if entry.stat.kind == Kind::Dir && !foreign {
        return None;
    }
    let path = facts.show(name);
    let found = if foreign && entry.stat.kind == Kind::Dir {
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

fn our_name(facts: &Facts) -> Option<Refusal> {
    facts.entry(&LUSTRATE)?;
    let path = facts.show(&LUSTRATE);
    Some(Refusal::new(
        format!("{path} is there"),
        "That name is needed in /old-root, where it would have to go",
        format!("Rename it: mv {} {}", word(&path), word(&facts.show(&"lustrate.saved"))),
    ))
}

fn etc(facts: &Facts, direction: Direction) -> Option<Refusal> {
    let entry = facts.entry(&ETC)?;
    let path = facts.show(&ETC);
    let stays = "A boot could not see that files are being moved, and would go on with half a root";
    if direction == Direction::Lustrate && entry.stat.kind != Kind::Dir {
        let what = if entry.stat.kind == Kind::Link { "a symbolic link" } else { "no directory" };
        let (etc, new) = (word(&path), word(&format!("{path}.new")));
        let mend = format!(
            "Make it a directory with the same content: \
             cp -a {etc}/. {new} && rm {etc} && mv {new} {etc}"
        );
        return Some(Refusal::new(format!("{path} is {what}"), stays, mend));
    }
    if entry.stat.device != facts.root.device && entry.stat.mount == facts.root.mount {
        let [etc, new, old] = ["", ".new", ".old"].map(|end| word(&format!("{path}{end}")));
        let mend = format!(
            "Make it a plain directory: \
             cp -a --reflink=auto {etc} {new} && mv {etc} {old} && mv {new} {etc}"
        );
        return Some(Refusal::new(
            format!("{path} is a subvolume of its own"),
            "The marker could not be moved out of it, and every boot would lustrate again",
            mend,
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
    if entry.stat.flags != 0 {
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

fn marker(facts: &Facts, direction: Direction) -> Option<Refusal> {
    if facts.marker != Marker::NoFile || direction == Direction::Revert {
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
        Some(entry) if entry.stat.kind != Kind::Dir => Some(Refusal::new(
            format!("{path} is no directory"),
            "What it leads to would have moved to /old-root, and no system been left to boot",
            format!("Make {path} a directory that holds the store"),
        )),
        Some(_) => None,
    }
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
