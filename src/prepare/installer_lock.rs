//! A lock in the state directory, beside that on the root: the boot loader's
//! installer inherits it.

use std::fs::File;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::state_file::LOCK;
use crate::error::{OpError, Refusal};
use crate::fs::disk::{Dir, Disk};
use crate::fs::lock::{self, Lock, TWO_AT_ONCE, WAIT};
use crate::fs::processes::{Process, holding};
use crate::fs::tree::Tree;

/// So many processes are named.
const SHOWN: usize = 3;

/// A second lock, in the state directory: the boot loader's installer inherits it,
/// and may outlive a `prepare` that is killed.
///
/// # Errors
/// A refusal while the installer has it.
pub(crate) fn take(
    disk: &Disk,
    home: &Dir,
    shown: &str,
) -> std::result::Result<Lock<File>, Refusal> {
    let flags = OFlag::O_RDONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let wrong = |errno| Refusal::from(OpError::new("lock", disk.show(home, Some(&LOCK)), errno));
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let file = nix::fcntl::openat(home, LOCK.as_os_str(), flags, mode).map_err(wrong)?;
    lock::take(File::from(file), &disk.show(home, Some(&LOCK)), |file| {
        let mut holders = holding(file);
        // Who only waits for it ends with it.
        let waits = |process: &Process| process.command.contains("nixos-lustrate ");
        if !holders.iter().all(waits) {
            holders.retain(|process| !waits(process));
        }
        let leader = holders.iter().find(|process| process.id == process.group);
        let who: Vec<_> = holders.iter().take(SHOWN).map(ToString::to_string).collect();
        let who = if who.is_empty() { String::new() } else { format!(": {}", who.join("; ")) };
        let fix = match leader.filter(|process| !waits(process)) {
            Some(leader) => format!("{WAIT}{who}. To end it: kill -- -{}", leader.group),
            None => format!("{WAIT}{who}"),
        };
        let found = format!("the boot loader's installer is still at work on {shown}");
        Refusal::new(found, TWO_AT_ONCE, fix)
    })
}
