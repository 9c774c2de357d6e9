//! Nothing to do, which is what every boot but one has; and where the time of a
//! run on a typical root goes.

use std::path::Path;
use std::process::Command;

use nixos_lustrate::engine::exchange::Boot;
use nixos_lustrate::engine::facts::{Environment, Wishes};
use nixos_lustrate::engine::run::{self, Outcome};
use nixos_lustrate::fs::disk::Disk;

use super::bare::Bare;
use super::cost::{calls, memory};
use super::effort::Effort;
use super::grid::Grid;
use super::ours::{reset, there_and_back};
use super::place::Place;
use super::program::{measure, on};
use super::stats::{median, shown};
use super::work::Work;
use crate::common::filesystem::Fs;
use crate::common::sys::{self, Syncs};

/// Short things: many more rounds cost nothing.
const MORE: usize = 20;

/// A process, and how it did in each round.
#[derive(Default)]
struct Process {
    times: Vec<f64>,
    faults: Vec<f64>,
}

impl Process {
    fn add(&mut self, command: &mut Command) {
        let measured = measure(command, Syncs::Done);
        assert!(measured.success, "{command:?} fails");
        self.times.push(measured.microseconds);
        self.faults.push(measured.faults as f64);
    }

    fn row(&self, name: &str, calls: f64, bytes: f64) -> Vec<String> {
        let (time, faults) = (median(&self.times), median(&self.faults));
        vec![name.to_owned(), shown(time), shown(calls), shown(bytes / 1024.0), shown(faults)]
    }
}

pub fn grid(effort: &Effort, program: &Path) -> Grid {
    let mut grid = Grid::new(&["on tmpfs", "µs", "system calls", "memory, KiB", "page faults"]);
    let place = match Place::new(Fs::Tmpfs) {
        Ok(place) => place,
        Err(skipped) => {
            println!("{skipped}\n");
            return grid;
        }
    };
    let (root, work) = (place.root(), Work::typical());
    work.make(root);
    std::fs::remove_file(root.join("etc/NIXOS_LUSTRATE")).expect("the marker");
    let [mut smallest, mut idle] = [Process::default(), Process::default()];
    for _ in 0..effort.rounds * MORE {
        smallest.add(Command::new("/bin/busybox").arg("true"));
        idle.add(&mut on(program, "run", root));
    }
    let (asked, bytes) = (calls(program, "run", root), memory(program, "run", root));
    grid.row(smallest.row("busybox true, from exec to exit", f64::NAN, f64::NAN));
    grid.row(idle.row("run with nothing to do", asked.all as f64, bytes as f64));

    work.ask(root);
    let [mut bare, mut engine, mut whole] = [const { Vec::new() }; 3];
    for _ in 0..effort.rounds * MORE {
        bare.push(Bare::new(&work, root).time());
        engine.push(in_process(root, &work));
        whole.push(there_and_back(program, &place, &work, Syncs::Done).run.microseconds);
    }
    let plain = |name: &str, times: &[f64]| {
        let none = || "–".to_owned();
        vec![name.to_owned(), shown(median(times)), none(), none(), none()]
    };
    grid.row(plain("typical root: the bare renames", &bare));
    grid.row(plain("… the engine, in a process that runs", &engine));
    grid.row(plain("… the program, from exec to exit", &whole));
    grid
}

/// The same engine without a process of its own.
fn in_process(root: &Path, work: &Work) -> f64 {
    let environment = || Environment { root: "/".to_owned(), ..Environment::default() };
    let begun = sys::clock();
    let (disk, dir) = (Disk::default(), Disk::open_root(root.as_os_str()).expect("the root"));
    let done = run::run(&disk, &dir, environment(), &Wishes::default(), |_| ());
    let ended = sys::clock();
    assert!(matches!(done, Ok(Outcome::Exchanged(_))), "{done:?}");
    let back = run::revert(&disk, &dir, environment(), Boot::Exchange, |_| ());
    assert!(matches!(back, Ok(Outcome::Exchanged(_))), "{back:?}");
    reset(work, root);
    (ended - begun) as f64 / 1e3
}
