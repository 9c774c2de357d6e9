//! Real power cuts: QEMU is killed in stage 1, and what the guest had not
//! written to its disk by then is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scheduled;
use crate::lab::boot::{BEGINS, Boot};
use crate::lab::chance::Chance;
use crate::lab::check::assert_lustrated;
use crate::lab::disk::Disk;
use crate::lab::drive::Path;
use crate::lab::machine::Waited;
use crate::lab::population::keepers;
use crate::lab::say;
use crate::lab::stage1::Kind;

const LIMIT: Duration = Duration::from_secs(40);
/// Unless `LUSTRATE_POWER_ROUNDS` says how many in each kind of stage 1. The
/// busybox one is the faster; the program is the same.
const ROUNDS: [(Kind, u64); 2] = [(Kind::Systemd, 6), (Kind::Busybox, 16)];
/// At most so many cuts a round.
const CUTS: u64 = 2;
/// Within so long after the program has been started.
const RUN: Duration = Duration::from_millis(1500);
/// Within so long after stage 1 has begun, when it is cut anywhere.
const STAGE_1: Duration = Duration::from_secs(8);

/// What a cut left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Scheduled,
    InProgress,
    Done,
}

/// Looks at a copy: the next boot is to find the journal as the cut left it.
fn state(disk: &Disk) -> State {
    let entries = disk.copy().entries();
    let has = |name: &str| entries.iter().any(|entry| entry == name);
    if has("old-root.tmp") {
        State::InProgress
    } else if has("old-root") {
        State::Done
    } else {
        State::Scheduled
    }
}

/// When the power is cut.
enum Moment {
    /// So long after the program has been started.
    InRun(Duration),
    /// So long after stage 1 has begun.
    InStage1(Duration),
}

/// Boots with a disk that takes so few writes a second that the run lasts, and
/// cuts the power.
fn cut(kind: Kind, disk: &Disk, writes: u32, moment: &Moment) {
    let machine = Boot::plain(kind, disk).through(Path::Slow { writes }).start();
    let after = match moment {
        Moment::InStage1(after) => after,
        Moment::InRun(after) => {
            let seen = machine.wait_for(&[BEGINS], LIMIT);
            assert_eq!(seen, Waited::Saw(0), "no run began\n{}", machine.console());
            after
        }
    };
    machine.wait_for(&["REPORT end"], *after);
    machine.cut_power();
}

in_both!(a_power_cut_in_the_middle_is_finished_by_the_next_boot);

fn a_power_cut_in_the_middle_is_finished_by_the_next_boot(kind: Kind) {
    let whole = scheduled();
    let before = whole.manifest();
    let in_the_middle = (2..=12).find_map(|number| {
        let after = Duration::from_millis(250) * number;
        let disk = whole.copy();
        cut(kind, &disk, 8, &Moment::InRun(after));
        (state(&disk) == State::InProgress).then_some((after, disk))
    });
    let (after, disk) = in_the_middle.expect("a cut in the middle of the run");
    say(&format!("in the middle after {after:?}"));
    Boot::plain(kind, &disk).run().sound();
    assert_lustrated(&before, &disk.manifest(), &keepers());
}

in_both!(any_number_of_power_cuts_at_any_time_is_survived);

fn any_number_of_power_cuts_at_any_time_is_survived(kind: Kind) {
    let given = std::env::var("LUSTRATE_POWER_ROUNDS").ok().and_then(|text| text.parse().ok());
    let usual = ROUNDS.iter().find(|(of, _)| *of == kind).map_or(0, |(_, rounds)| *rounds);
    let rounds = given.unwrap_or(usual);
    let seed = Chance::seed();
    let whole = scheduled();
    let before = whole.manifest();
    let mut found = BTreeMap::<State, usize>::new();
    for round in 0..rounds {
        // With this seed, it is the first round of a run.
        say(&format!("round {} of {rounds}, LUSTRATE_SEED={}", round + 1, seed + round));
        let mut chance = Chance::new(seed + round);
        let disk = whole.copy();
        for _ in 0..=chance.below(CUTS) {
            let writes = 8 + u32::try_from(chance.below(24)).unwrap_or(0);
            let moment = match chance.below(4) {
                0 => Moment::InStage1(chance.within(STAGE_1)),
                _ => Moment::InRun(chance.within(RUN)),
            };
            cut(kind, &disk, writes, &moment);
            *found.entry(state(&disk)).or_default() += 1;
        }
        Boot::plain(kind, &disk).run().sound();
        assert_lustrated(&before, &disk.manifest(), &keepers());
    }
    say(&format!("{rounds} rounds; the cuts left {found:?}"));
}
