//! A machine that runs the program once, on a disk whose writes are logged.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::common::image::Fs;
use crate::lab::boot::kernel;
use crate::lab::cpio::Archive;
use crate::lab::disk::{Disk, discard, scratch};
use crate::lab::drive::{Drive, Path as Way};
use crate::lab::host::output;
use crate::lab::layout::{Fs as Kind, Layout};
use crate::lab::machine::{Machine, Source, Waited};
use crate::lab::stage1::{BUSYBOX, program};
use crate::log::Log;
use crate::scene::Scene;

const BLOCK: u64 = 4096;
const MARKS: u64 = 1 << 20;
const LIMIT: Duration = Duration::from_secs(60);

/// How the disk is mounted, and whether others sync it all the time.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub options: &'static str,
    pub syncs: bool,
}

/// A run that was logged.
pub struct Recording {
    pub log: Log,
    /// Where the file system ends.
    pub end: u64,
    /// The disk as the machine left it.
    pub disk: Disk,
}

/// Runs the command of a scene in a machine, one at a time.
pub fn record(scene: &Scene, setup: Setup) -> Recording {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kind = match scene.fs {
        Fs::Ext4 => Kind::Ext4,
        Fs::Xfs => Kind::Xfs,
        Fs::Btrfs => Kind::Btrfs,
        Fs::Tmpfs => unreachable!("a file system without a disk"),
    };
    let initrd = place("initrd");
    fs::write(&initrd, archive(kind)).expect("the initrd can be written");
    // Under TCG one boot in some hundreds hangs before user space.
    let mut console = String::new();
    let mut recorded = None;
    for _ in 0..2 {
        match attempt(scene, setup, kind, &initrd) {
            Ok(recording) => {
                recorded = Some(recording);
                break;
            }
            Err(shown) => console = shown,
        }
    }
    discard(&initrd);
    recorded.unwrap_or_else(|| panic!("the machine did not come to its end\n{console}"))
}

fn attempt(scene: &Scene, setup: Setup, kind: Kind, initrd: &Path) -> Result<Recording, String> {
    let (image, log) = (place("img"), place("log"));
    output(Command::new("cp").arg("--sparse=always").arg(scene.start.file()).arg(&image));
    let disk = Disk::adopt(image, kind);
    let file = OpenOptions::new().write(true).open(disk.path()).expect("the disk");
    let end = file.metadata().expect("its size").len();
    file.set_len(end + MARKS).expect("a place for marks");
    fs::write(&log, "").expect("an empty log");
    let append = format!(
        "console=ttyS0 quiet panic=-1 kind={} options={} verb={} place={} syncs={}",
        kind.name(),
        setup.options,
        scene.verb.name(),
        end / BLOCK,
        if setup.syncs { "yes" } else { "no" },
    );
    let drives = [Drive { disk: &disk, path: Way::Logged(log.clone()) }];
    let kernel = kernel().vmlinux.clone();
    let source = Source { kernel: Some((kernel, initrd.to_owned(), append)), variables: None };
    let machine = Machine::start(&source, &drives);
    let seen = machine.wait_for(&["<<< over >>>"], LIMIT);
    machine.wait_for(&["<<< no such line >>>"], Duration::from_secs(10));
    let console = machine.cut_power();
    if seen != Waited::Saw(0) || !console.contains("<<< status 0 >>>") {
        discard(&log);
        return Err(console);
    }
    let read = Log::read(&log);
    discard(&log);
    Ok(Recording { log: read, end, disk })
}

fn archive(kind: Kind) -> Vec<u8> {
    let mut archive = Archive::default();
    for directory in ["proc", "sys", "dev", "root"] {
        archive.directory(directory);
    }
    archive.file("bin/busybox", 0o755, fs::read(BUSYBOX).expect("busybox-static"));
    archive.link("bin/sh", "busybox");
    archive.file("bin/nixos-lustrate", 0o755, program());
    archive.file("init", 0o755, include_str!("guest.sh"));
    let mut order = String::new();
    for (path, content) in kernel().modules(&Layout::new(kind).modules()) {
        archive.file(&format!("modules/{path}"), 0o644, content);
        let _ = writeln!(order, "/modules/{path}");
    }
    archive.file("modules/order", 0o644, order);
    archive.finish()
}

fn place(kind: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    scratch().join(format!("power-{}-{number}.{kind}", std::process::id()))
}
