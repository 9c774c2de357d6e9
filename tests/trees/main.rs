//! Every tree of the table, on every file system that it names: plan, run,
//! revert. The table says what has to come of it, and the plan exactly what.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "full")]
mod predict;

use std::panic::AssertUnwindSafe;
use std::path::Path;

use common::image::Fs;
use common::manifest::Manifest;
use common::trees::{self, Case};
use common::{command, require_root, skip};

/// Goes through the whole table, and then fails with the names of all that failed.
fn on_every(fs: Fs, check: impl Fn(&Case, &Path)) {
    let mut failed = Vec::new();
    for case in trees::all().into_iter().filter(|case| case.on.contains(&fs)) {
        match case.make(fs) {
            Ok((_image, root)) => {
                println!("{} on {}", case.name, fs.name());
                let checked = AssertUnwindSafe(|| check(case, root.path()));
                if std::panic::catch_unwind(checked).is_err() {
                    failed.push(case.name);
                }
            }
            Err(why) => skip::say(&why),
        }
    }
    assert!(failed.is_empty(), "on {}: {failed:?}", fs.name());
}

fn run_and_revert(fs: Fs) {
    require_root!();
    on_every(fs, |case, root| {
        let before = Manifest::of(root);
        #[cfg(feature = "full")]
        let prediction = predict::Prediction::of(root);
        let ended = command::on("run", root);
        let after = Manifest::of(root);
        case.judge(&ended, &before, &after);
        #[cfg(feature = "full")]
        prediction.judge(case, root, &ended, &before, &after);
        if ended.code == 0 && case.outcome().is_some() {
            let reverted = command::on("revert", root);
            case.judge_revert(&reverted, &before, &Manifest::of(root));
        }
    });
}

#[test]
fn every_tree_lustrates_and_reverts_on_ext4() {
    run_and_revert(Fs::Ext4);
}

#[test]
fn every_tree_lustrates_and_reverts_on_xfs() {
    run_and_revert(Fs::Xfs);
}

#[test]
fn every_tree_lustrates_and_reverts_on_btrfs() {
    run_and_revert(Fs::Btrfs);
}

#[test]
fn every_tree_lustrates_and_reverts_on_tmpfs() {
    run_and_revert(Fs::Tmpfs);
}
