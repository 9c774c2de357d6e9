//! Who is at work: which process has a lock, or is in a group; how it was started, and
//! since when it runs. By `/proc`; where that is not mounted, nobody is seen.

use std::fmt;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::fs::name::Shown;

/// Of a command line, so much is shown.
const LONGEST: usize = 60;
/// In which the kernel tells times to programs, on all processors of today.
const HERTZ: u64 = 100;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub id: u32,
    /// That of its parent.
    pub parent: u32,
    /// That of its group.
    pub group: u32,
    /// Its command line.
    pub command: String,
    /// How long it has been running.
    pub age: Duration,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({}), for {}", self.id, self.command, age(self.age))
    }
}

/// A time in words.
#[must_use]
pub(crate) fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Those that have the lock on an open file, by whichever descriptor.
#[must_use]
pub(crate) fn holding(file: impl AsFd) -> Vec<Process> {
    let ours = fs::metadata(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()));
    let Ok(ours) = ours else { return Vec::new() };
    let has = |directory: &Path| {
        let infos = fs::read_dir(directory.join("fdinfo")).into_iter().flatten().flatten();
        infos.into_iter().any(|info| {
            let text = fs::read_to_string(info.path()).unwrap_or_default();
            let locked =
                text.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK"));
            let file = directory.join("fd").join(info.file_name());
            let is_it = |m: fs::Metadata| (m.dev(), m.ino()) == (ours.dev(), ours.ino());
            locked && fs::metadata(file).is_ok_and(is_it)
        })
    };
    of(has)
}

/// The children of a process.
#[must_use]
pub(crate) fn children(id: u32) -> Vec<Process> {
    let mut found = of(|_| true);
    found.retain(|process| process.parent == id);
    found
}

fn of(wanted: impl Fn(&Path) -> bool) -> Vec<Process> {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split(['.', ' ']).next().and_then(|seconds| seconds.parse().ok());
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<Process> = all
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter(|entry| wanted(&entry.path()))
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            parse(&stat, &words, uptime.unwrap_or(0))
        })
        .collect();
    found.sort_by_key(|process| process.id);
    found
}

/// `/proc/N/stat` and `/proc/N/cmdline` (`proc_pid_stat(5)`), so many seconds after
/// the start.
fn parse(stat: &str, words: &[u8], uptime: u64) -> Option<Process> {
    // A name may hold any of these characters.
    let (head, rest) = stat.rsplit_once(')')?;
    let (id, name) = head.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let started = number(19)? / HERTZ;
    // Of paths that are long and say little, the end.
    let short = |(at, word): (usize, &[u8])| {
        let is_long = at == 0 || word.starts_with(b"/nix/store/");
        let end = word.rsplit(|&b| b == b'/').next().filter(|_| is_long);
        Shown(end.unwrap_or(word)).to_string()
    };
    let words = words.split(|&b| b == 0).filter(|word| !word.is_empty());
    let words = words.enumerate().map(short).collect::<Vec<_>>().join(" ");
    let mut command = if words.is_empty() { name.to_owned() } else { words };
    if command.chars().count() > LONGEST {
        command = command.chars().take(LONGEST - 3).chain("...".chars()).collect();
    }
    Some(Process {
        id: id.trim().parse().ok()?,
        parent: u32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        command,
        age: Duration::from_secs(uptime.saturating_sub(started)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "12 (a) (b) S 7 11 11 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 90000 1 2";
        let read = parse(stat, b"sh\0-c\0sleep 1\0", 1000).expect("a process");
        assert_eq!((read.id, read.parent, read.group), (12, 7, 11));
        assert_eq!(read.to_string(), "process 12 (sh -c sleep 1), for 100 s");
        assert_eq!(parse(stat, b"", 1000).expect("a process").command, "a) (b");
        let paths = b"/nix/store/a-sh/bin/sh\0/nix/store/b/bin/switch\0boot\0/mnt\0";
        assert_eq!(parse(stat, paths, 1000).expect("a process").command, "sh switch boot /mnt");
        let long = parse(stat, &[b'x'; 500], 90_000).expect("a process");
        assert_eq!((long.command.len(), age(long.age).as_str()), (LONGEST, "24 h"));
        assert_eq!(parse("", b"", 0), None);
    }

    #[test]
    fn who_has_a_lock_is_found() {
        let path = std::env::temp_dir().join(format!("lock-{}", std::process::id()));
        let file = fs::File::create(&path).expect("a file");
        assert_eq!(holding(&file), []);
        let lock = nix::fcntl::Flock::lock(
            file.try_clone().expect("a file"),
            nix::fcntl::FlockArg::LockExclusive,
        );
        let found = holding(&file);
        assert_eq!(found.iter().map(|p| p.id).collect::<Vec<_>>(), [std::process::id()]);
        drop(lock);
        fs::remove_file(path).expect("gone");
    }
}
