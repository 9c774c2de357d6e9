//! The reasons to refuse that show once it is decided what moves (I6).

use super::word;
use crate::engine::facts::{Entry, Facts, Inodes, Journal};
use crate::engine::intent::{Direction, Intent, Pin};
use crate::engine::names::{ETC, LUSTRATE, OLD_ROOT_TMP};
use crate::engine::plan::renames;
use crate::error::Refusal;
use crate::fs::sys::Kind;

/// What can be judged once it is decided what moves.
pub(in crate::engine::plan) fn after(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let mut refusals = renames::refusals(facts, intent);
    if intent.direction == Direction::Lustrate {
        refusals.extend(second(facts, intent));
    }
    refusals.extend(overlay(facts, intent));
    refusals.extend(swaps(facts, intent));
    refusals
}

/// What comes into the root needs its name there; what stays in the root cannot
/// make room for it.
fn second(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    // What the stock function had moved does not come, but it has to be able to.
    let stock = if facts.journal == Journal::None { facts.staged.as_deref() } else { None };
    for (staged, list) in [(true, stock.unwrap_or_default()), (false, &facts.incoming)] {
        for Entry { name, .. } in list {
            let comes = match intent.pin(name) {
                Some(pin) => !staged || pin == Pin::Protected,
                None => false,
            };
            if !comes || *name == ETC || *name == LUSTRATE || facts.entry(name).is_none() {
                continue;
            }
            let path = facts.show(name);
            let other = format!("{}/{name}", facts.show(&OLD_ROOT_TMP));
            let fix = match intent.pin(name) {
                Some(Pin::Mount) => format!("Unmount it first: umount {}", word(&path)),
                _ => format!(
                    "Rename the other: mv {} {}",
                    word(&other),
                    word(&format!("{other}.saved"))
                ),
            };
            refusals.push(Refusal::new(
                format!("{path} stays in the root, and another {name} has to come to its place"),
                "The move would have stopped part-way",
                fix,
            ));
        }
    }
    refusals
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
