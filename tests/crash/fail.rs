//! Fail every system call with each errno that it can return, once and from
//! there on for good. Whatever comes of it, the exit status says it, the
//! message names the operation and the path, and once the fault is gone the
//! command can be finished and undone.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use crate::common::command::{self, Ended, arguments};
use crate::common::image::{Fs, Image, Mounted};
use crate::common::manifest::Manifest;
use crate::common::population::{assert_nothing_lost, assert_protected};
use crate::common::strace::{self, Call, Fault};
use crate::common::text::says;
use crate::errnos;
use crate::failures::Failures;
use crate::kill;
use crate::outcome::alike;
use crate::scene::{Scene, Verb, open, sync};
use crate::state::in_progress;
use crate::tally;
use crate::trees::Crash;

/// Fails every call of a command.
pub fn at_every_call(tree: &'static Crash, verb: Verb) {
    let scene = crate::common::or_skip!(Scene::new(tree, Fs::Ext4, verb));
    let mut failures = Failures::new(&format!("failed {}", scene.title()));
    let mut lab = Lab { scene: &scene, fresh: None, known: Vec::new(), ended: BTreeMap::new() };
    let (mut calls, mut faults) = (0, 0);
    for call in &scene.calls {
        let errnos = errnos::of(call);
        calls += usize::from(!errnos.is_empty());
        for errno in errnos {
            for fault in faults_with(errno) {
                faults += 1;
                let what = format!("{fault:?} at {} #{}, {}", call.name, call.nth, call.line);
                failures.catch(&what, AssertUnwindSafe(|| lab.fail(call, fault)));
            }
        }
    }
    let ended = |code| lab.ended.get(&code).copied().unwrap_or(0);
    tally::add(
        "Each system call failed with each errno that it can return, once and from there on for good",
        &[
            ("tree", &tree.case.name),
            ("command", &verb.name()),
            ("calls", &calls),
            ("faults", &faults),
            ("exit 0, as if undisturbed", &ended(0)),
            ("exit 1, part-way", &ended(1)),
            ("exit 3, untouched", &ended(3)),
            ("states finished and undone", &lab.known.len()),
        ],
    );
    failures.end();
}

fn for_good(fault: Fault) -> bool {
    matches!(fault, Fault::FailForGood(_))
}

/// Whether a call has to do something that must not be left out.
fn changes_the_disk(call: &Call, errno: &str) -> bool {
    match call.name.as_str() {
        "fsync" | "syncfs" | "mkdirat" | "unlinkat" | "symlinkat" | "fchown" | "fchownat"
        | "fchmod" | "utimensat" => true,
        // To the disk, not to stderr; an interrupted one is repeated.
        "write" => !call.line.starts_with("write(2") && errno != "EINTR",
        // There is another way where the flags are not known, and where nothing can be
        // moved into an `etc`: the marker is made in it.
        "renameat2" => match errno {
            "EINVAL" | "ENOSYS" => false,
            // A marker and a home are then made where they are needed.
            "EXDEV" => {
                !call.line.contains("NIXOS_LUSTRATE") && !call.line.contains("nixos-root.tmp")
            }
            _ => true,
        },
        _ => false,
    }
}

/// A call that is interrupted for ever is no fault, but a hang; and where every
/// directory is a link, there is no tree.
fn faults_with(errno: &'static str) -> Vec<Fault> {
    match errno {
        "EINTR" | "ELOOP" => vec![Fault::Fail(errno)],
        errno => vec![Fault::Fail(errno), Fault::FailForGood(errno)],
    }
}

struct Lab<'a> {
    scene: &'a Scene,
    /// A mounted copy that no command has changed.
    fresh: Option<(Image, Mounted)>,
    /// States that have been finished and undone.
    known: Vec<Manifest>,
    ended: BTreeMap<i32, usize>,
}

