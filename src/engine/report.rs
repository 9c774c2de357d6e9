//! Plans and states as text for a console of 80 columns. No sizes: a tree is
//! never walked.

use std::fmt::Write;

use crate::engine::exchange::Done;
use crate::engine::intent::{Direction, Pin};
use crate::engine::plan::{How, Kept, Plan};
use crate::engine::state::{State, Status};
use crate::fs::name::RelPath;
use crate::term::text::{columns, count, fold, line, section};

/// The plan, for a person.
#[must_use]
pub(crate) fn plan(plan: &Plan, root: &str) -> String {
    let mut text = String::new();
    let intent = &plan.intent;
    let what = match (plan.resumes, plan.takes_over) {
        (true, _) => "goes on with what is in progress: ",
        (_, true) => "takes over an interrupted stock lustration: ",
        _ => "",
    };
    let (moving, kept) = (intent.old.len(), plan.kept.len());
    let _ = writeln!(
        text,
        "{root}: {what}{} to /old-root, {} kept.",
        count(moving, "entry", "entries"),
        count(kept, "path", "paths")
    );
    section(&mut text, "Moves to /old-root", &columns(&intent.old));
    section(
        &mut text,
        "Kept",
        &plan.kept.iter().map(|k| kept_line(k, &intent.links)).collect::<Vec<_>>(),
    );
    let stays = |pin: Pin, why: &str| {
        let names: Vec<_> = intent.pinned.iter().filter(|(_, p)| *p == pin).collect();
        names.iter().map(|(name, _)| line(&name.to_string(), why)).collect::<Vec<_>>()
    };
    let mut left = stays(Pin::Protected, "never touched");
    left.extend(stays(Pin::Mount, "a mount point: another file system"));
    left.extend(stays(Pin::ReadOnly, "a read-only subvolume, which cannot be moved"));
    section(&mut text, "Left in place", &left);
    if let Some(rotated) = &intent.rotated {
        let _ = writeln!(text, "\nThe older /old-root becomes /{rotated}.");
    }
    section(&mut text, "Warnings", &plan.warnings);
    text
}

/// What `run` would do where only the last step of an exchange is missing.
#[must_use]
pub(crate) fn last_step(direction: Direction, root: &str) -> String {
    let what = match direction {
        Direction::Lustrate => "lustration",
        Direction::Revert => "revert",
    };
    format!("{root}: the {what} is done; run would remove its marker, nothing else.\n")
}

fn kept_line(kept: &Kept, links: &[RelPath]) -> String {
    let real = &kept.real;
    let how = match kept.how {
        How::Entry => "stays where it is".to_owned(),
        How::Nested => "moved by one rename".to_owned(),
        How::Subvolume => "a subvolume, kept whole".to_owned(),
        How::Link => {
            let mut on_the_way = String::new();
            for link in links.iter().filter(|link| link.covers(&kept.asked) && **link != kept.asked)
            {
                on_the_way.push_str(", ");
                on_the_way.push_str(&link.to_string());
            }
            match on_the_way.get(2..) {
                None => format!("through a link: {real} is kept"),
                Some(links) => format!("through a link: {real} is kept, {links} made anew"),
            }
        }
    };
    line(&kept.asked.to_string(), &how)
}

/// The state, for a person.
#[must_use]
pub(crate) fn status(status: &Status) -> String {
    let mut text = String::new();
    let root = &status.root;
    let _ = writeln!(text, "{root}: {}", status.state.word());
    let system = status.system.as_deref().unwrap_or("no known system");
    let mut lines = vec![line("The root", system)];
    for holder in &status.holders {
        let system = holder.system.as_deref().unwrap_or("no known system");
        let entries = count(holder.entries, "entry", "entries");
        let since = holder.finished.map(|t| format!(", since {t}")).unwrap_or_default();
        lines.push(line(&format!("/{}", holder.name), &format!("{system}, {entries}{since}")));
    }
    section(&mut text, "What is where", &lines);
    if let (State::InProgress(direction), Some((moved, all))) = (status.state, status.progress) {
        let what = match direction {
            Direction::Lustrate => "lustration",
            Direction::Revert => "revert",
        };
        text.push('\n');
        fold(
            &mut text,
            "  ",
            &format!(
                "A {what} is half-way: {moved} of {all} entries of the old system are in \
                 /old-root.tmp."
            ),
            4,
        );
    }
    section(&mut text, "Trouble", status.trouble.as_slice());
    if let Some(intent) = status.intent.as_ref().filter(|_| status.state == State::Done) {
        let kept: Vec<_> = intent.kept().iter().map(ToString::to_string).collect();
        section(&mut text, "Kept", &kept);
        section(&mut text, "Warnings of that lustration", &intent.warnings);
    }
    if let Some(missing) = &status.missing {
        let paths: Vec<_> = missing.paths.iter().map(ToString::to_string).collect();
        section(&mut text, "Not kept, though listed", &paths);
    }
    let root = if root == "/" { String::new() } else { format!(" --root {root}") };
    let next = match status.state {
        State::None => "Nothing to do.".to_owned(),
        State::Scheduled => format!(
            "The next boot into NixOS lustrates. What it will do: nixos-lustrate plan{root}"
        ),
        State::InProgress(Direction::Revert) => format!(
            "Go on: nixos-lustrate revert{root}. Go back, to NixOS: nixos-lustrate run{root}"
        ),
        State::Stock if status.missing.is_some() => format!(
            "NixOS has used this root since, so a boot does not go on with it. Go back, from a \
             rescue system: nixos-lustrate revert{root}"
        ),
        State::InProgress(Direction::Lustrate) | State::Stock => {
            format!("Go on: nixos-lustrate run{root}. Go back: nixos-lustrate revert{root}")
        }
        State::Unfinished => format!("The last step: nixos-lustrate run{root}"),
        State::Done if status.missing.as_ref().is_some_and(|missing| !missing.used) => format!(
            "That lustration was cut short. Complete it, from a rescue system: \
             nixos-lustrate run --complete{root}. Go back: nixos-lustrate revert{root}"
        ),
        State::Done => format!("The way back, from a rescue system: nixos-lustrate revert{root}"),
        State::Reverted => {
            "What NixOS had written is in /nixos-root; it can be removed.".to_owned()
        }
    };
    text.push('\n');
    fold(&mut text, "  ", &next, 4);
    text
}

/// What an exchange that is about to begin will do, in one line.
#[must_use]
pub(crate) fn beginning(plan: &Plan, root: &str) -> String {
    let entries = count(plan.intent.old.len(), "entry", "entries");
    let verb = if plan.resumes || plan.takes_over { "Going on with" } else { "Beginning" };
    match plan.intent.direction {
        Direction::Lustrate => {
            let kept = count(plan.kept.len(), "path", "paths");
            format!("{verb} the lustration of {root}: {entries} to /old-root, {kept} kept")
        }
        Direction::Revert => format!("{verb} the revert of {root}: {entries} back to their places"),
    }
}

/// What an exchange did, in one line.
#[must_use]
pub(crate) fn end(plan: &Plan, done: &Done, root: &str) -> String {
    let (out, keepers) = (done.displaced, done.keepers);
    match plan.intent.direction {
        Direction::Lustrate => format!(
            "Lustrated {root}: {} moved to /old-root, {} moved back in",
            count(out, "entry", "entries"),
            count(keepers, "nested keeper", "nested keepers"),
        ),
        Direction::Revert => {
            let place = done.place.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("Reverted {root}: the old system is back; what NixOS wrote is in /{place}")
        }
    }
}
