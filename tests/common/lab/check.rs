//! A disk after a boot against the manifest from before, with what a started
//! system writes left out.

use crate::common::compare::{Excuse, assert_none};
use crate::common::manifest::Manifest;
use crate::common::population::{Lustrated, ParentTimes, not_lustrated, not_reverted};

/// What stage 2 and `switch_root` make where it is missing, or change.
const STAGE_2: [&str; 24] = [
    "bin",
    "bin/sh",
    "dev",
    "etc/NIXOS",
    "etc/os-release",
    "etc/static",
    "home",
    "lib64",
    "mnt",
    "nix/persist/var/log",
    "nix/persist/var/log/boots",
    "old-root/.lustrate",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/bin/env",
    "var",
    "var/lib/boots",
    "var/log",
];

/// Whether the line says something else than that stage 2 was at work.
fn counts(line: &str) -> bool {
    let Some((path, what)) = line.split_once(": ") else { return true };
    if ["etc", "var/lib"].contains(&path) {
        return !what.starts_with("made with") && !what.contains("should not be there");
    }
    let is_loss = what == "lost" || what.starts_with("not at");
    is_loss || !STAGE_2.contains(&path)
}

/// The old population is in `old_root`, keepers, `/nix` and `/boot` are where
/// they were, and all that is new is stage 2's.
#[track_caller]
pub fn assert_lustrated(before: &Manifest, after: &Manifest, keepers: &[&[u8]]) {
    assert_as_planned(before, after, &Lustrated { keepers, ..Lustrated::default() });
}

/// As `assert_lustrated`, for a stage 2 that makes these, too.
#[track_caller]
pub fn assert_lustrated_by(
    before: &Manifest,
    after: &Manifest,
    keepers: &[&[u8]],
    stage_2: &[&str],
) {
    let plan = Lustrated { keepers, times: ParentTimes::Aside, ..Lustrated::default() };
    let mut differences = not_lustrated(before, after, &plan);
    differences.retain(|line| {
        let is_its = line.split_once(": ").is_some_and(|(path, what)| {
            stage_2.contains(&path) && what != "lost" && !what.starts_with("not at")
        });
        counts(line) && !is_its
    });
    assert_none("not what a lustration and a boot leave", &differences);
}

/// As `assert_lustrated`, with more than keepers to say.
#[track_caller]
pub fn assert_as_planned(before: &Manifest, after: &Manifest, plan: &Lustrated<'_>) {
    let plan = Lustrated { times: ParentTimes::Aside, ..plan.clone() };
    let mut differences = not_lustrated(before, after, &plan);
    differences.retain(|line| counts(line));
    assert_none("not what a lustration and a boot leave", &differences);
}

/// Nothing has changed but what stage 2 wrote.
#[track_caller]
pub fn assert_untouched_but_booted(before: &Manifest, after: &Manifest) {
    let excuse = Excuse::none().touched(b"etc").touched(b"var/lib");
    let mut differences = before.diff(after, &excuse);
    differences.retain(|line| counts(line));
    assert_none("more has changed than a boot does", &differences);
}

/// Nothing has changed at all.
#[track_caller]
pub fn assert_untouched(before: &Manifest, after: &Manifest) {
    assert_none("the disk was touched", &before.diff(after, &Excuse::none()));
}

/// The old population is back.
#[track_caller]
pub fn assert_reverted(before: &Manifest, after: &Manifest, keepers: &[&[u8]]) {
    let mut differences = not_reverted(before, after, keepers);
    differences.retain(|line| !line.starts_with("nix/persist/var/log"));
    assert_none("not what a revert gives back", &differences);
}
