//! The intent: what an exchange is going to do, written before its first
//! rename; and the record, which is the same text with the outcome behind it.
//!
//! Pure. Resume and revert read it back, so it is checked in every part and
//! can name nothing outside the root (I2): a path is made of [`Name`]s.
//!
//! The format, version 1: lines of `KEY VALUE...`, separated by single spaces,
//! the first `nixos-lustrate-intent 1`, the last `end N` with the number of
//! lines before it. In a value every byte but `!` to `~`, and the backslash,
//! stands as `\xHH`. An unknown key is an error: a newer version that adds
//! one also raises the version.

use crate::engine::names::NIXOS_ROOT_TMP;
use crate::engine::time::Timestamp;
use crate::fs::name::{Name, RelPath};

mod parse;
pub use parse::{BadIntent, parse};

/// The newest version of the format that this program writes and reads.
pub const VERSION: u32 = 1;

/// Which way an exchange goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The old population leaves the root.
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

/// What an exchange is going to do, or has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The version of the program that wrote it.
    pub tool: String,
    /// Which way.
    pub direction: Direction,
    /// When it was written.
    pub started: Timestamp,
    /// The boot in which it was written, from `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The inode number of the directory that holds the intent: a copy of a
    /// half-lustrated root is not it.
    pub anchor: u64,
    /// The inode number of the old population's `etc`, when it moves.
    pub etc: Option<u64>,
    /// The inode number of the old population's `boot.bak`.
    pub boot_bak: Option<u64>,
    /// The name that an older `/old-root` gets.
    pub rotated: Option<Name>,
    /// The entries that stay, in order, and why.
    pub pinned: Vec<(Name, Pin)>,
    /// The keepers that move, in order.
    pub keepers: Vec<RelPath>,
    /// The symbolic links on the way to keepers, recreated in the new population.
    pub links: Vec<RelPath>,
    /// Inode flags to set again.
    pub flags: Vec<Flagged>,
    /// What an interrupted stock lustration had already copied back.
    pub copies: Vec<Name>,
    /// The entries of the old population that move, in order.
    pub old: Vec<Name>,
    /// What gave way to an entry of the old population that came back, and the
    /// name that it has in the root meanwhile.
    pub aside: Vec<(Name, Name)>,
    /// The home of the new population while a revert is in progress, when
    /// somebody else has `nixos-root.tmp`.
    pub incoming: Option<Name>,
    /// In the record of a revert: the `/old-root` that is in the root again,
    /// by its inode number and the time of its lustration.
    pub older: Option<(u64, Timestamp)>,
    /// In a record: what was noticed on the way.
    pub warnings: Vec<String>,
    /// In a record: when the exchange was complete.
    pub finished: Option<Timestamp>,
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
        text.line(MAGIC, &[VERSION.to_string().as_bytes()]);
        text.line("tool", &[self.tool.as_bytes()]);
        text.line("direction", &[direction_word(self.direction).as_bytes()]);
        text.line("started", &[self.started.0.to_string().as_bytes()]);
        text.line("boot-id", &[self.boot_id.as_bytes()]);
        text.number("anchor", Some(self.anchor));
        text.number("etc", self.etc);
        text.number("boot-bak", self.boot_bak);
        self.rotated.iter().for_each(|n| text.line("rotated", &[n.as_bytes()]));
        for (name, pin) in &self.pinned {
            text.line("pinned", &[pin.word().as_bytes(), name.as_bytes()]);
        }
        self.keepers.iter().for_each(|p| text.line("keeper", &[&p.to_bytes()]));
        self.links.iter().for_each(|p| text.line("link", &[&p.to_bytes()]));
        for Flagged { path, inode, flags } in &self.flags {
            let path = path.as_ref().map_or(b"/".to_vec(), RelPath::to_bytes);
            let (inode, flags) = (inode.to_string(), flags.to_string());
            text.line("flags", &[inode.as_bytes(), flags.as_bytes(), &path]);
        }
        self.copies.iter().for_each(|n| text.line("copy", &[n.as_bytes()]));
        self.old.iter().for_each(|n| text.line("old", &[n.as_bytes()]));
        for (name, dated) in &self.aside {
            text.line("aside", &[name.as_bytes(), dated.as_bytes()]);
        }
        self.incoming.iter().for_each(|n| text.line("incoming", &[n.as_bytes()]));
        if let Some((inode, time)) = self.older {
            text.line("older", &[inode.to_string().as_bytes(), time.0.to_string().as_bytes()]);
        }
        self.warnings.iter().for_each(|w| text.line("warning", &[w.as_bytes()]));
        text.number("finished", self.finished.map(|t| t.0));
        text.number("end", Some(text.lines));
        text.bytes
    }
}

const MAGIC: &str = "nixos-lustrate-intent";

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Lustrate => "lustrate",
        Direction::Revert => "revert",
    }
}

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    lines: u64,
}

impl Text {
    fn line(&mut self, key: &str, values: &[&[u8]]) {
        self.bytes.extend(key.bytes());
        for value in values {
            self.bytes.push(b' ');
            for &b in *value {
                match b {
                    b'\\' => self.bytes.extend(b"\\x5c"),
                    b'!'..=b'~' => self.bytes.push(b),
                    _ => {
                        let hex = b"0123456789abcdef";
                        let (high, low) = (usize::from(b >> 4), usize::from(b & 15));
                        self.bytes.extend([b'\\', b'x', hex[high], hex[low]]);
                    }
                }
            }
        }
        self.bytes.push(b'\n');
        self.lines += 1;
    }

    fn number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.line(key, &[value.to_string().as_bytes()]);
        }
    }
}
