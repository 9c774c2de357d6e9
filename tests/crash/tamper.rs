//! A staging directory that somebody has tampered with: the program refuses or
//! goes on, but loses nothing (I1), changes nothing that is protected (I2), and
//! never follows a link to the outside: a canary on the same file system and
//! one on another stay as they are.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use crate::common::command::{self, Ended, arguments};
use crate::common::compare::{Excuse, assert_none};
use crate::common::image::{Fs, Image, Mounted};
use crate::common::isolation;
use crate::common::manifest::Manifest;
use crate::common::population::assert_protected;
use crate::common::skip::Skipped;
use crate::common::strace::{self, Call, Fault};
use crate::common::text::says;
use crate::common::trees::Root;
use crate::failures::Failures;
use crate::scene::{Verb, open, sync, what_nixos_writes};
use crate::state::lost_inodes;
use crate::tally;
use crate::trees::Crash;

mod files;
mod intent;

/// A half-done root in a directory of a file system, with canaries around it.
pub struct Site {
    pub root: PathBuf,
    /// On the same file system.
    pub near: PathBuf,
    /// On another.
    pub far: PathBuf,
}

impl Site {
    /// The staging directory of an exchange in progress.
    pub fn staging(&self) -> PathBuf {
        self.root.join("old-root.tmp")
    }

    /// Our own directory in it.
    pub fn meta(&self) -> PathBuf {
        self.staging().join(".lustrate")
    }

    /// Where the new population is.
    pub fn incoming(&self) -> PathBuf {
        let leaving = self.root.join("nixos-root.tmp");
        if leaving.is_dir() { leaving } else { self.meta().join("new") }
    }
}

/// What has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// Where there is an intent to tamper with, nothing is done.
    Refuse,
    /// The same, where the marker in etc says that an exchange is in progress.
    RefuseOnceArmed,
    /// Either that, or it goes on, or stops.
    BeSafe,
}

/// What somebody does to it, and what that is called.
pub struct Tampering {
    pub name: String,
    pub must: Must,
    pub act: Box<dyn Fn(&Site)>,
}

/// An image with the beginning of a command, and the calls where it is killed.
struct Bench {
    start: Image,
    verb: Verb,
    kills: Vec<Call>,
}

fn site(mounted: &Mounted) -> Site {
    let far = isolation::new_directory();
    let (root, near) = (mounted.path().join("root"), mounted.path().join("near"));
    for canary in [&near, &far] {
        std::fs::create_dir_all(canary.join("etc")).expect("a canary");
        std::fs::write(canary.join("etc/NIXOS_LUSTRATE"), "canary").expect("a canary");
        std::fs::write(canary.join("file"), "canary").expect("a canary");
    }
    Site { root, near, far }
}

impl Bench {
    fn new(tree: &Crash, verb: Verb) -> Result<Self, Skipped> {
        strace::available()?;
        let start = Image::new(Fs::Ext4)?;
        let mounted = start.mount()?;
        let root = mounted.path().join("root");
        std::fs::create_dir(&root).expect("a root");
        tree.case.build_in(&root, Fs::Ext4)?;
        if verb == Verb::Revert {
            command::on("run", &root).expect(0);
            what_nixos_writes(&Root { path: &root, fs: Fs::Ext4 });
        }
        mounted.sync();
        mounted.unmount();
        let (_image, mounted) = open(&start)?;
        let root = mounted.path().join("root");
        let trace = strace::trace("renameat2", arguments(verb.name(), &root, &[]));
        trace.ended.clone().expect(0);
        // After the intent is there, in the middle, and before the last but one:
        // the exchange of etc, or the first step of closing.
        let staged = trace.calls.iter().position(|call| call.line.contains("\"new\"")).unwrap_or(0);
        let last = trace.calls.iter().rposition(|call| call.line.contains("\".lustrate\""));
        let last = last.unwrap_or(trace.calls.len() - 2);
        let kills = [staged + 1, usize::midpoint(staged, last), last];
        Ok(Self { start, verb, kills: kills.map(|at| trace.calls[at].clone()).to_vec() })
    }

