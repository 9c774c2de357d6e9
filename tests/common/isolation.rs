//! A mount namespace for each test thread. What a test mounts is seen by
//! nobody else and vanishes with the thread, whatever happened to the test.
//!
//! Mind that `/proc/self/mountinfo` shows the main thread's namespace; a test
//! that reads its own has to ask `/proc/thread-self/mountinfo`. Processes
//! started by the thread see the thread's namespace everywhere.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::sys;

static MADE: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn namespace() -> PathBuf {
    fs::read_link("/proc/thread-self/ns/mnt").expect("the thread's mount namespace")
}

/// Short, and the same wherever the checkout is: what the program says is folded,
/// and has the paths in it. Whoever is not root can go through it, too.
const BASE: &str = "/run/nixos-lustrate-tests";

/// The directory below which the thread's mounts are: a tmpfs that only this
/// thread and what it starts can see. Made at the first call.
pub fn isolated() -> PathBuf {
    let base = PathBuf::from(BASE);
    let known = |made: &Option<HashSet<_>>| made.as_ref().is_some_and(|m| m.contains(&namespace()));
    if known(&MADE.lock().expect("no panic while locked")) {
        return base;
    }
    fs::create_dir_all(&base).expect("a directory for mounts");
    enter();
    sys::mount(Path::new("tests"), &base, "tmpfs", 0, "mode=0755").expect("a tmpfs for mounts");
    MADE.lock().expect("no panic while locked").get_or_insert_default().insert(namespace());
    base
}

/// Moves the thread to a copy of its mount namespace from which nothing
/// propagates, neither out nor in.
pub fn enter() {
    sys::unshare_mounts().expect("a mount namespace");
    sys::mount(Path::new("none"), Path::new("/"), "none", libc::MS_REC | libc::MS_PRIVATE, "")
        .expect("a private mount namespace");
}

/// A new empty directory of the thread's own, gone with the thread.
pub fn new_directory() -> PathBuf {
    let path = isolated().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    fs::create_dir(&path).expect("a new directory");
    path
}

/// The mount points at and below `path` in the thread's namespace, in the
/// order in which they were made.
pub fn mounts_below(path: &Path) -> Vec<PathBuf> {
    let table = fs::read("/proc/thread-self/mountinfo").expect("the mount table");
    table
        .split(|b| *b == b'\n')
        .filter_map(|line| line.split(|b| *b == b' ').nth(4))
        .map(|field| PathBuf::from(std::ffi::OsString::from_vec(unescape(field))))
        .filter(|mounted| mounted.starts_with(path))
        .collect()
}

/// Undoes mountinfo's `\ooo`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = rest.get(1..4).filter(|_| *first == b'\\');
        let octal = code.and_then(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 8).ok());
        out.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &rest[4..] } else { tail };
    }
    out
}

/// Unmounts everything at and below `path`, the last first. Says whether
/// something was busy and had to be detached instead.
pub fn unmount_all(path: &Path) -> Busy {
    let mut busy = Busy::No;
    for mounted in mounts_below(path).iter().rev() {
        let mut tries = 0;
        while let Err(error) = sys::unmount(mounted, 0) {
            tries += 1;
            if tries < 50 && error.raw_os_error() == Some(libc::EBUSY) {
                std::thread::sleep(std::time::Duration::from_millis(10));
                continue;
            }
            busy = Busy::Yes(mounted.clone());
            let _ = sys::unmount(mounted, libc::MNT_DETACH);
            break;
        }
    }
    busy
}

/// Whether a mount was still in use when it had to go.
#[derive(Debug, PartialEq, Eq)]
pub enum Busy {
    No,
    Yes(PathBuf),
}
