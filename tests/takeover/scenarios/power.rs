//! Power cuts at a random moment of every stage: QEMU is killed, and what the
//! machine had not written by then is lost. However often, it ends well: Debian
//! whole, or NixOS whole.

use std::collections::BTreeMap;
use std::time::Duration;

use super::back::{assert_debian_is_back, cancel_in_rescue};
use super::story::KEPT;
use crate::computer::{At, Computer, Session};
use crate::debian::Variant;
use crate::golden::assert_lustrated;
use crate::golden::{debian, lustrated, prepared};
use crate::lab::chance::Chance;
use crate::lab::check::assert_reverted;
use crate::lab::drive::Path;
use crate::lab::say;
use crate::rescue;

/// Rounds of each stage, unless `TAKEOVER_POWER_ROUNDS` says how many: ten in all.
/// One of the first takes several boots of Debian.
const PREPARES: u64 = 1;
const LUSTRATIONS: u64 = 5;
const REVERTS: u64 = 4;
/// At most so many cuts a round.
const CUTS: u64 = 2;
/// Within so long after a command was typed, or stage 1 began its work.
const PREPARE: Duration = Duration::from_secs(14);
const RUN: Duration = Duration::from_millis(1500);
/// Within so long after a machine was switched on.
const BOOT: Duration = Duration::from_secs(16);

const BEGINS: &str = "<<< lustration begins >>>";

/// The disk takes so few writes a second that what writes to it lasts.
fn slow(chance: &mut Chance) -> Path {
    Path::Slow { writes: 8 + u32::try_from(chance.below(24)).unwrap_or(0) }
}

/// Rounds of a stage, each with a seed that repeats it.
fn rounds(stage: &str, usual: u64, mut round: impl FnMut(&mut Chance) -> String) {
    let given = std::env::var("TAKEOVER_POWER_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds = given.unwrap_or(usual);
    let seed = Chance::seed();
    let mut ends = BTreeMap::<String, usize>::new();
    for number in 0..rounds {
        say(&format!("{stage}, {} of {rounds}: LUSTRATE_SEED={}", number + 1, seed + number));
        *ends.entry(round(&mut Chance::new(seed + number))).or_default() += 1;
    }
    say(&format!("{stage}: {rounds} rounds; the cuts left {ends:?}"));
}

/// After the commit, and before the last step, which `lustrate=revert` still does.
const ALMOST_REVERTED: &str = "Debian after a revert but for its last step";
/// Where there is nothing to revert any more.
const REVERTED: &str = "Debian after a revert";

/// What is in the root of a copy: the next boot is to find the journal as it is.
fn left(computer: &Computer) -> &'static str {
    let disk = computer.disk.copy();
    let entries = disk.entries();
    let has = |name: &str| entries.iter().any(|entry| entry == name);
    match (has("old-root.tmp"), has("old-root"), has("nixos-root.tmp"), has("nixos-root")) {
        (_, _, true, _) => "a revert in its middle",
        (true, ..) => "a lustration in its middle",
        (_, true, ..) => "NixOS",
        (.., true) if disk.read("nixos-root/.lustrate/intent").is_some() => ALMOST_REVERTED,
        (.., true) => REVERTED,
        _ => "Debian",
    }
}

/// Boots with a slow disk and cuts the power, in the run or anywhere.
fn cut(session: Session, chance: &mut Chance) {
    if chance.below(3) == 0 {
        session.watch(chance.within(BOOT));
    } else if session.wait_for(BEGINS, 4 * BOOT) {
        session.watch(chance.within(RUN));
    }
    session.cut_power();
}

#[test]
fn the_power_fails_while_it_is_prepared() {
    rounds("prepare", PREPARES, |chance| {
        let computer = debian(Variant::Bios);
        let mut found = String::new();
        for _ in 0..=chance.below(CUTS) {
            let mut session = computer.start_slowly(Path::Slow { writes: 40 });
            match session.arrive() {
                Some(At::Debian) => {}
                Some(At::Nixos) => break,
                // In the time that it announces, the machine may not boot; it is
                // brought back from a rescue system.
                None => {
                    session.cut_power();
                    cancel_in_rescue(&computer);
                    continue;
                }
                other => session.fail(&format!("neither Debian nor NixOS: {other:?}")),
            }
            session.type_line("nixos-lustrate prepare --yes");
            session.watch(chance.within(PREPARE));
            let console = session.cut_power();
            let begun = console.matches("begins ").count();
            let done = console.matches("done ").count();
            found = format!("{done} of {begun} steps done");
        }
        let mut session = computer.start();
        match session.arrive() {
            Some(At::Nixos) => {
                session.ends("shutdown");
                return format!("{found}: NixOS");
            }
            Some(At::Debian) => {}
            None => {
                session.cut_power();
                cancel_in_rescue(&computer);
                session = computer.boot(At::Debian);
            }
            other => session.fail(&format!("neither Debian nor NixOS: {other:?}")),
        }
        session.run("nixos-lustrate prepare --yes");
        session.ends("reboot");
        let before = computer.manifest();
        computer.boot(At::Nixos).ends("shutdown");
        assert_lustrated(&before, &computer.manifest(), &KEPT);
        found
    });
}

#[test]
fn the_power_fails_in_the_boot_that_lustrates() {
    let station = prepared(Variant::Bios);
    rounds("lustration", LUSTRATIONS, |chance| {
        let computer = station.computer.copy();
        for _ in 0..=chance.below(CUTS) {
            cut(computer.start_slowly(slow(chance)), chance);
        }
        let found = left(&computer);
        computer.boot(At::Nixos).ends("shutdown");
        assert_lustrated(&station.before, &computer.manifest(), &KEPT);
        found.to_owned()
    });
}

#[test]
fn the_power_fails_in_a_later_boot_and_in_the_revert() {
    let station = lustrated(Variant::Bios);
    let mut last = None;
    rounds("revert", REVERTS, |chance| {
        let computer = station.computer.copy();
        let session = computer.start_slowly(slow(chance));
        session.watch(chance.within(BOOT));
        session.cut_power();
        assert_eq!(left(&computer), "NixOS");
        for _ in 0..=chance.below(CUTS) {
            cut(rescue::start_nixos(&computer, "lustrate=revert", slow(chance)), chance);
        }
        let found = left(&computer);
        let console = rescue::start_nixos(&computer, "lustrate=revert", Path::Plain).goes_off();
        // A revert that was done before the cut may lack its last step, which is not in
        // any name: then there is nothing to revert, or only that step, and the reboot.
        let (reboots, nothing) = ("reboot: Restarting system", "there is nothing to revert");
        let (reboots, nothing) = (console.contains(reboots), console.contains(nothing));
        assert!(reboots != nothing, "{found}: a reboot, or nothing to revert\n{console}");
        let done = found == ALMOST_REVERTED || found == REVERTED;
        assert!(reboots || done, "{found}, and nothing to revert\n{console}");
        assert_reverted(&station.before, &computer.manifest(), &KEPT);
        last = Some(computer);
        found.to_owned()
    });
    let computer = last.expect("a round");
    cancel_in_rescue(&computer);
    assert_debian_is_back(&computer, &station.before);
}
