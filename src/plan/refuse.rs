//! The reasons to refuse, each with what was found, what would have happened,
//! and the mend (I6).

use nix::errno::Errno;

use crate::error::Refusal;
use crate::facts::{Entry, Facts, Journal, Marker};
use crate::intent::{Direction, Intent, Pin};
use crate::keeplist::BadKeep;
use crate::name::{Name, Shown};
use crate::names::{ETC, LUSTRATE, MARKER, NIX, NIXOS_ROOT_TMP, OLD_ROOT, OLD_ROOT_TMP};
use crate::sys::Kind;

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
        "Look into that directory; put back what was changed by hand, or ask for help",
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

/// What can be judged once it is decided what moves.
pub(super) fn after(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
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
                "The exchange would have stopped part-way",
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

fn overlay(facts: &Facts, intent: &Intent) -> Option<Refusal> {
    let moved = |e: &&Entry| e.stat.kind == Kind::Dir && intent.pin(&e.name).is_none();
    let entry = facts.entries.iter().find(moved)?;
    (facts.environment.overlay_redirects == Some(false)).then(|| {
        Refusal::new(
            format!("{} is an overlay file system without redirect_dir=on", facts.environment.root),
            format!(
                "Directories of its lower layers, like {}, cannot be moved",
                facts.show(&entry.name)
            ),
            "Mount the root with redirect_dir=on, or mount the upper file system itself",
        )
    })
}

fn swaps(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let renamed = |path: &crate::name::RelPath| {
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
