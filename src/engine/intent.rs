//! The intent: what an exchange is going to do, written before its first
//! rename; and the record, which is the same text with the outcome behind it.
//!
//! Pure. Resume and revert read it back, so it is checked in every part and
//! can name nothing outside the root (I2): a path is made of [`Name`]s.
//!
//! The format, version 2: lines of `KEY VALUE...`, separated by single spaces,
//! the first `nixos-lustrate-intent 2`, the last `end N` with the number of
//! lines before it. In a value every byte but `!` to `~`, and the backslash,
//! stands as `\xHH`. A key with `?` in front is a note, which a program that
//! does not know it passes over; any other that is unknown is an error, since
//! what it asks for would be left undone. One that changes what others mean
//! raises the version. Version 1 is the same without notes, and is read for
//! ever: `tests/format` has texts of each version.

use crate::engine::names::NIXOS_ROOT_TMP;
use crate::engine::time::Timestamp;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Stat;

mod field;
mod parse;
pub use parse::{BadIntent, parse};

use field::{Field, Text, Words};

/// The version of the format that this program writes; it reads all up to it.
pub(crate) const VERSION: u32 = 2;

/// Which way an exchange goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The old population leaves the root.
    #[default]
    Lustrate,
    /// It comes back.
    Revert,
}

/// Why an entry stays in the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pin {
    /// `nix`, `boot`, and older old roots.
    Protected,
    /// It is in the keep-list.
    Kept,
    /// Its content is another file system.
    Mount,
    /// A read-only subvolume, which cannot be moved into another directory.
    ReadOnly,
}

impl Pin {
    const ALL: [(Self, &str); 4] = [
        (Self::Protected, "protected"),
        (Self::Kept, "kept"),
        (Self::Mount, "mount"),
        (Self::ReadOnly, "read-only"),
    ];

    /// The word in intents and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(pin, _)| *pin == self).map_or("", |(_, word)| word)
    }
}

/// Inode flags that are cleared for the exchange and set again at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flagged {
    /// Whose; `None` for the root itself.
    pub path: Option<RelPath>,
    /// Its inode number, since the path may name another file by then.
    pub inode: u64,
    /// The flags, as in `FS_IOC_GETFLAGS`.
    pub flags: u32,
}

/// What the root directory itself is like, apart from its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootLook {
    /// Permission bits.
    pub mode: u32,
    /// The owner's user id.
    pub uid: u32,
    /// The owner's group id.
    pub gid: u32,
    /// Last access, in seconds and nanoseconds.
    pub accessed: (i64, u32),
    /// Last modification, in seconds and nanoseconds.
    pub modified: (i64, u32),
}

impl From<&Stat> for RootLook {
    fn from(stat: &Stat) -> Self {
        let Stat { mode, uid, gid, accessed, modified, .. } = *stat;
        Self { mode, uid, gid, accessed, modified }
    }
}

/// The table of the fields, in the order of their lines: the structure, what is
/// written, what is read, and what has to be there, are made of it. An `Option`
/// may be missing, a `Vec` has a line for each, all else is there exactly once.
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $key:literal,)*) => {
        /// What an exchange is going to do, or has done.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Intent {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Intent {
            fn write(&self, text: &mut Text) {
                $(self.$name.lines($key, text);)*
            }

            /// Takes the line of a key; `None` when the key is not in the table.
            fn take(&mut self, key: &[u8], mut words: Words<'_>, seen: &mut u32) -> Option<Option<()>> {
                let mut bit = 1;
                $(
                    if key == $key.as_bytes() {
                        let taken = self.$name.accept(&mut words, *seen & bit != 0);
                        *seen |= bit;
                        return Some(taken.and_then(|()| words.end()));
                    }
                    bit <<= 1;
                )*
                let _ = bit;
                None
            }

            /// The key of a line that has to be there and was not.
            fn missing(seen: u32) -> Option<&'static str> {
                let must = [$((<$type as Field>::MUST, $key),)*];
                let mut must = must.into_iter().enumerate();
                must.find(|(at, (must, _))| *must && seen >> at & 1 == 0).map(|(_, (_, key))| key)
            }
        }
    };
}

