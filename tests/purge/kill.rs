//! Killed at its system calls, and repeated: at every instant an old root is
//! whole or none, and nothing else is touched.

use std::path::Path;

use crate::common::command::arguments;
use crate::common::compare::{Excuse, assert_none};
use crate::common::image::{Fs, Image};
use crate::common::manifest::{APPEND, IMMUTABLE, Manifest};
use crate::common::strace::{self, Call, Fault};
use crate::common::trees::{Built, Root};
use crate::common::{or_skip, require_root};
use crate::scene::{assert_only_gone, lustrated, old_roots, purge, stock};

const DATED: &str = "old-root-20240102T030405Z";

fn small(root: &Root<'_>) {
    stock(root, DATED, 1_704_164_645);
    for name in ["opt", "srv", "usr", "dev", "var", "root"] {
        root.remove(format!("old-root/{name}"));
    }
    root.link("old-root/link", "/etc");
    root.file("old-root/var/empty/file", "");
}

/// Kills a purge at one of `step` calls, then repeats it.
fn at_calls(fs: Fs, step: usize, seal: fn(&Root<'_>) -> Built, errors: &[&'static str]) {
    require_root!();
    or_skip!(strace::available());
    let (image, mounted) = or_skip!(lustrated(fs, |root| {
        small(root);
        seal(root)
    }));
    mounted.sync();
    mounted.unmount();
    let open = |image: &Image| {
        let copy = image.snapshot();
        let mounted = copy.mount().expect("what could be mounted once");
        (copy, mounted)
    };
    let (_copy, mounted) = open(&image);
    let whole = Manifest::of(mounted.path());
    let trace = strace::trace("all", arguments("purge", mounted.path(), &["--yes"]));
    trace.ended.clone().expect(0);
    let opens = format!("openat(AT_FDCWD, \"{}\"", mounted.path().display());
    let calls = trace.from(&opens).to_vec();
    assert!(calls.len() > 60, "{} calls", calls.len());
    assert_only_gone(&whole, &Manifest::of(mounted.path()), &[DATED, "old-root"]);
    drop(mounted);
    let changing = ["renameat2", "unlinkat", "ioctl", "syncfs"];
    let (mut killed, mut at) = (0, 0);
    for call in &calls {
        // The few that change something all, of the rest a sample.
        at += usize::from(!changing.contains(&call.name.as_str()));
        if !changing.contains(&call.name.as_str()) && at % step != 0 {
            continue;
        }
        let faults = errors.iter().map(|error| Fault::Fail(error)).chain([Fault::Kill]);
        for fault in faults {
            let (_copy, mounted) = open(&image);
            killed += usize::from(disturbed(fault, call, mounted.path(), &whole));
        }
    }
    println!("killed {killed} of {} calls on {}", calls.len(), fs.name());
    assert!(killed > 20);
}

fn disturbed(fault: Fault, call: &Call, root: &Path, whole: &Manifest) -> bool {
    let ended = strace::run_with(fault, call, arguments("purge", root, &["--yes"]));
    let half = Manifest::of(root);
    // I: whole, under its name, or none.
    for name in [DATED, "old-root"] {
        if half.get(name.as_bytes()).is_some() {
            let (a, b) = (whole.subtree(name.as_bytes()), half.subtree(name.as_bytes()));
            assert_none(&format!("{name} at {}", call.line), &a.diff(&b, &Excuse::none()));
        }
    }
    let left = old_roots(root);
    let known = |n: &&String| *n == DATED || *n == "old-root" || n.starts_with("old-root.purge-2");
    assert!(left.iter().all(|n| known(&n)), "{left:?}");
    let rest = |manifest: &Manifest| {
        let mut rest = manifest.without(b"etc/NIXOS_LUSTRATE.flags");
        rest = rest.without(b"etc/NIXOS_LUSTRATE.flags.part");
        for name in old_roots_in(manifest) {
            rest = rest.without(name.as_bytes());
        }
        // Links to what goes are fewer, and an immutable root is not, meanwhile.
        rest.nodes.values_mut().for_each(|node| node.links = 0);
        rest
    };
    let excuse = Excuse::none().touched(b"").touched(b"etc").cleared_flags();
    assert_none(&call.line, &rest(whole).diff(&rest(&half), &excuse));
    if ended.code == 3 {
        assert_none(&call.line, &whole.diff(&half, &Excuse::none()));
    }
    // The same again, whatever it was.
    purge(root, &["--yes"]).expect(0);
    assert_gone(whole, &Manifest::of(root));
    ended.was_killed()
}

fn old_roots_in(manifest: &Manifest) -> Vec<String> {
    let names = manifest.children(b"").into_iter().map(|n| String::from_utf8_lossy(n).into_owned());
    names.filter(|name| name.starts_with("old-root")).collect()
}

/// As [`assert_only_gone`]; `etc` may have held a note meanwhile.
#[track_caller]
fn assert_gone(whole: &Manifest, after: &Manifest) {
    let mut after = after.clone();
    if let (Some(then), Some(now)) = (whole.get(b"etc"), after.nodes.get_mut(&b"etc"[..])) {
        (now.mtime, now.size) = (then.mtime, then.size);
    }
    assert_only_gone(whole, &after, &[DATED, "old-root"]);
}

#[test]
fn a_killed_purge_can_be_repeated_on_ext4() {
    at_calls(
        Fs::Ext4,
        7,
        |root| {
            root.flags("old-root/var/empty/file", IMMUTABLE)?;
            root.flags("old-root/var/empty", IMMUTABLE)
        },
        &["EIO"],
    );
}

#[test]
fn a_killed_purge_can_be_repeated_on_xfs() {
    at_calls(Fs::Xfs, 23, |_| Ok(()), &[]);
}

#[test]
fn a_killed_purge_can_be_repeated_on_btrfs() {
    at_calls(
        Fs::Btrfs,
        11,
        |root| {
            root.subvolume("old-root/sv");
            root.subvolume("old-root/sv/inner");
            root.file("old-root/sv/inner/file", "");
            root.make_subvolume_read_only("old-root/sv/inner");
            root.make_subvolume_read_only("old-root/sv");
            Ok(())
        },
        &["EIO"],
    );
}

#[test]
fn a_killed_purge_in_an_immutable_root_can_be_repeated() {
    at_calls(Fs::Ext4, 11, |root| root.flags("", IMMUTABLE | APPEND), &[]);
}
