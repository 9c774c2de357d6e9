//! Every rename that an exchange is going to make, and the one predicate that
//! judges each (I6). What it says no to is handled (a flag that is cleared and
//! noted), stays in its place, or is refused.

use super::{Draft, add_flags, is_protected};
use crate::engine::facts::{Entry, Facts, Journal};
use crate::engine::intent::{Direction, Flagged, Intent, Pin};
use crate::engine::names::{BOOT, ETC, OLD_ROOT, OLD_ROOT_TMP, is_reserved};
use crate::engine::time::is_dated;
use crate::error::Refusal;
use crate::fs::mounts::Mount;
use crate::fs::name::word;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{Kind, Stat};
use nix::errno::Errno;

/// What is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// An entry that leaves the root, or comes into it.
    Entry,
    /// An old root that gets another name in the root, and whose entries come.
    OldRoot,
    /// The directory that changes places with `boot.bak`.
    Boot,
}

/// Where it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Home,
}

/// A rename that is going to be made.
struct Rename<'a> {
    role: Role,
    place: Place,
    entry: &'a Entry,
}

/// Why a rename cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hindrance {
    /// Another file system is mounted there.
    Mount,
    /// One is mounted deeper down, and would go with it.
    Below,
    /// It is a subvolume of its own, and what is in it has to leave it.
    Subvolume,
    /// A read-only subvolume cannot go to another directory.
    ReadOnly,
    /// It is immutable or append-only, and cannot be opened to clear that.
    Stuck,
}

/// Goes through every rename of an entry of the root or of a home. Nested keepers are
/// judged where their paths are followed; the directories that they and the markers
/// enter by their flags alone.
fn each_rename<'a>(facts: &'a Facts, intent: &Intent, judge: &mut dyn FnMut(&Rename<'a>)) {
    let staged = facts.staged.as_deref().unwrap_or_default();
    let lists = [&facts.entries, staged, &facts.incoming];
    for (place, list) in [Place::Root, Place::Home, Place::Home].into_iter().zip(lists) {
        for entry in list {
            if let Some(role) = role(entry, intent) {
                judge(&Rename { role, place, entry });
            }
        }
    }
}

/// What an entry is renamed as, if it is.
fn role(entry: &Entry, intent: &Intent) -> Option<Role> {
    let name = &entry.name;
    let old_root = *name == OLD_ROOT || intent.rotated.as_ref() == Some(name);
    let renamed = intent.rotated.is_some() || intent.direction == Direction::Revert;
    match intent.pin(name) {
        _ if *name == BOOT && intent.boot_bak.is_some() => Some(Role::Boot),
        _ if *name == OLD_ROOT_TMP => Some(Role::OldRoot),
        _ if is_reserved(name) => None,
        _ if old_root && renamed && is_protected(entry) => Some(Role::OldRoot),
        Some(_) if !intent.moves(name) => None,
        _ => Some(Role::Entry),
    }
}

impl Rename<'_> {
    fn is_in_root(&self) -> bool {
        self.role == Role::Entry && self.place == Place::Root
    }

    fn mounts_below<'a>(&'a self, facts: &'a Facts) -> impl Iterator<Item = &'a Mount> {
        let mounts = facts.environment.mounts.iter();
        mounts.filter(|m| !m.point.is_entry() && *m.point.entry() == self.entry.name)
    }

    /// The one predicate: may this file leave its directory for the other?
    fn hindrance(&self, facts: &Facts) -> Option<Hindrance> {
        let Entry { name, stat, read_only, .. } = self.entry;
        let special = !matches!(stat.kind, Kind::Dir | Kind::File);
        let in_root = self.place == Place::Root;
        if stat.mount != facts.root.mount || (in_root && facts.is_mount_point(name)) {
            return Some(Hindrance::Mount);
        }
        let old_root = self.role == Role::OldRoot;
        if *read_only && !old_root {
            return Some(Hindrance::ReadOnly);
        }
        if in_root && self.mounts_below(facts).next().is_some() {
            return Some(Hindrance::Below);
        }
        if old_root && facts.finished && stat.device != facts.root.device {
            return Some(Hindrance::Subvolume);
        }
        (special && stat.flags != 0).then_some(Hindrance::Stuck)
    }
}

