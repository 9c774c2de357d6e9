//! Machines to boot: a kernel and initrds from Debian's packages, a system
//! built by Nix, disks with populations, QEMU, and what the booted system
//! reports.

#![allow(dead_code, reason = "each test target uses a part")]
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate)]

pub mod boot;
mod busybox;
pub mod cache;
pub mod chance;
pub mod check;
pub mod closure;
pub mod cpio;
pub mod disk;
pub mod drive;
pub mod host;
mod kernel;
pub mod layout;
pub mod machine;
mod module;
pub mod population;
mod programs;
pub mod report;
mod slots;
pub mod stage1;
mod systemd;
mod units;

use std::io::Write as _;

/// A figure for the log, past libtest's capture.
pub fn say(line: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("vm");
    let _ = writeln!(std::io::stderr().lock(), "{name}: {line}");
}
