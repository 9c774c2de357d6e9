//! What a run costs besides time, and how cost grows with entries and keepers.

use std::path::Path;

use super::bare::Bare;
use super::cost::{calls, memory};
use super::effort::Effort;
use super::grid::Grid;
use super::ours::{check, reset, revert};
use super::place::Place;
use super::program::{measure, on};
use super::rounds::Figures;
use super::stats::{exponent, shown};
use super::work::Work;
use crate::common::filesystem::Fs;
use crate::common::sys::Syncs;

/// Above this, cost grows faster than the work: a fault.
const LIMIT: f64 = 1.1;

/// A point of a curve.
#[derive(Clone, Debug)]
struct Point {
    place: String,
    work: String,
    bare: f64,
    run: f64,
    revert: f64,
}

/// What growth is judged by.
#[derive(Clone, Debug, Default)]
pub struct Points {
    times: Vec<Point>,
    /// Work, calls and bytes of a run.
    costs: Vec<(String, f64, f64)>,
}

impl Points {
    pub fn add(&mut self, fs: Fs, work: &Work, figures: &Figures) {
        let (bare, run, revert) = (figures.bare, figures.run, figures.revert);
        let (place, work) = (fs.name().to_owned(), work.name.clone());
        self.times.push(Point { place, work, bare, run, revert });
    }

    /// The exponents between neighbours, the steepest of each curve.
    pub fn grid(&self, effort: &Effort) -> Grid {
        let mut grid =
            Grid::new(&["exponent of growth over", "from", "to", "bare", "run", "revert"]);
        for fs in &effort.file_systems {
            for (what, counts) in [("entries", &effort.entries), ("keepers", &effort.keepers)] {
                for pair in counts.windows(2) {
                    let point = |count: usize| {
                        let name = format!("{count} {what}");
                        self.times.iter().find(|p| p.place == fs.name() && p.work == name)
                    };
                    let (Some(from), Some(to)) = (point(pair[0]), point(pair[1])) else { continue };
                    let grown = |of: fn(&Point) -> f64| {
                        exponent((pair[0] as f64, of(from)), (pair[1] as f64, of(to)))
                    };
                    // The file system's own growth is no fault of ours.
                    let limit = LIMIT.max(grown(|p| p.bare));
                    grid.row(vec![
                        format!("{what}, time, {}", fs.name()),
                        shown(pair[0] as f64),
                        shown(pair[1] as f64),
                        shown(grown(|p| p.bare)),
                        judged(grown(|p| p.run), limit),
                        judged(grown(|p| p.revert), limit),
                    ]);
                }
            }
        }
        self.costs_grown(effort, &mut grid);
        grid
    }

    /// Calls and memory, the fixed part left out, which would hide growth.
    fn costs_grown(&self, effort: &Effort, grid: &mut Grid) {
        let point = |name: &str| self.costs.iter().find(|(work, ..)| work == name);
        let Some((_, few_calls, few_bytes)) = self.costs.first() else { return };
        for (what, counts) in [("entries", &effort.entries), ("keepers", &effort.keepers)] {
            for pair in counts.windows(2) {
                let [from, to] = [0, 1].map(|at: usize| point(&format!("{} {what}", pair[at])));
                let (Some(from), Some(to)) = (from, to) else { continue };
                let (x, y) = (pair[0] as f64, pair[1] as f64);
                let calls = exponent((x, from.1 - few_calls), (y, to.1 - few_calls));
                // Below some pages, what is seen is the size of a page.
                let bytes = exponent((x, from.2 - few_bytes), (y, to.2 - few_bytes));
                let enough = from.2 - few_bytes >= 65_536.0;
                let bytes = if enough { judged(bytes, LIMIT) } else { "–".to_owned() };
                for (name, value) in [("system calls", judged(calls, LIMIT)), ("memory", bytes)] {
                    let none = || "–".to_owned();
                    let (from, to) = (shown(x), shown(y));
                    grid.row(vec![format!("{what}, {name}"), from, to, none(), value, none()]);
                }
            }
        }
    }
}

fn judged(exponent: f64, limit: f64) -> String {
    let fault = if exponent > limit { "FAULT " } else { "" };
    format!("{fault}{}", shown(exponent))
}

/// System calls, memory and page faults of each kind of root, on tmpfs.
pub fn costs(effort: &Effort, program: &Path, points: &mut Points) -> Grid {
    let mut grid = Grid::new(&[
        "run and revert on tmpfs",
        "renames",
        "calls, run",
        "a rename",
        "calls, revert",
        "syncs",
        "memory, KiB",
        "page faults",
    ]);
    for work in &effort.works {
        let place = match Place::new(Fs::Tmpfs) {
            Ok(place) => place,
            Err(skipped) => {
                println!("{skipped}\n");
                break;
            }
        };
        let root = place.root();
        work.make(root);
        let renames = Bare::new(work, root).drop_unused();
        let there = calls(program, "run", root);
        check(true, "run", root, "old-root");
        let back = calls(program, "revert", root);
        reset(work, root);
        let bytes = memory(program, "run", root);
        revert(program, work, root);
        let faults = measure(&mut on(program, "run", root), Syncs::Done).faults;
        points.costs.push((work.name.clone(), there.all as f64, bytes as f64));
        grid.row(vec![
            work.name.clone(),
            shown(renames as f64),
            shown(there.all as f64),
            shown(there.all as f64 / renames as f64),
            shown(back.all as f64),
            format!("{} + {}", there.syncs, back.syncs),
            shown(bytes as f64 / 1024.0),
            shown(faults as f64),
        ]);
    }
    grid
}
