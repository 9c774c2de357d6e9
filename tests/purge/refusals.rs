//! Every reason to refuse: its text, exit status 3, and nothing touched.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use crate::common::command::{Ended, LIMIT, arguments, binary, on, run_limited};
use crate::common::image::{Fs, Options};
use crate::common::initrd::Initrd;
use crate::common::manifest::Manifest;
use crate::common::population::assert_untouched;
use crate::common::strace::{self, Call, Fault};
use crate::common::text::says;
use crate::common::trees::{self, Case, Root};
use crate::common::{isolation, or_skip, require_root};
use crate::scene::{lustrated, purge};

pub type Parts = [String; 3];

pub fn refusal(found: &str, consequence: &str, fix: &str) -> Parts {
    [found, consequence, fix].map(str::to_owned)
}

/// Panics unless stderr is these refusals and nothing else; `@` is the root.
#[track_caller]
pub fn assert_refused(ended: &Ended, root: &Path, refusals: &[Parts]) {
    let lines = refusals.iter().map(|parts| format!("refused: {}", parts.join(". ")));
    let want = lines.collect::<Vec<_>>().join(".\n") + ". Nothing was touched.\n";
    let want = want.replace('@', root.to_str().expect("a path in UTF-8"));
    assert_eq!((ended.code, ended.err()), (3, want), "{}", ended.out());
}

/// What a purge of such a root says; and it touches nothing.
#[track_caller]
fn refused(root: &Path, more: &[&str], refusals: &[Parts]) {
    let before = Manifest::of(root);
    assert_refused(&purge(root, more), root, refusals);
    assert_untouched(&before, &Manifest::of(root));
}

fn half_way() -> Parts {
    refusal(
        "@ is half-way through a lustration or a revert",
        "What it needs to go on, or to go back, would have been removed",
        "Finish it first; how, says nixos-lustrate status --root @",
    )
}

fn kill(verb: &str, root: &Path, name: &str, nth: usize) {
    let call = Call { name: name.into(), nth, line: String::new() };
    let ended = strace::run_with(Fault::Kill, &call, arguments(verb, root, &[]));
    assert!(ended.was_killed(), "{}", ended.err());
}

#[test]
fn an_exchange_in_progress_is_refused() {
    require_root!();
    or_skip!(strace::available());
    for verb in ["run", "revert"] {
        let (_image, mounted) = or_skip!(Case::TYPICAL.make(Fs::Tmpfs));
        let root = mounted.path();
        // Of an earlier one: it belongs to the one in progress, too.
        Root { path: root, fs: Fs::Tmpfs }.file("old-root-20240102T030405Z/file", "");
        if verb == "revert" {
            on("run", root).expect(0);
        }
        kill(verb, root, "renameat2", 8);
        for more in [&["--yes"][..], &["--dry-run"], &["--yes", "--keep", "9"]] {
            refused(root, more, &[half_way()]);
        }
    }
}

#[test]
fn an_interrupted_stock_lustration_is_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(trees::named("stock-stopped-after-etc").make(Fs::Tmpfs));
    refused(mounted.path(), &["--yes"], &[half_way()]);
}

#[test]
fn an_exchange_without_its_last_step_is_refused() {
    require_root!();
    or_skip!(strace::available());
    for (verb, what) in [("run", "lustration"), ("revert", "revert")] {
        let make = || {
            let (image, mounted) = Case::TYPICAL.make(Fs::Tmpfs)?;
            if verb == "revert" {
                on("run", mounted.path()).expect(0);
            }
            Ok((image, mounted))
        };
        let (_image, mounted) = or_skip!(make());
        let trace = strace::trace("unlinkat", arguments(verb, mounted.path(), &[]));
        drop(mounted);
        let (_image, mounted) = or_skip!(make());
        kill(verb, mounted.path(), "unlinkat", trace.calls.len());
        let wanted = refusal(
            &format!("@ has a {what} behind it of which the last step is missing"),
            "The next boot would have missed the record of it, and stopped",
            "Boot once more, or from a rescue system: nixos-lustrate run --root @",
        );
        refused(mounted.path(), &["--yes"], &[wanted]);
    }
}

