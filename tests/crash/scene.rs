//! What a command begins with, and what it leaves when nothing disturbs it.

use std::fs::File;
use std::path::Path;

use crate::common::command::{self, arguments};
use crate::common::image::{Fs, Image, Mounted};
use crate::common::manifest::{APPEND, IMMUTABLE, Manifest};
use crate::common::population::{MARKER, assert_same_population};
use crate::common::skip::Skipped;
use crate::common::strace::{self, Call};
use crate::common::sys;
use crate::common::trees::Root;
use crate::outcome;
use crate::trees::Crash;

/// The command that is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Run,
    Revert,
}

impl Verb {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Revert => "revert",
        }
    }

    pub const fn other(self) -> Self {
        match self {
            Self::Run => Self::Revert,
            Self::Revert => Self::Run,
        }
    }
}

/// A tree, a command, and what comes of it.
pub struct Scene {
    pub tree: &'static Crash,
    pub fs: Fs,
    pub verb: Verb,
    /// The root before the command.
    pub start: Image,
    pub before: Manifest,
    /// The root after it.
    pub done: Manifest,
    /// What its record says.
    pub record: Vec<String>,
    /// Its calls, from the first that has to do with the root.
    pub calls: Vec<Call>,
}

impl Scene {
    pub fn new(tree: &'static Crash, fs: Fs, verb: Verb) -> Result<Self, Skipped> {
        strace::available()?;
        let (start, mounted) = tree.case.make(fs)?;
        let original = Manifest::of(mounted.path());
        if verb == Verb::Revert {
            command::on("run", mounted.path()).expect(0);
            what_nixos_writes(&Root { path: mounted.path(), fs });
        }
        mounted.sync();
        mounted.unmount();
        let (_image, before) = open(&start)?;
        let manifest = Manifest::of(before.path());
        let trace = strace::trace("all", arguments(verb.name(), before.path(), &[]));
        trace.ended.clone().expect(0);
        let opens = format!("openat(AT_FDCWD, \"{}\"", before.path().display());
        let calls = trace.from(&opens).to_vec();
        assert!(!calls.is_empty(), "no call opens the root");
        let done = Manifest::of(before.path());
        // What the rest is compared with is right itself.
        match verb {
            Verb::Run => tree.outcome.assert(&manifest, &done),
            Verb::Revert => {
                let back = outcome::given_back(tree, &original);
                // In an etc that was kept, what NixOS wrote stays.
                let kept = tree.outcome.keepers.contains(&&b"etc"[..]);
                let [a, b] =
                    [&b"etc/machine-id"[..], b"etc/static"].map(|p| if kept { p } else { MARKER });
                let done = done.without(a).without(b);
                assert_same_population(&back, &done, &tree.outcome.moved_paths());
            }
        }
        let record = outcome::record(before.path(), verb);
        Ok(Self { tree, fs, verb, start, before: manifest, done, record, calls })
    }

    /// The root before the command, to be disturbed.
    pub fn begin(&self) -> (Image, Mounted) {
        open(&self.start).expect("what could be mounted once")
    }

    /// `Run on ext4, keepers`.
    pub fn title(&self) -> String {
        format!("{} on {}, {}", self.verb.name(), self.fs.name(), self.tree.case.name)
    }
}

/// A copy of an image, mounted.
pub fn open(image: &Image) -> Result<(Image, Mounted), Skipped> {
    let copy = image.snapshot();
    let mounted = copy.mount()?;
    Ok((copy, mounted))
}

/// A lustrated root is used before it is reverted: files come, in directories
/// that the old population has and in others, and links as NixOS makes them.
pub fn what_nixos_writes(root: &Root<'_>) {
    let directory = File::open(root.path).expect("the root");
    let flags = sys::inode_flags(&directory).expect("its flags");
    let hindering = flags & (IMMUTABLE | APPEND);
    if hindering != 0 {
        sys::set_inode_flags(&directory, flags & !hindering).expect("cleared flags");
    }
    root.file("etc/machine-id", "0123456789abcdef\n");
    root.link("etc/static", "/nix/store/etc");
    root.file("var/lib/nixos/uid-map", "{}");
    root.file("usr/bin/env", "env");
    root.file("run/current-system", "");
    root.file("new/file", "");
    for (n, path) in (1_600_000_000..).zip([
        "etc/machine-id",
        "etc/static",
        "var/lib/nixos/uid-map",
        "usr/bin/env",
        "run/current-system",
        "new/file",
        "new",
        "run",
    ]) {
        sys::set_mtime(&root.at(path), n).expect("an mtime");
    }
    if hindering != 0 {
        sys::set_inode_flags(&directory, flags).expect("its flags again");
    }
}

/// Whether the root has a marker: a regular file, in a real directory.
pub fn has_marker(root: &Path) -> bool {
    let path = root.join(std::str::from_utf8(MARKER).expect("a path"));
    let real = |p: &Path| p.symlink_metadata().ok();
    path.parent().and_then(real).is_some_and(|etc| etc.is_dir())
        && real(&path).is_some_and(|marker| marker.is_file())
}

/// Writes what was done to the image.
pub fn sync(root: &Path) {
    sys::sync_file_system(&File::open(root).expect("the root")).expect("a sync");
}
