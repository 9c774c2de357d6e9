//! Runs the program on a hostile root and judges what it has done.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::build::Scene;
use crate::common::command::{Ended, binary, run_limited};
use crate::common::compare::Excuse;
use crate::common::manifest::{Kind, Manifest};
use crate::common::population::{
    assert_nothing_lost, assert_protected, assert_same_population, assert_untouched,
};
use crate::common::skip;
use crate::strategy::Case;

/// Address space: far below what reading a keep-list of 1 MiB into paths or a
/// loop of links could take without a limit.
const MEMORY: &str = "--as=134217728";
const LIMIT: Duration = Duration::from_secs(30);
const PROTECTED: &[&[u8]] = &[b"nix", b"boot"];
const STAGING: &[&[u8]] = &[b"old-root.tmp", b"nixos-root.tmp"];

/// How a case came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Reverted,
    NothingToDo,
    Refused,
    Stopped,
    Skipped,
}

/// How many cases came out how.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<End, u32>);

impl Tally {
    pub fn of(&self, end: End) -> u32 {
        self.0.get(&end).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (End::Reverted, "lustrated and reverted"),
            (End::Refused, "refused"),
            (End::Stopped, "stopped part-way"),
            (End::NothingToDo, "with nothing to do"),
            (End::Skipped, "skipped"),
        ];
        let shown = all.map(|(end, words)| format!("{} {words}", self.of(end)));
        f.write_str(&shown.join(", "))
    }
}

/// Panics unless the program did no harm in this case.
pub fn check(case: &Case, tally: &mut Tally) {
    let end = match Scene::of(case) {
        Ok(scene) => judge(case, &scene),
        Err(why) => {
            skip::say(&why);
            End::Skipped
        }
    };
    *tally.0.entry(end).or_default() += 1;
}

fn judge(case: &Case, scene: &Scene) -> End {
    let outside = Outside::of(scene);
    let before = Manifest::of(&scene.root);
    let options = options(case, scene);
    let go = |verb: &str, more: &[OsString]| {
        let ended = limited(verb, &scene.root, more);
        let after = Manifest::of(&scene.root);
        outside.assert_untouched(scene);
        assert_protected(&before, &after, PROTECTED);
        (ended.code, after)
    };
    for verb in ["plan", "status"] {
        let more = if verb == "plan" { &options[..] } else { &[] };
        assert_untouched(&before, &go(verb, more).1);
    }
    let (code, after) = go("run", &options);
    let revert = || go("revert", &["--keep-boot".into()]);
    match code {
        2 | 3 => {
            assert_untouched(&before, &after);
            End::Refused
        }
        0 if before == after => End::NothingToDo,
        0 => {
            assert_kept(&before, &after);
            assert_untouched(&after, &go("status", &[]).1);
            let (code, reverted) = revert();
            // A second nix or boot in what a stock lustration left: it has no
            // place to go back to, and the revert says so.
            let second = [&b"old-root.tmp/nix"[..], b"old-root.tmp/boot"];
            if second.iter().all(|path| before.get(path).is_none()) {
                assert_eq!(code, 0, "a revert after a run that ended well");
            }
            if STAGING.iter().all(|name| before.get(name).is_none()) {
                let paths: Vec<_> = before.nodes.keys().map(Vec::as_slice).collect();
                assert_same_population(&before, &reverted, &paths);
            } else {
                assert_kept(&before, &reverted);
            }
            End::Reverted
        }
        _ => {
            assert_kept(&before, &after);
            assert_kept(&before, &revert().1);
            End::Stopped
        }
    }
}

/// I1, wherever everything is now. Directories have new times where something
/// left or came.
fn assert_kept(before: &Manifest, now: &Manifest) {
    let mut before = before.clone();
    for staging in STAGING {
        before.nodes.remove(*staging);
    }
    let directories = before.nodes.iter().filter(|(_, n)| n.kind == Kind::Directory);
    let excuse = directories.fold(Excuse::none(), |e, (path, _)| e.touched(path));
    assert_nothing_lost(&before, now, &excuse.cleared_flags());
}

fn options(case: &Case, scene: &Scene) -> Vec<OsString> {
    let line = scene.list.split(|b| *b == b'\n').next().unwrap_or_default();
    if !case.option || line.contains(&0) {
        return Vec::new();
    }
    let mut option = OsString::from("--keep=");
    option.push(OsStr::from_bytes(line));
    vec![option]
}

/// Runs the program with little memory; it must end, in time, as one of its
/// exit statuses says.
fn limited(verb: &str, root: &Path, more: &[OsString]) -> Ended {
    let mut command = Command::new("prlimit");
    command.arg(MEMORY).arg("--core=0").arg(binary());
    command.arg(verb).arg("--root").arg(root).args(more);
    let ended =
        run_limited(command.env("NO_COLOR", "1").env("LC_ALL", "C").current_dir("/"), LIMIT);
    let said = ended.err();
    assert!(matches!(ended.code, 0..=3), "{verb}: exit status {}: {said}", ended.code);
    assert!(!said.contains("panicked"), "{verb}: {said}");
    if ended.code == 1 {
        eprintln!("{verb} stopped: {said}");
    }
    ended
}

/// What is not the program's to change.
struct Outside {
    canary: Manifest,
    neighbour: Option<Manifest>,
}

impl Outside {
    fn of(scene: &Scene) -> Self {
        let neighbour = scene.neighbour.as_ref().map(Manifest::of);
        Self { canary: Manifest::of(scene.canary.path()), neighbour }
    }

    fn assert_untouched(&self, scene: &Scene) {
        let now = Self::of(scene);
        assert_untouched(&self.canary, &now.canary);
        if let (Some(before), Some(now)) = (&self.neighbour, &now.neighbour) {
            assert_untouched(before, now);
        }
    }
}