impl Lab<'_> {
    fn fail(&mut self, call: &Call, fault: Fault) {
        let (image, mounted) = self.fresh.take().unwrap_or_else(|| self.scene.begin());
        let root = mounted.path();
        let ended = strace::run_with(fault, call, arguments(self.scene.verb.name(), root, &[]));
        *self.ended.entry(ended.code).or_default() += 1;
        let now = Manifest::of(root);
        if call.name == "openat2" && fault == Fault::Fail("ELOOP") {
            // As if somebody had put a link there for a moment: no tree that could
            // be finished, but nothing is lost. The tampered trees have real links.
            assert!(matches!(ended.code, 0 | 1 | 3), "exit status {}: {}", ended.code, ended.err());
            assert_nothing_lost(&self.scene.held(), &now, &self.scene.half_done());
            assert_protected(&self.scene.before, &now, self.scene.tree.protected);
            return;
        }
        let same = now == self.scene.before;
        self.judge(call, fault, &ended, &now, root);
        if same {
            self.fresh = Some((image, mounted));
        } else if ended.code != 0 && !self.known.iter().any(|known| alike(known, &now)) {
            sync(root);
            let copy = image.snapshot();
            command::on(self.scene.verb.name(), root).expect(0);
            // What was noted before it stopped is in the record.
            let noted = ["has\\x20new\\x20times"];
            self.scene.assert_done_but_for(&Manifest::of(root), root, &noted);
            // A refusal has taken everything away but new times: there is nothing to undo.
            if in_progress(&now) || self.scene.verb == Verb::Revert {
                let (_copy, mounted) = open(&copy).expect("a copy");
                kill::undo(self.scene, mounted.path(), &now, &noted);
            }
            self.known.push(now);
        }
    }

    fn judge(&self, call: &Call, fault: Fault, ended: &Ended, now: &Manifest, root: &Path) {
        let said = ended.err();
        assert!(!says(&said, "panicked"), "{said}");
        let errno = match fault {
            Fault::Fail(errno) | Fault::FailForGood(errno) => errno,
            Fault::Kill => unreachable!("no failure"),
        };
        let notes = match (ended.code, self.scene.verb) {
            (0, Verb::Revert) => self.scene.notes(root, &said),
            _ => Vec::new(),
        };
        // Where there was no space once, the reserve made some (I9).
        let spared = matches!(fault, Fault::Fail("ENOSPC" | "EDQUOT"));
        let open = says(&said, "stays open to users");
        let failed = changes_the_disk(call, errno) && notes.is_empty() && !spared && !open;
        let passed = ended.code == 0 && failed;
        assert!(!passed, "it failed, and nobody was told");
        match ended.code {
            // Said, and in the record. One call asks for a length only, or may be
            // answered by another: then nothing is missing.
            0 if call.name.ends_with("xattr") && says(&said, "the attribute ") => {
                assert!(says(&said, " could not be set on "), "{said}");
                self.scene.assert_done_but_for(
                    now,
                    root,
                    &["user.origin", "the\\x20attribute\\x20*"],
                );
            }
            // `differences` lets its mode differ; the record has the note.
            0 if open => {
                let texts = [": mode \"", "stays\\x20open\\x20to\\x20users"];
                self.scene.assert_done_but_for(now, root, &texts);
            }
            // What cannot go to its place stays in the other home, and the rest goes on (I4).
            0 if !notes.is_empty() => {
                assert!(says(&said, &notes[0]), "a note that nobody was told: {notes:?}: {said}");
                assert_nothing_lost(&self.scene.held(), now, &self.scene.half_done());
                assert_protected(&self.scene.before, now, self.scene.tree.protected);
                self.scene.assert_done_but_for_noted(now, root, &notes);
            }
            // The marker that asked stays in the old `etc`, with a name of its own.
            0 if errno == "EXDEV" => {
                let saved = [
                    "etc/NIXOS_LUSTRATE.saved: new",
                    "nixos-root/.lustrate/marker: gone",
                    "/.lustrate/draft",
                ];
                self.scene.assert_done_but_for(now, root, &saved);
            }
            0 => self.scene.assert_done(now, root),
            1 => {
                // A revert begins with directories and files that may all be there.
                assert!(
                    *now != self.scene.before || self.scene.verb == Verb::Revert,
                    "stopped part-way, and nothing was touched: {said}"
                );
                self.scene.assert_half_done(now, root, None);
            }
            3 => {
                // What the old root holds in reserve may be another part of it.
                let ours = |m: &Manifest| m.without(b"old-root/.lustrate");
                assert!(
                    ours(now) == ours(&self.scene.before),
                    "refused, and something was touched: {said}"
                );
            }
            code => panic!("exit status {code}: {said}"),
        }
        let names = says(&said, "Failed to ") && says(&said, "'/");
        let mute = call.name == "write" && (call.line.starts_with("write(2") || for_good(fault));
        let locked = call.name == "flock" && says(&said, "another nixos-lustrate is at work");
        let told = ended.code == 0 || names || mute || locked;
        assert!(told, "neither the operation nor the path is named: {said}");
    }
}
