//! Whether what `cargo bench` measures can be measured: all of it once, on small
//! roots. The figures mean nothing here; that there are figures, and that what was
//! timed was done, is what is asserted.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../benches/table/mod.rs"]
mod table;

use common::command::binary;
use common::{or_skip, require_root, strace};
use table::effort::Effort;
use table::grid::Grid;
use table::growth::{self, Points};
use table::place::Place;
use table::{idle, rounds, stats, stock};

#[test]
fn every_figure_is_there() {
    require_root!();
    or_skip!(strace::available());
    let effort = Effort::smoke();
    let program = binary().canonicalize().unwrap();
    let shells = stock::Shell::all();
    let mut points = Points::default();
    for fs in &effort.file_systems {
        for work in &effort.works {
            let place = or_skip!(Place::new(*fs));
            let figures = rounds::measure(&effort, &program, &place, work, &shells);
            points.add(*fs, work, &figures);
            let times = [figures.bare, figures.run, figures.revert, figures.resume];
            assert!(times.iter().all(|time| *time > 0.0), "{figures:?}");
            assert_eq!(figures.stock.len(), shells.len());
            let on_disk = *fs != common::filesystem::Fs::Tmpfs;
            assert_eq!(figures.synced > 0.0, on_disk, "{figures:?}");
            assert_eq!(figures.written.is_some_and(|bytes| bytes > 0), on_disk, "{figures:?}");
        }
    }
    let cells = |grid: &Grid| grid.rows().iter().map(Vec::len).sum::<usize>();
    assert_eq!(cells(&idle::grid(&effort, &program)), 5 * 5);
    let costs = growth::costs(&effort, &program, &mut points);
    assert_eq!(cells(&costs), effort.works.len() * 8);
    // Two curves on each file system, and two of calls and memory.
    assert_eq!(cells(&points.grid(&effort)), (2 * effort.file_systems.len() + 4) * 6);
}

#[test]
fn what_takes_four_times_as_long_for_twice_as_much_has_exponent_two() {
    assert!((stats::exponent((10.0, 5.0), (20.0, 20.0)) - 2.0).abs() < 1e-9);
    assert!((stats::median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    assert_eq!([stats::shown(1_234_567.0), stats::shown(0.5)], ["1,234,567", "0.50"]);
}