#[test]
fn a_scheduled_lustration_is_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| {
        root.file("etc/NIXOS_LUSTRATE", "home\n");
        Ok(())
    }));
    let wanted = refusal(
        "@/etc/NIXOS_LUSTRATE asks for a lustration that has not begun",
        "The next boot makes another old root, and it would not have been clear which is which",
        "Boot first, or take it back: nixos-lustrate cancel, or, if you wrote it by hand, rm \
         @/etc/NIXOS_LUSTRATE",
    );
    refused(mounted.path(), &["--yes"], &[wanted]);
}

#[test]
fn what_is_no_old_root_is_refused() {
    require_root!();
    for (what, build) in [
        ("a symbolic link", (|root: &Root<'_>| root.link("old-root", "srv")) as fn(&Root<'_>)),
        ("a file", |root| root.file("old-root", "mine")),
        ("neither a directory nor a file", |root| root.fifo("old-root")),
    ] {
        let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| {
            root.rename("old-root", "old-root-20240102T030405Z");
            build(root);
            Ok(())
        }));
        let wanted = refusal(
            &format!("@/old-root is {what}, and no old root"),
            "Something else than an old root would have been removed",
            "Rename or remove it: mv @/old-root @/old-root.saved",
        );
        refused(mounted.path(), &["--yes"], std::slice::from_ref(&wanted));
        refused(mounted.path(), &["--yes", "old-root"], &[wanted]);
        // The other is one, and is meant when it is named.
        purge(mounted.path(), &["--yes", "/old-root-20240102T030405Z/"]).expect(0);
    }
}

#[test]
fn names_that_are_not_of_old_roots_are_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| {
        root.file("nixos-root/file", "mine");
        Ok(())
    }));
    for name in
        ["home", "old-root.tmp", "old-root/home", "old-root-backup", "/", "..", "old-root/.."]
    {
        let wanted = refusal(
            &format!("'{name}' is not the name of an old root"),
            "Something else than an old root would have been removed",
            "Name one that nixos-lustrate status lists: old-root, old-root-TIME, nixos-root",
        );
        refused(mounted.path(), &["--yes", "old-root", name], &[wanted]);
    }
    let missing = refusal(
        "@/old-root-20240102T030405Z is missing",
        "Nothing would have been removed",
        "Name one that is there: nixos-lustrate status --root @ lists them",
    );
    refused(mounted.path(), &["--yes", "old-root-20240102T030405Z"], &[missing]);
    let foreign = refusal(
        "@/nixos-root is there, and no revert of nixos-lustrate made it",
        "Files of yours would have been removed",
        "If they are of no use: rm -rf --one-file-system @/nixos-root",
    );
    refused(mounted.path(), &["--yes", "nixos-root"], &[foreign]);
}

#[test]
fn an_immutable_old_root_that_is_named_is_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        root.flags("old-root", crate::common::manifest::APPEND)
    }));
    let wanted = refusal(
        "@/old-root is immutable or append-only",
        "Somebody has protected it, since no lustration does",
        "Clear that: chattr -ia @/old-root",
    );
    refused(mounted.path(), &["--yes", "old-root"], &[wanted]);
}

#[test]
fn a_read_only_root_is_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |_| Ok(())));
    mounted.remount_read_only();
    let wanted = refusal(
        "@ is mounted read-only",
        "Nothing can be removed in it",
        "Remount it: mount -o remount,rw @",
    );
    refused(mounted.path(), &["--yes"], &[wanted]);
}

#[test]
fn another_at_work_is_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |_| Ok(())));
    let root = File::open(mounted.path()).expect("the root");
    let lock = Flock::lock(root, FlockArg::LockExclusiveNonblock).expect("a lock");
    let who = format!("Wait until it has ended: process {} (", std::process::id());
    let shown = format!("another nixos-lustrate is at work on {}", mounted.path().display());
    purge(mounted.path(), &["--yes"]).expect(3).says(&[&shown, &who]);
    purge(mounted.path(), &["--dry-run"]).expect(0);
    drop(lock);
    purge(mounted.path(), &["--yes"]).expect(0);
}

