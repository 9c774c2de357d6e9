//! The program on a root, there and back, and the root as it was before.

use std::fs;
use std::path::Path;

use super::place::Place;
use super::program::{Measured, measure, on};
use super::work::{Work, names};
use crate::common::command::{LIMIT, run_limited};
use crate::common::sys::Syncs;

/// A run and the revert of it.
#[derive(Clone, Copy, Debug)]
pub struct ThereAndBack {
    pub run: Measured,
    pub revert: Measured,
}

/// Measures a run and its revert; the root is as before.
pub fn there_and_back(program: &Path, place: &Place, work: &Work, syncs: Syncs) -> ThereAndBack {
    let root = place.root();
    place.settle();
    let run = measure(&mut on(program, "run", root), syncs);
    check(run.success, "run", root, "old-root");
    place.settle();
    let revert = measure(&mut on(program, "revert", root), syncs);
    check(revert.success, "revert", root, "nixos-root");
    reset(work, root);
    ThereAndBack { run, revert }
}

/// What is measured has to have been done.
pub fn check(success: bool, verb: &str, root: &Path, place: &str) {
    let done = success && root.join(place).join(".lustrate/record").is_file();
    assert!(done, "{verb} on {} did not do its work: {:?}", root.display(), names(root));
}

/// After a revert: as it was, and the marker asks again.
pub fn reset(work: &Work, root: &Path) {
    fs::remove_dir_all(root.join("nixos-root")).expect("what a revert leaves");
    work.ask(root);
}

/// Goes back, not measured.
pub fn revert(program: &Path, work: &Work, root: &Path) {
    run_limited(&mut on(program, "revert", root), LIMIT).expect(0);
    reset(work, root);
}

/// A run that was killed before the rename in the middle, and goes on.
pub fn resume(program: &Path, place: &Place, work: &Work, renames: usize) -> Measured {
    let root = place.root();
    kill_at(program, root, renames / 2);
    assert!(root.join("old-root.tmp").is_dir(), "it was not killed in the middle");
    place.settle();
    let resumed = measure(&mut on(program, "run", root), Syncs::LeftOut);
    check(resumed.success, "run", root, "old-root");
    revert(program, work, root);
    resumed
}

fn kill_at(program: &Path, root: &Path, nth: usize) {
    let plain = on(program, "run", root);
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e"]);
    strace.arg(format!("inject=renameat2:signal=SIGKILL:when={nth}"));
    strace.arg("--").arg(plain.get_program()).args(plain.get_args());
    assert!(run_limited(&mut strace, LIMIT).was_killed(), "strace kills it");
}
