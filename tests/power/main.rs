//! The power is cut at every write. A machine runs the static build on a disk
//! whose writes and flushes QEMU logs; from the log the disk is made as it was
//! after each write, and with random parts of the writes since the last flush
//! lost, as a disk with a volatile cache loses them. Each is mounted, which
//! recovers the journal, and then I1 to I5 must hold: nothing is lost, and the
//! command can be finished and undone.
//!
//! A file system writes much in one transaction, so a cut finds few of the
//! states that a killed program leaves. Mounted with `dirsync` (ext4, xfs), each
//! rename is a transaction of its own, and a cut finds them all; btrfs has no
//! such thing, and is synced by others all the time instead.
//!
//! What it does not find: a write that QEMU logs before a flush counts as
//! flushed, also when the guest did not wait for it; and 4096 bytes of a write
//! are never torn.
//!
//! `LUSTRATE_POWER_POINTS=N` tries more, or fewer; `CRASH_SEED=N` the same
//! subsets again of the same log. `LUSTRATE_INITRD_BINARY` is run in the machine
//! instead of `target/static/nixos-lustrate-initrd`.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lab/mod.rs"]
mod lab;

#[allow(dead_code, reason = "shared with the killed commands")]
#[path = "../crash/failures.rs"]
mod failures;
#[allow(dead_code, reason = "shared with the killed commands")]
#[path = "../crash/kill.rs"]
mod kill;
#[path = "../crash/outcome.rs"]
mod outcome;
#[path = "../crash/random.rs"]
mod random;
#[allow(dead_code, reason = "shared with the killed commands")]
#[path = "../crash/scene.rs"]
mod scene;
#[allow(dead_code, reason = "shared with the killed commands")]
#[path = "../crash/state.rs"]
mod state;
#[path = "../crash/tally.rs"]
mod tally;
#[allow(dead_code, reason = "shared with the killed commands")]
#[path = "../crash/trees.rs"]
mod trees;

mod cut;
mod guest;
mod log;
mod replay;

use common::image::Fs;
use common::require_root;
use guest::Setup;
use scene::Verb;

macro_rules! power_is_cut {
    ($($name:ident: $tree:ident, $fs:ident, $verb:ident, $options:literal, $syncs:literal;)*) => {
        $(#[test]
        fn $name() {
            require_root!();
            let setup = Setup { options: $options, syncs: $syncs };
            cut::everywhere(&trees::$tree, Fs::$fs, Verb::$verb, setup);
        })*
    };
}

power_is_cut! {
    in_a_run_on_ext4: KEEPERS, Ext4, Run, "data=ordered", false;
    in_a_run_on_ext4_with_writeback: KEEPERS, Ext4, Run, "data=writeback", false;
    in_a_run_on_xfs: KEEPERS, Xfs, Run, "defaults", false;
    in_a_run_on_btrfs: KEEPERS, Btrfs, Run, "defaults", false;
    in_a_run_on_ext4_with_dirsync: KEEPERS, Ext4, Run, "data=ordered,dirsync", false;
    in_a_run_on_ext4_with_writeback_and_dirsync: KEEPERS, Ext4, Run, "data=writeback,dirsync", false;
    in_a_run_on_xfs_with_dirsync: KEEPERS, Xfs, Run, "dirsync", false;
    in_a_run_on_btrfs_that_others_sync: KEEPERS, Btrfs, Run, "defaults", true;
    in_a_revert_on_ext4: KEEPERS, Ext4, Revert, "data=ordered", false;
    in_a_revert_on_ext4_with_writeback: KEEPERS, Ext4, Revert, "data=writeback", false;
    in_a_revert_on_xfs: KEEPERS, Xfs, Revert, "defaults", false;
    in_a_revert_on_btrfs: KEEPERS, Btrfs, Revert, "defaults", false;
    in_a_revert_on_ext4_with_dirsync: KEEPERS, Ext4, Revert, "data=ordered,dirsync", false;
    in_a_revert_on_ext4_with_writeback_and_dirsync: KEEPERS, Ext4, Revert, "data=writeback,dirsync", false;
    in_a_revert_on_xfs_with_dirsync: KEEPERS, Xfs, Revert, "dirsync", false;
    in_a_revert_on_btrfs_that_others_sync: KEEPERS, Btrfs, Revert, "defaults", true;
    in_a_run_on_an_immutable_root: IMMUTABLE_ROOT, Ext4, Run, "data=ordered,dirsync", false;
    in_a_revert_to_an_immutable_root: IMMUTABLE_ROOT, Ext4, Revert, "data=ordered,dirsync", false;
}
