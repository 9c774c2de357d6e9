//! Kill at every system call; then finish, killed once more, or undo.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use crate::common::command::{self, arguments};
use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::strace::{self, Call, Fault};
use crate::common::sys::seccomp::Lack;
use crate::failures::Failures;
use crate::outcome::alike;
use crate::random::{Random, seed};
use crate::scene::{Scene, Verb, open, sync};
use crate::state::in_progress;
use crate::tally;
use crate::trees::Crash;

#[derive(Default)]
struct Count {
    kills: usize,
    states: usize,
    again: usize,
    undone: usize,
}

/// Every call of a command, on one tree and file system.
pub fn at_every_call(tree: &'static Crash, fs: Fs, verb: Verb, lack: Option<Lack>) {
    let scene = crate::common::or_skip!(Scene::new(tree, fs, verb));
    let mut count = Count::default();
    let mut failures = Failures::new(&scene.title());
    let mut last = None;
    for (at, call) in scene.calls.iter().enumerate().filter(|(_, call)| call.name != "exit_group") {
        let case = AssertUnwindSafe(|| kill_at(&scene, at, call, lack, &mut last, &mut count));
        let what =
            format!("killed at {} #{}, {}; CRASH_SEED={}", call.name, call.nth, call.line, seed());
        failures.catch(&what, case);
    }
    let lacks = lack.map_or("nothing".to_owned(), |lack| format!("{lack:?}"));
    tally::add(
        "Killed at every system call; each state that this left was finished (killed once more at a random call) and undone",
        &[
            ("file system", &fs.name()),
            ("tree", &tree.case.name),
            ("command", &verb.name()),
            ("kernel lacks", &lacks),
            ("calls = kills", &count.kills),
            ("different states", &count.states),
            ("killed again", &count.again),
            ("undone", &count.undone),
        ],
    );
    failures.end();
}

fn kill_at(
    scene: &Scene,
    at: usize,
    call: &Call,
    lack: Option<Lack>,
    last: &mut Option<Manifest>,
    count: &mut Count,
) {
    let (image, mounted) = scene.begin();
    let root = mounted.path();
    let ended = strace::run_with(Fault::Kill, call, arguments(scene.verb.name(), root, &[]));
    assert!(ended.was_killed(), "not killed, but ended with {}:\n{}", ended.code, ended.err());
    count.kills += 1;
    let half = Manifest::of(root);
    scene.assert_half_done(&half, root, lack);
    // Where nothing but memory has changed since the last call, a program that
    // begins anew cannot do anything else.
    if last.as_ref().is_some_and(|last| alike(last, &half)) {
        return;
    }
    *last = Some(half.clone());
    count.states += 1;
    sync(root);
    let copy = image.snapshot();
    count.again += usize::from(finish(scene, at, root, lack));
    let (_copy, mounted) = open(&copy).expect("a copy");
    undo(scene, mounted.path(), &half, &[]);
    count.undone += 1;
}

/// The same command again, killed at a random call, and then to its end.
fn finish(scene: &Scene, at: usize, root: &Path, lack: Option<Lack>) -> bool {
    let mut random = Random::new(&scene.title(), at);
    let call = &scene.calls[random.below(scene.calls.len())];
    let call = Call { nth: 1 + random.below(call.nth), ..call.clone() };
    let arguments = || arguments(scene.verb.name(), root, &[]);
    let ended = strace::run_with(Fault::Kill, &call, arguments());
    println!("then killed at {} #{}: {}", call.name, call.nth, ended.was_killed());
    if ended.was_killed() {
        scene.assert_half_done(&Manifest::of(root), root, lack);
        command::lustrate(arguments()).expect(0);
    } else {
        ended.clone().expect(0);
    }
    scene.assert_done(&Manifest::of(root), root);
    ended.was_killed()
}

/// The other command, from a state in which the first stopped, and may have noted lines
/// with these words.
pub fn undo(scene: &Scene, root: &Path, half: &Manifest, noted: &[&str]) {
    let verb = scene.verb.other();
    let ended = command::on(verb.name(), root);
    let now = Manifest::of(root);
    let committed = !in_progress(half) && half.get(b"nixos-root").is_some();
    match scene.verb {
        // Nothing has begun that could be undone.
        Verb::Run if *half == scene.before && !in_progress(half) => {
            assert!(matches!(ended.code, 0 | 3), "exit status {}:\n{}", ended.code, ended.err());
            assert_eq!(now, *half, "nothing to undo, and something was changed");
        }
        // A revert that is done is not undone by the next boot.
        Verb::Revert if committed => {
            ended.expect(0);
            scene.assert_done_but_for(&now, root, noted);
        }
        _ => {
            ended.expect(0);
            scene.assert_undone(half, &now);
        }
    }
}
