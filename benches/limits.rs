//! The engine against its limit: the bare `renameat2` calls, in a loop, that a
//! lustration of the same root cannot do without. On a file system in memory, so
//! that syncs cost nothing. Ratios of medians from one run, the two interleaved.
//!
//! `cargo bench` prints the table. Needs no root; `BENCH_DIR` names another
//! directory than `/dev/shm`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, RenameFlags, open, renameat2};
use nix::sys::stat::Mode;
use nixos_lustrate::commands::{self, Outcome};
use nixos_lustrate::disk::Disk;
use nixos_lustrate::exchange::Boot;
use nixos_lustrate::facts::{Environment, Wishes};

/// Entries besides nix, boot and etc; nested keepers, two to a directory.
const SIZES: [(usize, usize); 5] = [(22, 5), (1_000, 5), (10_000, 5), (100_000, 5), (1_000, 1_000)];

fn make(root: &Path, entries: usize, keepers: usize) -> Vec<String> {
    for name in ["nix", "boot", "etc"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for at in 0..entries {
        fs::create_dir(root.join(format!("entry-{at:06}"))).unwrap();
    }
    let keepers: Vec<String> =
        (0..keepers).map(|at| format!("entry-{:06}/lib/keeper-{}", at / 2, at % 2)).collect();
    for keeper in &keepers {
        fs::create_dir_all(root.join(keeper)).unwrap();
    }
    fs::write(root.join("etc/NIXOS_LUSTRATE"), keepers.join("\n")).unwrap();
    keepers
}

/// Each keeper out, each entry out, `etc` exchanged, each new entry in.
fn bare(root: &Path, keepers: &[String]) -> Duration {
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let names: Vec<_> = fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name()).collect();
    let moved: Vec<_> = names.iter().filter(|n| *n != "nix" && *n != "boot").collect();
    for keeper in keepers {
        fs::create_dir_all(root.join("out/new").join(keeper).parent().unwrap()).unwrap();
    }
    fs::create_dir_all(root.join("out/new/etc")).unwrap();
    let from = open(root, flags, Mode::empty()).unwrap();
    let out = open(&root.join("out"), flags, Mode::empty()).unwrap();
    let new = open(&root.join("out/new"), flags, Mode::empty()).unwrap();
    let rename = |a: &dyn AsFd, old: &std::ffi::OsStr, b: &dyn AsFd, flag| {
        renameat2(a.as_fd(), old, b.as_fd(), old, flag).unwrap();
    };
    let begun = Instant::now();
    for keeper in keepers {
        rename(&from, keeper.as_ref(), &new, RenameFlags::RENAME_NOREPLACE);
    }
    for name in moved.iter().filter(|name| **name != "etc") {
        rename(&from, name, &out, RenameFlags::RENAME_NOREPLACE);
    }
    rename(&from, "etc".as_ref(), &new, RenameFlags::RENAME_EXCHANGE);
    rename(&new, "etc".as_ref(), &out, RenameFlags::RENAME_NOREPLACE);
    for at in 0..keepers.len().div_ceil(2) {
        rename(&new, format!("entry-{at:06}").as_ref(), &from, RenameFlags::RENAME_NOREPLACE);
    }
    begun.elapsed()
}

fn ours(root: &Path) -> (Duration, Duration) {
    let environment = || Environment { root: "/".to_owned(), ..Environment::default() };
    let begun = Instant::now();
    let dir = Disk::open_root(root.as_os_str()).unwrap();
    let done = commands::run(&Disk::default(), &dir, environment(), &Wishes::default(), |_| ());
    let run = begun.elapsed();
    assert!(matches!(done, Ok(Outcome::Exchanged(_))), "{done:?}");
    let begun = Instant::now();
    let done = commands::revert(&Disk::default(), &dir, environment(), Boot::Exchange, |_| ());
    let revert = begun.elapsed();
    assert!(matches!(done, Ok(Outcome::Exchanged(_))), "{done:?}");
    (run, revert)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let base: PathBuf = std::env::var_os("BENCH_DIR").unwrap_or_else(|| "/dev/shm".into()).into();
    let base = base.join(format!("nixos-lustrate-bench-{}", std::process::id()));
    println!(
        "entries  keepers  bare renames    run   revert  (run and revert: times the bare renames)"
    );
    let mut points = Vec::new();
    for (entries, keepers) in SIZES {
        let (mut least, mut run, mut revert) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..if entries > 50_000 { 9 } else { 15 } {
            let list = make(&base, entries, keepers);
            least.push(bare(&base, &list));
            fs::remove_dir_all(&base).unwrap();
            make(&base, entries, keepers);
            let (there, back) = ours(&base);
            run.push(there);
            revert.push(back);
            fs::remove_dir_all(&base).unwrap();
        }
        let (least, run, revert) = (median(least), median(run), median(revert));
        let times = |time: Duration| time.as_secs_f64() / least.as_secs_f64();
        let micro = least.as_secs_f64() * 1e6;
        println!(
            "{entries:>7}  {keepers:>7}  {micro:>9.0} us  {:>5.2}  {:>7.2}",
            times(run),
            times(revert)
        );
        if keepers == 5 && entries >= 1_000 {
            points.push((entries, run));
        }
    }
    if let (Some((few, first)), Some((many, last))) = (points.first(), points.last()) {
        let growth = (last.as_secs_f64() / first.as_secs_f64()).ln();
        #[allow(clippy::cast_precision_loss)]
        let exponent = growth / (*many as f64 / *few as f64).ln();
        println!("growth of run from {few} to {many} entries: exponent {exponent:.2}");
    }
}