#[test]
fn without_a_terminal_it_does_not_ask() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |_| Ok(())));
    let wanted = refusal(
        "standard input is no terminal, and --yes was not given",
        "Nobody could have been asked",
        "See what would go with --dry-run, then add --yes",
    );
    refused(mounted.path(), &[], &[wanted]);
}

#[test]
fn an_initrd_is_no_place_for_it() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |_| Ok(())));
    let before = Manifest::of(mounted.path());
    for more in ["--yes", "--dry-run"] {
        let ended = Initrd::default().run(mounted.path(), ["purge", more]).ended.expect(3);
        assert_eq!(ended.err(), "");
    }
    let ended = Initrd::default().run(mounted.path(), ["purge", "--yes"]);
    let said = String::from_utf8_lossy(&ended.kmsg).into_owned();
    let want = "refused: this is an initrd. The boot would have waited until a whole system is \
                removed. Do it when the system has started: nixos-lustrate purge. Nothing was \
                touched.";
    assert!(says(&said, want), "{said}");
    assert_untouched(&before, &Manifest::of(mounted.path()));
}

#[test]
fn it_needs_root() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |_| Ok(())));
    let copy = isolation::new_directory().join("program");
    fs::copy(binary(), &copy).expect("a copy of the program");
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command.arg(&copy).args(arguments).args(["--root", "/proc/self/cwd"]);
        run_limited(command.current_dir(mounted.path()), LIMIT)
    };
    let wanted = refusal(
        "nixos-lustrate purge needs root",
        "Files of other users could not be removed",
        "Run it as root: sudo nixos-lustrate purge",
    );
    assert_refused(&as_nobody(&["purge", "--yes"]), Path::new("/"), &[wanted]);
    as_nobody(&["purge", "--dry-run"]).expect(3).says(&["Permission denied", "Run it as root"]);
}

/// An active swap file in an old root.
#[test]
fn a_swap_file_in_use_is_refused() {
    require_root!();
    let options = |fs| Options::new(fs).size_mib(128);
    let case = Case { options, ..Case::TYPICAL };
    let (_image, mounted) = or_skip!(case.make(Fs::Ext4));
    let root = mounted.path();
    on("run", root).expect(0);
    let swap = root.join("old-root/swap file");
    fs::write(&swap, vec![0; 1 << 20]).expect("a file");
    let run = |name: &str| {
        let mut command = Command::new(name);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        run_limited(command.arg(&swap), LIMIT)
    };
    run("mkswap").expect(0);
    if run("swapon").code != 0 {
        crate::common::skip::say(&crate::common::skip::Skipped::new("no swap here"));
        return;
    }
    let wanted = refusal(
        "@/old-root/swap file is in use as swap space",
        "It could not be removed",
        "Switch it off first: swapoff '@/old-root/swap file'",
    );
    let ended = purge(root, &["--yes"]);
    run("swapoff").expect(0);
    assert_refused(&ended, root, &[wanted]);
    purge(root, &["--yes"]).expect(0);
}

#[test]
fn wrong_usage_is_named() {
    for (line, want) in [
        (&["purge", "--older-than", "30"][..], "'30' is no age"),
        (&["purge", "--keep", "x"], "invalid value 'x' for '--keep <N>'"),
        (&["purge", "--json"], "--json needs --yes or --dry-run"),
        (&["purge", "--yes", "--dry-run"], "cannot be used with"),
        (&["purge", "--keep", "1", "old-root"], "cannot be used with"),
        (&["purge", "--older-than", "1d", "old-root"], "cannot be used with"),
    ] {
        crate::common::command::lustrate(line)
            .expect(2)
            .says(&[want, "Try: nixos-lustrate --help"]);
    }
}