impl Draft<'_> {
    /// Entries that are other file systems, or subvolumes that cannot move. On the
    /// way back they give way to what comes to their place.
    pub(super) fn pin_what_cannot_move(&mut self) {
        let facts = self.facts;
        let revert = self.plan.intent.direction == Direction::Revert;
        let mut stay = Vec::new();
        each_rename(facts, &self.plan.intent, &mut |rename| {
            let pin = match rename.hindrance(facts) {
                _ if !rename.is_in_root() => return,
                Some(Hindrance::Mount) => Pin::Mount,
                Some(Hindrance::ReadOnly) => Pin::ReadOnly,
                _ => return,
            };
            stay.push((rename.entry.name.clone(), pin));
        });
        for (name, pin) in stay {
            if revert && name == ETC {
                continue;
            }
            if revert && facts.staged(&name).is_some() {
                let intent = &mut self.plan.intent;
                if intent.aside.iter().all(|(aside, _)| *aside != name) {
                    let dated = intent.started.dated(&name);
                    let taken = |name: &Name| facts.entry(name).or(facts.staged(name)).is_some();
                    let dated = dated.free(taken);
                    intent.aside.push((name, dated));
                }
                continue;
            }
            self.pin(&name, pin);
            let what = if pin == Pin::Mount { "mount point" } else { "read-only subvolume" };
            self.warn(format!("{} is a {what} and is left in place", facts.show(&name)));
        }
        if facts.is_mount_point(&BOOT) && revert {
            self.plan.intent.boot_bak = None;
        }
    }

    /// The flags that are cleared for the exchange.
    pub(super) fn note_flags(&mut self) {
        let facts = self.facts;
        let mut flags = std::mem::take(&mut self.plan.intent.flags);
        // Flags are rare, and come first: the rest is a search for each entry.
        each_rename(facts, &self.plan.intent, &mut |Rename { entry, .. }| {
            if entry.stat.flags != 0 {
                add_flags(&mut flags, flagged(&entry.name, &entry.stat));
            }
        });
        // Older old roots that are going to be closed to users.
        let intent = &self.plan.intent;
        let closes = |entry: &&Entry| {
            let open = entry.stat.flags != 0 && entry.stat.mode & 0o77 != 0;
            open && is_dated(&entry.name, &OLD_ROOT)
                && intent.pin(&entry.name) == Some(Pin::Protected)
        };
        if intent.direction == Direction::Lustrate {
            for entry in facts.entries.iter().filter(closes) {
                add_flags(&mut flags, flagged(&entry.name, &entry.stat));
            }
        }
        for flagged in &facts.keeper_flags {
            add_flags(&mut flags, flagged.clone());
        }
        if facts.root_flags != 0 {
            let (inode, flags_now) = (facts.root.inode, facts.root_flags);
            add_flags(&mut flags, Flagged { path: None, inode, flags: flags_now });
        }
        self.plan.intent.flags = flags;
    }
}

fn flagged(name: &Name, stat: &Stat) -> Flagged {
    Flagged { path: Some(RelPath::from(name.clone())), inode: stat.inode, flags: stat.flags }
}

/// What is neither handled nor left in its place.
pub(super) fn refusals(facts: &Facts, intent: &Intent) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    each_rename(facts, intent, &mut |rename| {
        let (name, role) = (&rename.entry.name, rename.role);
        let Some(hindrance) = rename.hindrance(facts) else { return };
        let path = facts.show(name);
        // Else it is NixOS's, or the old system goes on without it.
        let fresh = intent.direction == Direction::Lustrate && facts.journal == Journal::None;
        refusals.push(match hindrance {
            Hindrance::Below if role != Role::Boot => {
                refusals
                    .extend(rename.mounts_below(facts).map(|mount| below(facts, intent, mount)));
                return;
            }
            Hindrance::Mount if role == Role::OldRoot => Refusal::new(
                format!("{path} is a mount point"),
                "What is mounted there could not be moved, nor the directory below it",
                format!("Unmount it first: umount {}", word(&path)),
            ),
            Hindrance::Subvolume => Refusal::new(
                format!("{path} is a subvolume of its own"),
                "Nothing in it could be moved into the root",
                format!(
                    "Make it a plain directory: cp -a --reflink=auto {0} {0}.new && \
                     mv {0} {0}.saved && mv {0}.new {0}",
                    word(&path)
                ),
            ),
            // Without it nothing else should move.
            Hindrance::ReadOnly if rename.place == Place::Home && *name == ETC => {
                let path = facts.show(&format!("{}/{ETC}", facts.home()));
                Refusal::new(
                    format!("{path} is a read-only subvolume"),
                    "It could not be moved into the root",
                    format!("Make it writable: btrfs property set {} ro false", word(&path)),
                )
            }
            Hindrance::Stuck if fresh => Refusal::new(
                format!("{path} is immutable, and is neither a file nor a directory"),
                format!("It could not be moved: {}", Errno::EPERM.desc()),
                format!("Remove it: it can be made anew, ls -l {} says what it is", word(&path)),
            ),
            _ => return,
        });
    });
    refusals
}

fn below(facts: &Facts, intent: &Intent, mount: &Mount) -> Refusal {
    let path = facts.show(&mount.point);
    Refusal::new(
        format!("{path} is a mount point inside an entry that would move"),
        match intent.direction {
            Direction::Lustrate => "Its file system would end up below /old-root",
            Direction::Revert => "Its file system would end up below /nixos-root",
        },
        format!("Unmount it first: umount {}", word(&path)),
    )
}
