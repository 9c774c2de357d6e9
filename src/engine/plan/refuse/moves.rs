//! The reasons to refuse that show once it is decided what moves (I6).

use nix::errno::Errno;

use super::word;
use crate::engine::facts::{Entry, Facts, Inodes, Journal};
use crate::engine::intent::{Direction, Intent, Pin};
use crate::engine::names::{ETC, LUSTRATE, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP};
use crate::error::Refusal;
use crate::fs::name::Name;
use crate::fs::sys::Kind;

/// What can be judged once it is decided what moves.
pub(in crate::engine::plan) fn after(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    refusals.extend(mounts(facts, intent));
    refusals.extend(special_flags(facts, intent));
    refusals.extend(older_flagged(facts, intent));
    refusals.extend(second(facts, intent));
    refusals.extend(old_etc(facts, intent));
    refusals.extend(overlay(facts, intent));
    refusals.extend(swaps(facts, intent));
    refusals
}

/// Whether the entry `name` of the root is going to be renamed.
fn moves(facts: &Facts, intent: &Intent, name: &Name) -> bool {
    let ours = *name == OLD_ROOT_TMP || *name == NIXOS_ROOT_TMP;
    let old_root = *name == OLD_ROOT
        && (intent.rotated.is_some() || intent.direction == Direction::Revert)
        && facts.entry(name).is_some_and(|e| e.stat.kind == Kind::Dir);
    ours || old_root || intent.pin(name).is_none()
}

fn mounts(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let deeper = facts.environment.mounts.iter().filter(|m| !m.point.is_entry());
    deeper
        .filter(|m| moves(facts, intent, m.point.entry()))
        .map(|mount| {
            let path = facts.show(&mount.point);
            Refusal::new(
                format!("{path} is a mount point inside an entry that would move"),
                match intent.direction {
                    Direction::Lustrate => "Its file system would end up below /old-root",
                    Direction::Revert => "Its file system would end up below /nixos-root",
                },
                format!("Unmount it first: umount {}", word(&path)),
            )
        })
        .collect()
}

/// Flags on what cannot be opened to clear them.
fn special_flags(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let special = |e: &&Entry| !matches!(e.stat.kind, Kind::Dir | Kind::File);
    let entries = facts.entries.iter().filter(special).filter(|e| e.stat.flags != 0);
    entries
        .filter(|e| intent.pin(&e.name).is_none())
        .map(|e| {
            let path = facts.show(&e.name);
            let errno = Errno::EPERM.desc();
            Refusal::new(
                format!("{path} is immutable, and is neither a file nor a directory"),
                format!("It could not be moved: {errno}"),
                format!("Remove it: it can be made anew, ls -l {} says what it is", word(&path)),
            )
        })
        .collect()
}

/// What comes into the root needs its name there; what stays in the root cannot
/// make room for it.
fn second(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let pinned = |e: &&Entry| intent.pin(&e.name).is_some();
    let protected = |e: &&Entry| intent.pin(&e.name) == Some(Pin::Protected);
    let staged = || facts.staged.iter().flatten();
    let coming: Vec<&Entry> = match intent.direction {
        Direction::Revert => staged().filter(pinned).collect(),
        // What the stock function had moved does not come, but it has to be able to.
        Direction::Lustrate => {
            staged().filter(protected).chain(facts.incoming.iter().filter(pinned)).collect()
        }
    };
    let taken = |e: &&Entry| e.name != ETC && e.name != LUSTRATE && facts.entry(&e.name).is_some();
    coming
        .into_iter()
        .filter(taken)
        .map(|entry| {
            let name = &entry.name;
            let path = facts.show(name);
            let home = if facts.finished { &OLD_ROOT } else { &OLD_ROOT_TMP };
            let other = format!("{}/{name}", facts.show(home));
            let mend = match intent.pin(name) {
                Some(Pin::Mount) => format!("Unmount it first: umount {}", word(&path)),
                _ => format!(
                    "Rename the other: mv {} {}",
                    word(&other),
                    word(&format!("{other}.saved"))
                ),
            };
            Refusal::new(
                format!("{path} stays in the root, and another {name} has to come to its place"),
                "The move would have stopped part-way",
                mend,
            )
        })
        .collect()
}

/// An old root that has lost its `etc` holds no system to bring back.
fn old_etc(facts: &Facts, intent: &Intent) -> Option<Refusal> {
    let Journal::Good(journal) = &facts.journal else { return None };
    (facts.finished && journal.moves(&ETC) && intent.etc.is_none()).then(|| {
        Refusal::new(
            format!("{}/{ETC} is missing", facts.show(&OLD_ROOT)),
            "A root without the configuration of its system would have been left",
            "Bring it back from a backup first",
        )
    })
}

/// An older old root gets another name before anything is cleared.
fn older_flagged(facts: &Facts, intent: &Intent) -> Option<Refusal> {
    intent.rotated.as_ref().filter(|_| intent.direction == Direction::Lustrate)?;
    let older = facts.entry(&OLD_ROOT).filter(|e| e.stat.flags != 0)?;
    let path = facts.show(&older.name);
    Some(Refusal::new(
        format!("{path} is immutable or append-only"),
        "It could not make room for the new one",
        format!("Clear that: chattr -ia {}", word(&path)),
    ))
}

/// On an overlay a rename may copy, or fail, and what a file is known by may not last.
fn overlay(facts: &Facts, intent: &Intent) -> Option<Refusal> {
    let redirects = facts.environment.overlay_redirects?;
    let root = &facts.environment.root;
    let moved = |e: &&Entry| e.stat.kind == Kind::Dir && intent.pin(&e.name).is_none();
    let entry = facts.entries.iter().find(moved)?;
    if !redirects {
        return Some(Refusal::new(
            format!("{root} is an overlay file system without redirect_dir=on"),
            format!(
                "Directories of its lower layers, like {}, cannot be moved",
                facts.show(&entry.name)
            ),
            "Mount the root with redirect_dir=on, or mount the upper file system itself",
        ));
    }
    if facts.journal != Journal::None {
        return None;
    }
    if facts.inodes == Inodes::Fleeting {
        return Some(Refusal::new(
            format!("{root} is an overlay file system whose inode numbers do not last"),
            "Which file is of which system could not be told after a restart",
            "Mount the root with xino=on, or mount the upper file system itself",
        ));
    }
    let keeper = intent.keepers.first()?;
    let (path, whole) = (facts.show(keeper), facts.show(keeper.entry()));
    Some(Refusal::new(
        format!("{root} is an overlay file system, and {path} is to be kept"),
        "That would have copied it from a lower layer, or failed",
        format!("Keep the whole of {whole}, or mount the upper file system itself"),
    ))
}

fn swaps(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let renamed = |path: &crate::fs::name::RelPath| {
        let entry = path.is_entry() && intent.pin(path.entry()).is_none();
        entry || intent.keepers.contains(path)
    };
    let swaps = facts.environment.swaps.iter().filter(|path| renamed(path));
    swaps
        .map(|path| {
            let path = facts.show(path);
            Refusal::new(
                format!("{path} is in use as swap space"),
                "It could not be moved",
                format!("Switch it off first: swapoff {}", word(&path)),
            )
        })
        .collect()
}
