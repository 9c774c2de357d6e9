//! `prepare` and `cancel` killed before each system call that changes something;
//! then, from the same state, prepared to the end and cancelled. At each of these
//! instants, also in what a power cut would leave, P1 holds.
//!
//! Every fifth of these calls, or every N-th with `PREPARE_KILLS=N`; 1 is all.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::common::command::{arguments, lustrate};
use crate::common::compare::Excuse;
use crate::common::manifest::Manifest;
use crate::common::skip::Skipped;
use crate::common::text::says;
use crate::common::{or_skip, require_root, strace};
use crate::machine::{Boot, GRUB, Machine, assert_same};
use crate::trace::{Call, changes, kill_at};

fn every() -> usize {
    let given = std::env::var("PREPARE_KILLS").ok();
    given.map_or(5, |text| text.parse().expect("PREPARE_KILLS is a number above 0"))
}

struct Scene {
    start: Machine,
    before: Vec<(String, Manifest)>,
    /// `/boot` after an undisturbed command.
    done: Manifest,
    calls: Vec<Call>,
    despite: Vec<String>,
    verb: &'static str,
    old_boot: Manifest,
}

fn words(scene: &Scene, verb: &str, root: &Path) -> Vec<OsString> {
    let mut list = arguments(verb, root, &["--yes"]);
    if verb == "prepare" {
        list.extend(scene.despite.iter().map(OsString::from));
        list.extend(["--keep", "etc/resolv.conf"].map(OsString::from));
    }
    list
}

impl Scene {
    fn new(verb: &'static str, boot: Boot) -> Result<Self, Skipped> {
        strace::available()?;
        let machine = Machine::new(boot, GRUB)?;
        machine.tree().own("nix/store", 1000, 100);
        machine.tree().file("etc/NIXOS_LUSTRATE", "home\n");
        let before = machine.manifest();
        let despite = machine.despite();
        let old_boot = Manifest::of(machine.at("boot"));
        let mut scene = Self {
            start: machine.snapshot(),
            before,
            done: Manifest::default(),
            calls: Vec::new(),
            despite,
            verb,
            old_boot,
        };
        if verb == "cancel" {
            lustrate(words(&scene, "prepare", machine.path())).expect(0);
        }
        machine.sync();
        scene.start = machine.snapshot();
        let machine = scene.start.snapshot();
        let log = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("trace-{}-{verb}-{boot:?}", std::process::id()));
        let (calls, ended) = changes(&log, &words(&scene, verb, machine.path()));
        let _ = fs::remove_file(&log);
        ended.expect(0);
        scene.done = Manifest::of(machine.at("boot"));
        let first =
            calls.iter().position(|c| c.line.contains("nixos-lustrate") || c.line.contains("lock"));
        scene.calls = calls.split_at(first.expect("a change")).1.to_vec();
        Ok(scene)
    }
}

/// An entry of NixOS implies both marker files.
#[track_caller]
fn assert_p1(root: &Path) {
    let configuration = fs::read_to_string(root.join("boot/grub/grub.cfg")).unwrap_or_default();
    if configuration.contains("init=/nix/store/") {
        for marker in ["etc/NIXOS", "etc/NIXOS_LUSTRATE"] {
            assert!(root.join(marker).is_file(), "NixOS can be booted, and there is no {marker}");
        }
    }
    assert!(!root.join("P1-BROKEN").exists(), "the installer ran without the marker");
}

/// Waits until the installer of a `prepare` that was killed has ended.
fn settled(root: &Path) {
    let Ok(file) = fs::File::open(root.join("nix/var/nixos-lustrate/lock")) else { return };
    drop(Flock::lock(file, FlockArg::LockExclusive).expect("the lock"));
}

/// The boot loader is the old one or the new one, or it was announced that it may
/// be neither (P2).
#[track_caller]
fn assert_p2(scene: &Scene, root: &Path, said: &str) {
    let boot = Manifest::of(root.join("boot"));
    let content = |of: &Manifest, path: &[u8]| of.get(path).map(|n| (n.kind, n.content));
    let paths: [&[u8]; 4] =
        [b"grub/grub.cfg", b"vmlinuz-6.1", b"initrd.img-6.1", b"grub/i386-pc/normal.mod"];
    let is_old = paths.iter().all(|path| content(&boot, path) == content(&scene.old_boot, path));
    let new = &scene.done;
    let prepared: [&[u8]; 4] =
        [b"grub/grub.cfg", b"kernels/k-bzImage", b"kernels/i-initrd", b"grub/i386-pc/normal.mod"];
    let is_new = boot.get(b"kernels").is_some()
        && prepared.iter().all(|path| content(&boot, path) == content(new, path));
    if is_old || (scene.verb == "prepare" && is_new) {
        return;
    }
    if scene.verb == "cancel" && !says(said, "may not boot") {
        // Still the whole of the new one.
        return assert!(boot.get(b"kernels/i-initrd").is_some(), "not announced:\n{said}");
    }
    assert!(says(said, "may not boot"), "neither boots, and it was not announced:\n{said}");
    assert!(!says(said, "boots again."), "neither boots:\n{said}");
}

/// What prepare and cancel may leave behind where they were killed.
fn leftovers() -> Excuse {
    Excuse::none().below(b"nix/var/nixos-lustrate")
}

fn at_every_change(verb: &'static str, boot: Boot) {
    let scene = or_skip!(Scene::new(verb, boot));
    let (mut killed, offset) = (0, std::process::id() as usize % every());
    let calls = scene.calls.iter().skip(offset).step_by(every());
    for call in calls {
        let machine = scene.start.snapshot();
        let root = machine.path();
        let ended = kill_at(call, &words(&scene, verb, root));
        // The number of some calls depends on how fast the installer is.
        killed += usize::from(ended.was_killed());
        let what = format!("{verb} killed at {} #{}: {}", call.name, call.nth, call.line);
        println!("{what}");
        settled(root);
        assert_p1(root);
        assert_p2(&scene, root, &ended.out());
        // What a power cut leaves at this instant.
        let cut = machine.snapshot();
        assert_p1(cut.path());
        machine.sync();
        let copy = machine.snapshot();
        for machine in [&cut, &copy] {
            lustrate(words(&scene, "prepare", machine.path())).expect(0);
            assert_p1(machine.path());
            lustrate(words(&scene, "cancel", machine.path())).expect(0);
            assert_same(&scene.before, &machine.manifest(), &leftovers());
        }
        lustrate(words(&scene, "cancel", root)).expect(0);
        assert_same(&scene.before, &machine.manifest(), &leftovers());
        assert!(!root.join("nix/var/nixos-lustrate/state.json").exists());
    }
    println!("{killed} kills of {} calls", scene.calls.len());
    assert!(killed * every() > 30, "only {killed} kills");
}

#[test]
fn a_prepare_that_is_killed_goes_on_or_back() {
    require_root!();
    at_every_change("prepare", Boot::Directory);
}

#[test]
fn a_cancel_that_is_killed_goes_on_or_back() {
    require_root!();
    at_every_change("cancel", Boot::Directory);
}

#[test]
fn with_boot_on_another_disk_prepare_goes_on_or_back() {
    require_root!();
    at_every_change("prepare", Boot::Mount);
}

#[test]
fn with_boot_on_another_disk_cancel_goes_on_or_back() {
    require_root!();
    at_every_change("cancel", Boot::Mount);
}
