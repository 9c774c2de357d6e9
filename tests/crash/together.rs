//! Two at once: a second exchange is refused while the first is at work; and
//! with somebody who creates, renames and removes entries of the root as fast
//! as possible, nothing is lost, and it can be finished afterwards.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::command::{self, arguments, binary};
use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::population::assert_protected;
use crate::common::sys;
use crate::common::text::says;
use crate::random::Random;
use crate::scene::{Scene, Verb};
use crate::state::{in_progress, lost_inodes};
use crate::tally;
use crate::trees::Crash;

const REFUSAL: &str = "another nixos-lustrate is at work on ";

/// The program, made to wait before each rename.
fn slowly(verb: Verb, root: &Path, delay: Duration) -> Child {
    let inject = format!("inject=renameat2:delay_enter={}", delay.as_micros());
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", &inject, "--"]);
    strace.arg(binary()).args(arguments(verb.name(), root, &[])).env("LC_ALL", "C");
    strace.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    strace.spawn().expect("strace")
}

/// Each command against each: the second is refused, the first unimpressed.
pub fn second_is_refused(tree: &'static Crash) {
    for (first, second) in [
        (Verb::Run, Verb::Run),
        (Verb::Run, Verb::Revert),
        (Verb::Revert, Verb::Revert),
        (Verb::Revert, Verb::Run),
    ] {
        let scene = crate::common::or_skip!(Scene::new(tree, Fs::Ext4, first));
        let (_image, mounted) = scene.begin();
        let root = mounted.path();
        let mut slow = slowly(first, root, Duration::from_millis(60));
        let begun = || root.join("old-root.tmp").exists();
        let limit = Instant::now() + Duration::from_secs(20);
        while !begun() {
            assert!(Instant::now() < limit, "it never began");
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut refused = 0;
        while slow.try_wait().expect("a child").is_none() {
            let other = command::on(second.name(), root);
            // The first may end at this moment.
            if other.code == 3 {
                refused += 1;
                let other =
                    other.says(&[REFUSAL, "Wait until it has ended", "Nothing was touched"]);
                assert!(!says(&other.err(), "Going on"));
            } else {
                assert!(slow.wait().expect("a child").success(), "not refused: {}", other.err());
            }
            command::on("status", root).expect(0);
        }
        assert!(slow.wait().expect("a child").success(), "the first did not end well");
        assert!(refused > 0, "the first was done before the second began");
        let now = Manifest::of(root);
        // A run on a reverted root has nothing to do, nor a run after a run.
        if second == Verb::Run || first == Verb::Revert {
            scene.assert_done(&now, root);
        }
        tally::add(
            "Two at once",
            &[
                ("first", &first.name()),
                ("then", &second.name()),
                ("tries", &refused),
                ("outcome", &"refused with 3; the first ends with 0"),
            ],
        );
    }
}

/// Many at the same moment: one does it, the others are refused or come late.
pub fn of_many_one_does_it(tree: &'static Crash, rounds: usize) {
    let scene = crate::common::or_skip!(Scene::new(tree, Fs::Ext4, Verb::Run));
    for _ in 0..rounds {
        let (_image, mounted) = scene.begin();
        let root = mounted.path();
        let codes: Vec<i32> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| command::on("run", root))).collect();
            threads.into_iter().map(|t| t.join().expect("a thread").code).collect()
        });
        assert!(codes.contains(&0) && codes.iter().all(|code| matches!(code, 0 | 3)), "{codes:?}");
        scene.assert_done(&Manifest::of(root), root);
    }
    tally::add(
        "Two at once",
        &[
            ("first", &"run"),
            ("then", &"three more at the same moment"),
            ("tries", &rounds),
            ("outcome", &"one does it, the others end with 0 or 3"),
        ],
    );
}

/// Somebody at work on the root: files and directories come, change their
/// names, and go; entries of the old population are renamed there and back.
struct Churn<'a> {
    root: &'a Path,
    random: Random,
    next: usize,
    /// What it has made and does not remove, wherever that is by now.
    kept: Vec<(PathBuf, u64)>,
}

