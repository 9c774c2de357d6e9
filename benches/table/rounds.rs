//! One kind of root on one file system: rounds of the limit, the program and the
//! shells in turn, on the same tree, put back after each.

use std::path::Path;

use super::bare::Bare;
use super::effort::Effort;
use super::ours::{check, resume, revert, there_and_back};
use super::place::Place;
use super::program::on;
use super::stats::median;
use super::stock::{self, Shell};
use super::work::Work;
use crate::common::command::{LIMIT, run_limited};
use crate::common::filesystem::Fs;
use crate::common::sys::Syncs;

/// Medians; times in microseconds.
#[derive(Clone, Debug)]
pub struct Figures {
    pub renames: usize,
    pub bare: f64,
    pub run: f64,
    pub revert: f64,
    /// A run that goes on where another was killed in the middle.
    pub resume: f64,
    /// A run that waits for the disk.
    pub synced: f64,
    /// Each shell; `None` when it fails. Empty when it was not tried.
    pub stock: Vec<Option<f64>>,
    /// Bytes that a run wrote, and that the first shell did.
    pub written: Option<u64>,
    pub stock_written: Option<u64>,
}

pub fn measure(
    effort: &Effort,
    program: &Path,
    place: &Place,
    work: &Work,
    shells: &[Shell],
) -> Figures {
    let root = place.root();
    work.make(root);
    let shells = if work.is_huge() { &[][..] } else { shells };
    let shell_rounds = work.rounds_for_a_shell(effort.rounds);
    let renames = Bare::new(work, root).drop_unused();
    let [mut bare, mut run, mut back, mut resumed, mut synced] = [const { Vec::new() }; 5];
    let mut stock = vec![Vec::new(); shells.len()];
    for round in 0..effort.rounds {
        bare.push(limit(place, work));
        let ours = there_and_back(program, place, work, Syncs::LeftOut);
        run.push(ours.run.microseconds);
        back.push(ours.revert.microseconds);
        if place.fs != Fs::Tmpfs {
            let ours = there_and_back(program, place, work, Syncs::Done);
            synced.push(ours.run.microseconds);
        }
        if !work.is_huge() {
            resumed.push(resume(program, place, work, renames).microseconds);
        }
        if round < shell_rounds {
            for (shell, times) in shells.iter().zip(&mut stock) {
                let failed = matches!(times.first(), Some(None));
                if !failed {
                    times.push(stock::time(shell, place, work));
                    stock::undo(place);
                }
            }
        }
    }
    let of_stock = |times: &Vec<Option<f64>>| {
        let times: Option<Vec<f64>> = times.iter().copied().collect();
        times.map(|times| median(&times))
    };
    Figures {
        renames,
        bare: median(&bare),
        run: median(&run),
        revert: median(&back),
        resume: median(&resumed),
        synced: median(&synced),
        stock: stock.iter().map(of_stock).collect(),
        written: written(program, place, work),
        stock_written: shells.first().and_then(|shell| stock_written(shell, place, work)),
    }
}

fn limit(place: &Place, work: &Work) -> f64 {
    let bare = Bare::new(work, place.root());
    place.settle();
    bare.time()
}

/// Bytes that a run writes to the disk, until all of it is there.
fn written(program: &Path, place: &Place, work: &Work) -> Option<u64> {
    let before = place.written()?;
    run_limited(&mut on(program, "run", place.root()), LIMIT).expect(0);
    let after = place.written()?;
    check(true, "run", place.root(), "old-root");
    revert(program, work, place.root());
    Some(after - before)
}

fn stock_written(shell: &Shell, place: &Place, work: &Work) -> Option<u64> {
    let before = place.written()?;
    let done = stock::time(shell, place, work);
    let after = place.written()?;
    stock::undo(place);
    done.map(|_| after - before)
}