    /// The state that a kill left, tampered with; then a command, and the other.
    fn try_out(&self, kill: &Call, tampering: &Tampering, verb: Verb) -> i32 {
        let (_image, mounted) = open(&self.start).expect("a copy");
        let site = site(&mounted);
        let killed =
            strace::run_with(Fault::Kill, kill, arguments(self.verb.name(), &site.root, &[]));
        assert!(killed.was_killed(), "not killed: {}", killed.err());
        let intent = site.meta().join("intent").exists();
        let marker = std::fs::read_to_string(site.root.join("etc/NIXOS_LUSTRATE"));
        let armed = marker.is_ok_and(|text| text.starts_with("# nixos-lustrate: "));
        (tampering.act)(&site);
        sync(&site.root);
        let before = View::of(&site);
        let ended = command::on(verb.name(), &site.root);
        let after = View::of(&site);
        before.judge(&after, &ended);
        let same = ended.code != 1 && before.root == after.root;
        let idle = match tampering.must {
            Must::Refuse => same || !intent,
            Must::RefuseOnceArmed => same || !armed,
            Must::BeSafe => true,
        };
        assert!(idle, "not refused, but {}: {}", ended.code, ended.err());
        if ended.code == 1 {
            let other = command::on(verb.other().name(), &site.root);
            after.judge(&View::of(&site), &other);
        }
        ended.code
    }
}

struct View {
    root: Manifest,
    near: Manifest,
    far: Manifest,
}

impl View {
    fn of(site: &Site) -> Self {
        let [root, near, far] = [&site.root, &site.near, &site.far].map(Manifest::of);
        Self { root, near, far }
    }

    fn judge(&self, after: &Self, ended: &Ended) {
        let said = ended.err();
        assert!(matches!(ended.code, 0 | 1 | 3), "exit status {}: {said}", ended.code);
        assert!(!says(&said, "panicked"), "{said}");
        for (before, after) in [(&self.near, &after.near), (&self.far, &after.far)] {
            assert_none("a canary was touched", &before.diff(after, &Excuse::none()));
        }
        if ended.code == 3 {
            assert_none("refused, but touched", &self.root.diff(&after.root, &Excuse::none()));
            return;
        }
        assert_protected(&self.root, &after.root, &[b"nix", b"boot"]);
        assert_none(
            &format!("lost, with exit status {}: {said}", ended.code),
            &lost_inodes(&self.root, &after.root),
        );
    }
}

/// Every tampering, at each of the kills.
pub fn with_the_staging_directory(tree: &'static Crash, verb: Verb) {
    let bench = crate::common::or_skip!(Bench::new(tree, verb));
    let mut failures = Failures::new(&format!("{} tampered with", verb.name()));
    let (mut cases, mut ended) = (0, [0; 4]);
    for (at, kill) in bench.kills.iter().enumerate() {
        let mut all = files::all();
        if at == 1 {
            all.extend(intent::all());
        }
        for tampering in &all {
            for command in [verb, verb.other()] {
                cases += 1;
                let what =
                    format!("killed at {}; {}; then {}", kill.line, tampering.name, command.name());
                failures.catch(
                    &what,
                    AssertUnwindSafe(|| {
                        let code = bench.try_out(kill, tampering, command);
                        ended[usize::try_from(code).expect("a status")] += 1;
                    }),
                );
            }
        }
    }
    tally::add(
        "Staging directories tampered with, of commands killed at three places",
        &[
            ("killed command", &verb.name()),
            ("cases", &cases),
            ("exit 0", &ended[0]),
            ("exit 1", &ended[1]),
            ("exit 3, untouched", &ended[3]),
        ],
    );
    failures.end();
}
