//! The power is cut after each write of a command, and with a part of the
//! writes lost; then the command is finished, and undone from a second copy.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;

use crate::common::command;
use crate::common::compare::show;
use crate::common::image::{Fs, Image};
use crate::common::manifest::{Manifest, parent};
use crate::failures::Failures;
use crate::guest::{Recording, Setup, record};
use crate::kill::undo;
use crate::log::Entry;
use crate::random::{Random, seed};
use crate::replay::Replay;
use crate::scene::{Scene, Verb};
use crate::tally;
use crate::trees::Crash;

/// Subsets that are tried of each recording, and on xfs and btrfs also points.
const AT_MOST: usize = 120;

/// `LUSTRATE_POWER_POINTS`, if it is set.
fn limit() -> usize {
    let given = std::env::var("LUSTRATE_POWER_POINTS").ok();
    given.map_or(AT_MOST, |n| n.parse().expect("LUSTRATE_POWER_POINTS is a number"))
}

/// What has been tried of one recording.
struct Cuts<'a> {
    scene: &'a Scene,
    failures: Failures,
    /// What the root was found to be; the same is not tried again.
    states: Vec<Manifest>,
    points: usize,
    subsets: usize,
    passed: usize,
}

/// Cuts the power in one command, on one tree and file system.
pub fn everywhere(tree: &'static Crash, fs: Fs, verb: Verb, setup: Setup) {
    let scene = crate::common::or_skip!(Scene::new(tree, fs, verb));
    let recording = record(&scene, setup);
    let entries = &recording.log.entries;
    // All is tried from before the program to the end of the machine.
    let begin = recording.log.mark(recording.end, b'B');
    assert!(begin < recording.log.mark(recording.end, b'E'), "the marks are in order");
    let writes: Vec<usize> = (begin..entries.len()).filter(|n| is_write(&recording, *n)).collect();
    let flushes = entries[begin..].iter().filter(|entry| **entry == Entry::Flush).count();
    let (chosen, losses) = choose(&scene, &writes);
    let title = format!("{}, {setup:?}", scene.title());
    let mut cuts = Cuts {
        scene: &scene,
        failures: Failures::new(&title),
        states: Vec::new(),
        points: 0,
        subsets: 0,
        passed: 0,
    };
    let mut replay = Replay::new(&scene.start, &recording);
    while replay.at < entries.len() {
        let at = replay.at;
        replay.step();
        if chosen.binary_search(&at).is_ok() {
            cuts.points += 1;
            cuts.cut(&format!("cut after entry {at} of the log"), &replay.disk());
        }
        let mut random = Random::new(&title, at);
        for number in 1..=losses.iter().filter(|n| **n == at && replay.is_volatile()).count() {
            cuts.subsets += 1;
            let what =
                format!("cut after entry {at}, with losses #{number}; CRASH_SEED={}", seed());
            cuts.cut(&what, &replay.with_losses(&mut random));
        }
    }
    replay.assert_whole();
    cuts.report(setup, writes.len(), flushes, chosen.len() == writes.len());
}

fn is_write(recording: &Recording, number: usize) -> bool {
    match &recording.log.entries[number] {
        Entry::Write { at, .. } | Entry::Discard { at, .. } => *at < recording.end,
        Entry::Flush => false,
    }
}

/// The entries after which the power is cut with all that was written, and,
/// once for each time, those after which a part of it is lost.
fn choose(scene: &Scene, writes: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let points = if scene.fs == Fs::Ext4 { writes.len() } else { limit().min(writes.len()) };
    let chosen = (0..points).map(|n| writes[n * writes.len() / points]).collect();
    let losses = (0..limit()).map(|n| writes[n * writes.len() / limit()]).collect();
    (chosen, losses)
}

/// What is new or gone in a state, for those who look into a failure: of what
/// has moved as a whole only the top.
fn telling(before: &Manifest, half: &Manifest) -> Vec<String> {
    let changes = [(before, half, "gone"), (half, before, "new")].into_iter();
    let changes = changes.flat_map(|(has, lacks, what)| {
        let is_top =
            |path: &&Vec<u8>| lacks.get(path).is_none() && lacks.get(parent(path)).is_some();
        has.nodes.keys().filter(is_top).map(move |path| format!("{what}: {}", show(path)))
    });
    let ours = |path: &&Vec<u8>| path.windows(9).any(|part| part == b".lustrate");
    let ours = half.nodes.iter().filter(|(path, _)| ours(path));
    changes
        .chain(
            ours.map(|(path, node)| format!("{}: {} bytes, {:?}", show(path), node.size, node.id)),
        )
        .collect()
}

impl Cuts<'_> {
    fn cut(&mut self, what: &str, disk: &Image) {
        let (scene, states, passed) = (self.scene, &mut self.states, &mut self.passed);
        let case = AssertUnwindSafe(|| {
            let copy = disk.snapshot();
            let mounted = disk.mount().expect("the file system recovers");
            let half = Manifest::of(mounted.path());
            if states.contains(&half) {
                *passed += 1;
                return;
            }
            println!("{what}:\n  {}", telling(&scene.before, &half).join("\n  "));
            scene.assert_half_done(&half, mounted.path(), None);
            command::on(scene.verb.name(), mounted.path()).expect(0);
            scene.assert_done(&Manifest::of(mounted.path()), mounted.path());
            mounted.unmount();
            let mounted = copy.mount().expect("the file system recovers again");
            undo(scene, mounted.path(), &half, &[]);
            // One that fails is tried, and shown, each time.
            states.push(half);
            *passed += 1;
        });
        self.failures.catch(what, case);
    }

    fn report(self, setup: Setup, writes: usize, flushes: usize, all: bool) {
        let Self { scene, failures, states, points, subsets, passed } = self;
        let failed = points + subsets - passed;
        let cells: [(&'static str, &dyn std::fmt::Display); 12] = [
            ("file system", &scene.fs.name()),
            ("mounted with", &setup.options),
            ("tree", &scene.tree.case.name),
            ("command", &scene.verb.name()),
            ("synced", &if setup.syncs { "all the time" } else { "by the program only" }),
            ("writes", &writes),
            ("flushes", &flushes),
            ("points", &points),
            ("which", &if all { "all" } else { "sampled" }),
            ("subsets", &subsets),
            ("different states", &states.len()),
            ("failures", &failed),
        ];
        tally::add(
            "Power cut after a write (points), and with a random part of the writes since the last flush lost (subsets); each different state that was mounted was finished and undone",
            &cells,
        );
        let _ = writeln!(std::io::stderr(), "{}: CRASH_SEED={}", scene.title(), seed());
        failures.end();
    }
}
