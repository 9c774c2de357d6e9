//! What it costs: system calls when there is nothing to do and per entry,
//! memory per entry, space on the disk.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use crate::changed;
use crate::common::command::{arguments, on, program};
use crate::common::image::{Fs, Image, Options};
use crate::common::initrd::Initrd;
use crate::common::trees::{self, Case, Root};
use crate::common::{or_skip, require_root, strace};

/// The limit of "nothing to do".
const CALLS: usize = 15;

#[test]
fn nothing_to_do_in_an_initrd_is_a_few_system_calls() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.remove("etc/NIXOS_LUSTRATE");
        root.remove("etc/os-release");
        root.link("etc/os-release", "/etc/static/os-release");
        root.link("etc/static", "/nix/store/etc");
    }));
    let initrd = Initrd { wrapper: vec!["strace".into()], ..Initrd::default() };
    let end = initrd.run(mounted.path(), ["run"]);
    let trace = end.ended.expect(0).err();
    let own = trace.lines().skip_while(|line| !line.contains("initrd-release"));
    // Not its own: what malloc and the end of the process take, and what a debug
    // build asks of each descriptor before it closes it.
    let foreign = ["mmap", "munmap", "brk", "sigaltstack", "exit_group", "+++", "mprotect"];
    let is_foreign = |line: &str| foreign.iter().any(|name| line.starts_with(name));
    let own = own.filter(|line| !is_foreign(line) && !line.contains("F_GETFD"));
    let own: Vec<_> = own.collect();
    assert!((5..=CALLS).contains(&own.len()), "{} calls:\n{}", own.len(), own.join("\n"));
}

/// A file system in memory with this many entries.
fn with_entries(count: usize) -> Result<(Image, crate::common::image::Mounted), crate::Skipped> {
    let image = Image::with(&Options::new(Fs::Tmpfs).size_mib(1024).mount("nr_inodes=0"))?;
    let mounted = image.mount()?;
    trees::big::entries(&Root { path: mounted.path(), fs: Fs::Tmpfs }, count);
    Ok((image, mounted))
}

#[test]
fn system_calls_are_linear_in_the_entries() {
    require_root!();
    or_skip!(strace::available());
    let calls = |count: usize| {
        let (_image, mounted) = with_entries(count).expect("a tmpfs");
        let trace = strace::trace("all", arguments("run", mounted.path(), &[]));
        assert_eq!(trace.ended.code, 0);
        trace.calls.len()
    };
    let (few, some, many) = (calls(0), calls(500), calls(2000));
    let (one, two) = ((some - few) * 2, (many - some) * 2);
    // In halves of a call: a stat and a rename each, and a list now and then.
    assert!(one <= 500 * 5, "{one} half calls for 500 entries");
    assert!(two <= 1500 * 5, "{two} half calls for 1500 more");
}

#[test]
fn system_calls_are_linear_in_the_keepers() {
    require_root!();
    or_skip!(strace::available());
    let calls = |count: usize| {
        let image = Image::with(&Options::new(Fs::Tmpfs)).expect("a tmpfs");
        let mounted = image.mount().expect("a mount");
        trees::big::keepers(&Root { path: mounted.path(), fs: Fs::Tmpfs }, count, 10);
        let trace = strace::trace("all", arguments("run", mounted.path(), &[]));
        assert_eq!(trace.ended.code, 0);
        trace.calls.len()
    };
    let (few, some, many) = (calls(20), calls(80), calls(320));
    let (one, two) = ((some - few) / 60, (many - some) / 240);
    println!("{one} calls for each of 60 keepers, {two} for each of 240 more");
    assert!(two <= one + one / 10, "{one} calls a keeper, then {two}");
}

/// What the engine has been brought down to, and a little more: who adds calls
/// should know it.
const TYPICAL_CALLS: usize = 360;

#[test]
fn a_typical_run_asks_nothing_twice() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(Case::TYPICAL.make(Fs::Tmpfs));
    let trace = strace::trace("all", arguments("run", mounted.path(), &[]));
    assert_eq!(trace.ended.code, 0);
    // Not its own: what a debug build asks of each descriptor before it closes it.
    let own = trace.calls.iter().filter(|call| !call.line.contains("F_GETFD")).count();
    println!("{own} calls");
    assert!(own <= TYPICAL_CALLS, "{own} calls");
}

/// Each is a flush of the disk, or several: on most disks that is the whole time.
#[test]
fn the_disk_is_waited_for_three_times() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(Case::TYPICAL.make(Fs::Ext4));
    let syncs = |verb| {
        let trace = strace::trace("syncfs,fsync,fdatasync", arguments(verb, mounted.path(), &[]));
        assert_eq!(trace.ended.code, 0, "{}", trace.ended.err());
        trace.calls.len()
    };
    // What is written; all that moved; the commit.
    assert_eq!(syncs("run"), 3);
    // And the marker in the etc that comes back, which must not ask for anything while it
    // is being written.
    assert_eq!(syncs("revert"), 4);
}

/// The most memory that a run needs, in bytes. The kernel begins to count anew
/// at exec; the last look is a few milliseconds before the end.
fn peak(root: &Path) -> u64 {
    let mut command = program();
    command.args(arguments("run", root, &[])).stderr(Stdio::null());
    let mut child = command.spawn().expect("it runs");
    let (mut peak, status) = (0, format!("/proc/{}/status", child.id()));
    while child.try_wait().expect("a child").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().expect("a child").success());
    peak
}

#[test]
fn a_hundred_thousand_entries_take_little_memory() {
    require_root!();
    let (_image, small) = or_skip!(with_entries(1000));
    let (_image, large) = or_skip!(with_entries(100_000));
    let (small, large) = (peak(small.path()), peak(large.path()));
    let each = (large - small) / 100_000;
    println!("{each} bytes an entry");
    assert!(each <= 200, "{each} bytes an entry");
}

fn free(path: &Path) -> u64 {
    let sync = File::open(path).expect("the root");
    crate::common::sys::sync_file_system(&sync).expect("a sync");
    let found = statvfs(path).expect("figures");
    found.blocks_free() * found.fragment_size()
}

#[test]
fn a_run_takes_no_space_but_for_metadata() {
    require_root!();
    for fs in Fs::ALL {
        let case = Case { options: |fs| Options::new(fs).size_mib(400), ..Case::TYPICAL };
        let (_image, mounted) = or_skip!(case.make(fs));
        let root = Root { path: mounted.path(), fs };
        root.file("home/alice/large", vec![1; 16 << 20]);
        root.file("var/lib/app/large", vec![2; 16 << 20]);
        let before = free(mounted.path());
        on("run", mounted.path()).expect(0);
        let used = before.saturating_sub(free(mounted.path()));
        println!("{}: {used} bytes", fs.name());
        assert!(used <= 1 << 20, "{}: {used} bytes", fs.name());
    }
}