/// A small file system has room for so many.
const MOST: usize = 300;

impl Churn<'_> {
    fn step(&mut self) {
        let name = |n: usize| self.root.join(format!("churn-{n}"));
        let (from, to) = (name(self.next), name(self.next + 1));
        self.next += 2;
        match self.random.below(5) {
            0 if self.kept.len() < MOST => {
                let _ = fs::create_dir(&from);
                self.keep(from);
            }
            1 if self.kept.len() < MOST => {
                let _ = fs::write(&from, "churn");
                self.keep(from);
            }
            2 => {
                if let Some((path, inode)) = self.kept.pop() {
                    // The old root may have it by now.
                    let moved = fs::rename(&path, &to).is_ok();
                    self.kept.push((if moved { to } else { path }, inode));
                }
            }
            3 => {
                // Never over another: an entry may have come in by then.
                let entry = self.root.join(["usr", "locked", "bin", "var"][self.random.below(4)]);
                let aside = self.root.join("churn-aside");
                if !aside.exists() && fs::rename(&entry, &aside).is_ok() {
                    let _ = sys::rename_to_nothing(&aside, &entry);
                }
            }
            _ => {
                let _ = fs::write(&from, "churn");
                let _ = fs::rename(&from, &to);
                let _ = fs::remove_file(&to);
            }
        }
    }

    fn keep(&mut self, path: PathBuf) {
        // It may be in the old root already, and then is checked by nobody.
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            self.kept.push((path, metadata.ino()));
        }
    }
}

/// An exchange while somebody changes the entries of the root.
pub fn with_somebody_at_work(tree: &'static Crash, verb: Verb, rounds: usize) {
    let scene = crate::common::or_skip!(Scene::new(tree, Fs::Ext4, verb));
    let (mut ended, mut steps) = ([0; 4], 0);
    for round in 0..rounds {
        let (_image, mounted) = scene.begin();
        let root = mounted.path();
        let stop = AtomicBool::new(false);
        let random = Random::new("somebody", round);
        let mut churn = Churn { root, random, next: 0, kept: Vec::new() };
        let delay = Duration::from_micros(300 * u64::try_from(round % 4).expect("small"));
        let output = std::thread::scope(|scope| {
            let at_work = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    churn.step();
                }
            });
            let output = slowly(verb, root, delay).wait_with_output().expect("its end");
            stop.store(true, Ordering::Relaxed);
            at_work.join().expect("somebody at work");
            output
        });
        steps += churn.next / 2;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().expect("a status");
        assert!(matches!(code, 0 | 1 | 3), "exit status {code}: {said}");
        assert!(code == 0 || said.contains('\''), "no path is named: {said}");
        ended[usize::try_from(code).expect("a status")] += 1;
        let now = Manifest::of(root);
        let what = format!("round {round}, exit status {code}: {said}");
        assert_protected(&scene.before, &now, tree.protected);
        assert_eq!(lost_inodes(&scene.held(), &now), Vec::<String>::new(), "{what}");
        let there = |inode: u64| now.nodes.values().any(|node| node.id.inode == inode);
        let gone = churn.kept.iter().filter(|(_, inode)| !there(*inode)).count();
        assert_eq!(gone, 0, "files of the other are lost: {what}");
        // Alone again: it goes on, or says which file is in the way.
        let again = command::on(verb.name(), root);
        let after = Manifest::of(root);
        assert_eq!(lost_inodes(&now, &after), Vec::<String>::new(), "{what}\n{}", again.err());
        let in_the_way = again.code == 1 && says(&again.err(), "a file of that name is there");
        assert!(again.code == 0 || in_the_way, "{what}\nthen {}: {}", again.code, again.err());
        assert!(in_the_way || !in_progress(&after), "{what}\nstill in progress: {}", again.err());
    }
    tally::add(
        "A command while somebody creates, renames and removes entries of the root",
        &[
            ("command", &verb.name()),
            ("rounds", &rounds),
            ("changes by the other", &steps),
            ("exit 0", &ended[0]),
            ("exit 1", &ended[1]),
            ("exit 3", &ended[3]),
        ],
    );
}
