//! What we cost a boot: both stage 1s under QEMU, with us and without, on a root
//! that NixOS has and on one whose lustration is asked for, in turn.
//!
//! `cargo bench --features heavy --bench boot`, as root, with the packages of
//! `tests/setup vm nix`; some ten minutes. `BENCH_ROUNDS` for more or fewer boots.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "table/grid.rs"]
#[allow(dead_code, reason = "shared with the other benchmark")]
mod grid;
#[path = "../tests/common/lab/mod.rs"]
mod lab;
#[path = "table/stats.rs"]
#[allow(dead_code, reason = "as above")]
mod stats;

use grid::Grid;
use lab::boot::Boot;
use lab::disk::{Content, Disk};
use lab::layout::{Fs, Nix};
use lab::population::{KEEP, Population};
use lab::stage1::{Kind, Wiring};
use stats::median;

/// Each kind of boot, in the order of the rounds.
const CASES: [(Population, bool); 4] = [
    (Population::Nixos, false),
    (Population::Nixos, true),
    (Population::Debian, false),
    (Population::Debian, true),
];

/// Seconds from the start of the kernel to that of stage 2.
fn boot(kind: Kind, population: Population, with_us: bool) -> f64 {
    let disk = Disk::new(Content { fs: Fs::Ext4, nix: Nix::Root, population });
    if population == Population::Debian {
        disk.schedule(&KEEP);
    }
    let mut boot = Boot::plain(kind, &disk);
    boot.stage1.observed = false;
    if !with_us {
        boot.stage1.wiring = Wiring::None;
    }
    let report = boot.run().report();
    let lustrated = report.entries.keys().any(|path| path.starts_with("/old-root/"));
    assert_eq!(lustrated, with_us && population == Population::Debian, "{kind:?}");
    report.started
}

fn main() {
    if !common::skip::is_root() {
        println!("skipped: needs root, to make the disks");
        return;
    }
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(9);
    let mut grid =
        Grid::new(&["stage 1, seconds", "without us", "with us", "more, ms", "spread, ms"]);
    for kind in [Kind::Busybox, Kind::Systemd] {
        let mut times = [const { Vec::new() }; CASES.len()];
        for round in 0..rounds {
            eprintln!("{kind:?}: round {} of {rounds}", round + 1);
            for ((population, with_us), times) in CASES.iter().zip(&mut times) {
                times.push(boot(kind, *population, *with_us));
            }
        }
        for (at, root) in [(0, "no marker"), (2, "a marker")] {
            let [without, with] = [&times[at], &times[at + 1]];
            let more: Vec<f64> = without.iter().zip(with).map(|(a, b)| (b - a) * 1e3).collect();
            grid.row(vec![
                format!("{kind:?}, {root}").to_lowercase(),
                format!("{:.2}", median(without)),
                format!("{:.2}", median(with)),
                format!("{:+.0}", median(&more)),
                format!("{:.0}", spread(&more)),
            ]);
        }
    }
    println!("{}", grid.text());
}

/// Between the quarters: how far one pair of boots is from another.
fn spread(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quarter = sorted.len() / 4;
    sorted[sorted.len() - 1 - quarter] - sorted[quarter]
}
