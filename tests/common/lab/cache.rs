//! Things that are built once and kept outside the checkout. A thing is in
//! the cache whole or not at all, also with two processes at work: it is
//! built under a lock beside its place and renamed into it.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `${XDG_CACHE_HOME:-~/.cache}/nixos-lustrate`.
pub fn root() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map_or_else(|| home().join(".cache"), PathBuf::from);
    base.join("nixos-lustrate")
}

fn home() -> PathBuf {
    env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from)
}

/// The cached `STEM-KEY`, a file or directory, made by `build` at the path that
/// it is given when it is not there yet. Others of the same stem are removed
/// once they are old.
pub fn once(stem: &str, key: &str, build: impl FnOnce(&Path)) -> PathBuf {
    let root = root();
    let name = format!("{stem}-{key}");
    let place = root.join(&name);
    if place.exists() {
        return place;
    }
    let locks = root.join("locks");
    fs::create_dir_all(&locks).expect("the cache directory can be made");
    let lock = File::create(locks.join(&name)).expect("a lock file");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).expect("the lock");
    if !place.exists() {
        let unfinished = root.join(format!("{name}.unfinished"));
        remove(&unfinished);
        build(&unfinished);
        fs::rename(&unfinished, &place).expect("the finished thing takes its place");
        forget_old(&root, stem, &name);
    }
    place
}

/// Removes what is of this stem and older than a day: another checkout may
/// still use what is younger.
fn forget_old(root: &Path, stem: &str, but: &str) {
    let entries = fs::read_dir(root).expect("the cache directory can be listed");
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let key = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-'));
        let is_other = key.is_some_and(|key| !key.contains('-')) && name != but;
        let modified = entry.metadata().and_then(|data| data.modified());
        let age = modified.ok().and_then(|time| time.elapsed().ok());
        if is_other && age.is_some_and(|age| age > DAY) {
            remove(&entry.path());
        }
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("a leftover can be removed");
    } else if path.exists() {
        fs::remove_file(path).expect("a leftover can be removed");
    }
}

/// A name that changes with what the thing is made from.
pub fn key(of: &[&[u8]]) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
