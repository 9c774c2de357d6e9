//! What `cargo bench` measures. Each part is a file; `tests/figures` runs all of
//! it on small roots, so that it does not rot.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each target uses a part")]
#![allow(clippy::expect_used, clippy::cast_precision_loss, clippy::must_use_candidate)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc)]

pub mod bare;
pub mod cost;
pub mod effort;
pub mod grid;
pub mod growth;
pub mod idle;
pub mod ours;
pub mod place;
pub mod program;
pub mod rounds;
pub mod size;
pub mod stats;
pub mod stock;
pub mod work;

use std::path::Path;

use effort::Effort;
use grid::Grid;
use growth::Points;
use place::Place;
use rounds::Figures;
use stats::shown;
use stock::Shell;

use crate::common::filesystem::Fs;

/// Measures everything and prints it, Markdown that reads as text.
pub fn print(effort: &Effort, program: &Path) {
    let shells = Shell::all();
    let mut points = Points::default();
    println!("{}", idle::grid(effort, program).text());
    for fs in &effort.file_systems {
        println!("{}", on(*fs, effort, program, &shells, &mut points).text());
    }
    println!("{}", growth::costs(effort, program, &mut points).text());
    println!("{}", points.grid(effort).text());
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    if effort.anatomy {
        for made in [size::builds(repository), size::anatomy(repository)] {
            match made {
                Ok(grid) => println!("{}", grid.text()),
                Err(why) => println!("skipped: the static builds: {why}\n"),
            }
        }
    }
}

/// Each kind of root on one file system.
fn on(fs: Fs, effort: &Effort, program: &Path, shells: &[Shell], points: &mut Points) -> Grid {
    let mut grid = Grid::new(&[
        fs.name(),
        "renames",
        "bare, µs",
        "run ×",
        "revert ×",
        "resume ×",
        "ash ×",
        "bash ×",
        "run, ms",
        "with syncs",
        "written, KiB",
        "ash writes",
    ]);
    for work in &effort.works {
        eprintln!("{}: {}", fs.name(), work.name);
        // A file system of its own: what an earlier one left does not count.
        match Place::new(fs) {
            Ok(place) => {
                let figures = rounds::measure(effort, program, &place, work, shells);
                points.add(fs, work, &figures);
                grid.row(row(&work.name, &figures));
            }
            Err(skipped) => println!("{}: {}: {skipped}\n", fs.name(), work.name),
        }
    }
    grid
}

fn row(work: &str, figures: &Figures) -> Vec<String> {
    let times = |time: f64| shown(time / figures.bare);
    let kib = |bytes: Option<u64>| shown(bytes.map_or(f64::NAN, |n| n as f64 / 1024.0));
    let stock = |at: usize| match figures.stock.get(at) {
        Some(Some(time)) => times(*time),
        Some(None) => "fails".to_owned(),
        None => "–".to_owned(),
    };
    vec![
        work.to_owned(),
        shown(figures.renames as f64),
        shown(figures.bare),
        times(figures.run),
        times(figures.revert),
        times(figures.resume),
        stock(0),
        stock(1),
        shown(figures.run / 1e3),
        shown(figures.synced / 1e3),
        kib(figures.written),
        kib(figures.stock_written),
    ]
}
