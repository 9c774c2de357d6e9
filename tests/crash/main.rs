//! The program is killed, and failed, at every system call; meets staging
//! directories that somebody has tampered with; and is not alone on the root.
//! Whatever happens, nothing is lost (I1), and it can be finished and undone
//! (I3, I4).
//!
//! `tests/run crash` runs it and ends with tables of how much was tried. It is
//! exhaustive but for the second kill of each case, which is at a random call.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod errnos;
mod fail;
mod failures;
mod kill;
mod lacking;
mod outcome;
mod random;
mod scene;
mod state;
mod tally;
mod tamper;
mod together;
mod trees;

use common::image::Fs;
use common::require_root;
use common::sys::seccomp::Lack;
use scene::Verb;

macro_rules! killed_where_something_is_lacking {
    ($($name:ident: $tree:ident, $verb:ident, $lack:ident;)*) => {
        $(#[test]
        fn $name() {
            require_root!();
            lacking::at_every_call(&trees::$tree, Verb::$verb, Lack::$lack);
        })*
    };
}

macro_rules! killed_at_every_call {
    ($($name:ident: $tree:ident, $fs:ident, $verb:ident;)*) => {
        $(#[test]
        fn $name() {
            require_root!();
            kill::at_every_call(&trees::$tree, Fs::$fs, Verb::$verb, None);
        })*
    };
}

killed_at_every_call! {
    a_killed_run_goes_on_or_back_on_ext4: KEEPERS, Ext4, Run;
    a_killed_run_goes_on_or_back_on_xfs: KEEPERS, Xfs, Run;
    a_killed_run_goes_on_or_back_on_btrfs: KEEPERS, Btrfs, Run;
    a_killed_revert_goes_on_or_back_on_ext4: KEEPERS, Ext4, Revert;
    a_killed_revert_goes_on_or_back_on_xfs: KEEPERS, Xfs, Revert;
    a_killed_revert_goes_on_or_back_on_btrfs: KEEPERS, Btrfs, Revert;
    a_killed_run_on_an_immutable_root_goes_on_or_back: IMMUTABLE_ROOT, Ext4, Run;
    a_killed_revert_to_an_immutable_root_goes_on_or_back: IMMUTABLE_ROOT, Ext4, Revert;
    a_killed_run_with_etc_kept_goes_on_or_back: KEPT_ETC, Ext4, Run;
    a_killed_revert_with_etc_kept_goes_on_or_back: KEPT_ETC, Ext4, Revert;
    a_killed_run_after_a_stock_lustration_goes_on_or_back: TAKEN_OVER, Ext4, Run;
}

killed_where_something_is_lacking! {
    a_killed_run_without_rename_flags_goes_on_or_back: KEEPERS, Run, RenameFlags;
    a_killed_revert_without_rename_flags_goes_on_or_back: KEEPERS, Revert, RenameFlags;
    a_killed_run_without_rename_flags_with_etc_kept_goes_on_or_back: KEPT_ETC, Run, RenameFlags;
    a_killed_revert_without_rename_flags_with_etc_kept_goes_on_or_back: KEPT_ETC, Revert, RenameFlags;
    a_killed_run_without_openat2_goes_on_or_back: KEEPERS, Run, Openat2;
    a_killed_revert_without_openat2_goes_on_or_back: KEEPERS, Revert, Openat2;
}

#[test]
fn a_run_with_a_failing_call_goes_on_or_back() {
    require_root!();
    fail::at_every_call(&trees::SMALL, Verb::Run);
}

#[test]
fn a_revert_with_a_failing_call_goes_on_or_back() {
    require_root!();
    fail::at_every_call(&trees::SMALL, Verb::Revert);
}

#[test]
fn a_tampered_run_loses_nothing_and_leads_nowhere() {
    require_root!();
    tamper::with_the_staging_directory(&trees::SMALL, Verb::Run);
}

#[test]
fn a_tampered_revert_loses_nothing_and_leads_nowhere() {
    require_root!();
    tamper::with_the_staging_directory(&trees::SMALL, Verb::Revert);
}

#[test]
fn a_second_command_is_refused_while_one_is_at_work() {
    require_root!();
    together::second_is_refused(&trees::SMALL);
}

#[test]
fn of_many_runs_at_once_one_lustrates() {
    require_root!();
    together::of_many_one_does_it(&trees::SMALL, 30);
}

#[test]
fn a_run_beside_somebody_at_work_loses_nothing() {
    require_root!();
    together::with_somebody_at_work(&trees::SMALL, Verb::Run, 60);
}

#[test]
fn a_revert_beside_somebody_at_work_loses_nothing() {
    require_root!();
    together::with_somebody_at_work(&trees::SMALL, Verb::Revert, 60);
}
