//! A lustrated root, a canary beside it and one mounted in it, and what has to
//! be the same after a purge.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nixos_lustrate::engine::time::Timestamp;

use crate::common::command::{Ended, arguments, lustrate, on};
use crate::common::compare::{Excuse, assert_none};
use crate::common::image::{Fs, Image, Mounted};
use crate::common::isolation;
use crate::common::manifest::{Id, Manifest};
use crate::common::skip::Skipped;
use crate::common::trees::{Built, Case, Root};

/// `purge --root ROOT MORE...`.
#[track_caller]
pub fn purge(root: &Path, more: &[&str]) -> Ended {
    lustrate(arguments("purge", root, more))
}

/// A lustrated typical root, with more in its old root.
pub fn lustrated(
    fs: Fs,
    more: impl FnOnce(&Root<'_>) -> Built,
) -> Result<(Image, Mounted), Skipped> {
    let (image, mounted) = Case::TYPICAL.make(fs)?;
    on("run", mounted.path()).expect(0);
    more(&Root { path: mounted.path(), fs })?;
    Ok((image, mounted))
}

/// An old root as the stock function leaves one, of a time.
pub fn stock(root: &Root<'_>, name: &str, time: u64) {
    root.file(format!("{name}/etc/os-release"), "PRETTY_NAME=\"Arch Linux\"\n");
    root.file(format!("{name}/home/alice/letter"), "old");
    let time = i64::try_from(time).expect("a time");
    crate::common::sys::set_mtime(&root.at(name), time).expect("an mtime");
}

/// Gives a lustration another time, in its record.
pub fn record_time(root: &Path, name: &str, time: u64) {
    let path = root.join(name).join(".lustrate/record");
    let text = fs::read_to_string(&path).expect("a record");
    let mut record = nixos_lustrate::engine::intent::parse(text.as_bytes()).expect("a record");
    record.started = Timestamp(time);
    fs::write(path, record.to_text()).expect("a record");
}

/// The names in the root that a purge deals with.
pub fn old_roots(root: &Path) -> Vec<String> {
    let names = fs::read_dir(root).expect("the root");
    let mut names: Vec<_> =
        names.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.retain(|n| n.starts_with("old-root") || n.starts_with("nixos-root"));
    names.sort();
    names
}

/// Files that nobody may touch.
pub struct Canary {
    pub path: PathBuf,
    before: Manifest,
}

impl Canary {
    /// Beside the root.
    pub fn new() -> Self {
        let path = isolation::new_directory();
        let root = Root { path: &path, fs: Fs::Tmpfs };
        root.file("etc/passwd", "canary");
        root.file("deep/er/file", "canary");
        root.directory("empty", 0o755);
        root.link("link", "etc/passwd");
        root.age();
        let before = Manifest::of(&path);
        Self { path, before }
    }

    #[track_caller]
    pub fn assert_alive(&self) {
        let now = Manifest::of(&self.path);
        assert_none("the canary", &self.before.diff(&now, &Excuse::none()));
    }
}

/// Panics unless everything but what is at or below the names that went is the
/// same. A file with a name there has that many names less.
#[track_caller]
pub fn assert_only_gone(before: &Manifest, after: &Manifest, gone: &[&str]) {
    let mut rest = before.clone();
    let mut names: BTreeMap<Id, u32> = BTreeMap::new();
    for name in gone {
        for node in rest.subtree(name.as_bytes()).nodes.values() {
            *names.entry(node.id).or_default() += 1;
        }
        rest = rest.without(name.as_bytes());
    }
    for node in rest.nodes.values_mut() {
        node.links -= names.get(&node.id).copied().unwrap_or(0);
    }
    // Their parents' link counts, too: those are touched.
    let parents: Vec<&[u8]> = gone.iter().map(|name| name.as_bytes()).collect();
    let excuse = Excuse::none().touched(b"").parents_of(&parents);
    assert_none("more than the old roots", &rest.diff(after, &excuse));
}