fields! {
    /// The version of the program that wrote it.
    tool: String = "tool",
    /// Which way.
    direction: Direction = "direction",
    /// When it was written.
    started: Timestamp = "started",
    /// The boot in which it was written, from `/proc/sys/kernel/random/boot_id`.
    boot_id: String = "boot-id",
    /// The inode number of the directory that holds the intent: a copy of a
    /// half-lustrated root is not it.
    anchor: u64 = "anchor",
    /// The inode number of the old population's `etc`, when it moves.
    etc: Option<u64> = "etc",
    /// The inode number of the old population's `boot.bak`.
    boot_bak: Option<u64> = "boot-bak",
    /// The name that an older `/old-root` gets.
    rotated: Option<Name> = "rotated",
    /// The entries that stay, in order, and why.
    pinned: Vec<(Name, Pin)> = "pinned",
    /// The keepers that move, in order.
    keepers: Vec<RelPath> = "keeper",
    /// The symbolic links on the way to keepers, recreated in the new population.
    links: Vec<RelPath> = "link",
    /// Inode flags to set again.
    flags: Vec<Flagged> = "flags",
    /// What an interrupted stock lustration had already copied back.
    copies: Vec<Name> = "copy",
    /// The entries of the old population that move, in order.
    old: Vec<Name> = "old",
    /// What gave way to an entry of the old population that came back, and the
    /// name that it has in the root meanwhile.
    aside: Vec<(Name, Name)> = "aside",
    /// The home of the new population while a revert is in progress, when
    /// somebody else has `nixos-root.tmp`.
    incoming: Option<Name> = "incoming",
    /// In the record of a revert: the `/old-root` that is in the root again,
    /// by its inode number and the time of its lustration.
    older: Option<(u64, Timestamp)> = "older",
    /// What the root directory was like before the lustration.
    look: Option<RootLook> = "?root",
    /// In a record: what was noticed on the way.
    warnings: Vec<String> = "warning",
    /// In a record: when the exchange was complete.
    finished: Option<Timestamp> = "finished",
}

impl Intent {
    /// Whether `name` is an entry of the old population that moves.
    #[must_use]
    pub fn moves(&self, name: &Name) -> bool {
        self.old.binary_search(name).is_ok()
    }

    /// What is kept: entries that stay, and keepers that move.
    #[must_use]
    pub fn kept(&self) -> Vec<RelPath> {
        let entries = self.pinned.iter().filter(|(_, pin)| *pin == Pin::Kept);
        let mut kept: Vec<_> = entries.map(|(name, _)| RelPath::from(name.clone())).collect();
        kept.extend(self.keepers.iter().cloned());
        kept.sort_unstable();
        kept
    }

    /// Why `name` stays in the root, if it does.
    #[must_use]
    pub fn pin(&self, name: &Name) -> Option<Pin> {
        let at = self.pinned.binary_search_by(|(pinned, _)| pinned.cmp(name)).ok()?;
        self.pinned.get(at).map(|(_, pin)| *pin)
    }

    /// The name of the new population's home while a revert is in progress.
    #[must_use]
    pub fn incoming(&self) -> Name {
        self.incoming.clone().unwrap_or(NIXOS_ROOT_TMP)
    }

    /// The flags of the root itself, if it has any that hinder.
    #[must_use]
    pub fn root_flags(&self) -> Option<u32> {
        self.flags.iter().find(|f| f.path.is_none()).map(|f| f.flags)
    }

    /// The text of the intent or record.
    #[must_use]
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = Text::default();
        text.line(MAGIC, &VERSION);
        self.write(&mut text);
        let lines = text.lines;
        text.line("end", &lines);
        text.bytes
    }
}

const MAGIC: &str = "nixos-lustrate-intent";

impl Direction {
    fn word(self) -> &'static str {
        match self {
            Self::Lustrate => "lustrate",
            Self::Revert => "revert",
        }
    }
}
