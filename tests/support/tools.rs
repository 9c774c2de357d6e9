//! Running, tracing, killing, and the make-believe initrd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::typical_root;
use crate::common::command::{LIMIT, run_limited};
use crate::common::image::Fs;
use crate::common::initrd::Initrd;
use crate::common::strace::{self, Fault};
use crate::common::{or_skip, require_root};

#[test]
fn a_hang_is_a_failure() {
    let hang = || {
        let limit = Duration::from_millis(50);
        run_limited(Command::new("sh").args(["-c", "sleep 1000 & wait"]), limit)
    };
    let error = std::panic::catch_unwind(hang).expect_err("a panic");
    assert!(error.downcast_ref::<String>().is_some_and(|s| s.contains("no end within")));
}

#[test]
fn what_a_program_said_and_how_it_ended_is_known() {
    let run = |script: &str| run_limited(Command::new("sh").args(["-c", script]), LIMIT);
    let ended = run("echo out; echo err >&2; exit 3").expect(3).says(&["err"]);
    assert_eq!(ended.out(), "out\n");
    assert!(run("kill -9 $$").was_killed());
}

#[test]
fn every_call_of_the_program_can_be_killed_or_failed() {
    require_root!();
    or_skip!(strace::available());
    let trace = strace::trace("all", ["--help"]);
    assert!(trace.calls.len() > 10 && trace.ended.code == 0);
    assert_eq!(trace.from("exit_group").len(), 1);
    // The first is the execve that makes the program ours.
    for at in [&trace.calls[5], trace.calls.last().expect("a call")] {
        assert!(strace::run_with(Fault::Kill, at, ["--help"]).was_killed(), "{at:?}");
    }
    let write = trace.calls.iter().find(|c| c.name == "write").expect("a write");
    let ended = strace::run_with(Fault::FailForGood("EIO"), write, ["--help"]);
    assert_eq!(ended.out(), "");
}

#[test]
fn an_initrd_is_what_it_was_asked_to_be() {
    require_root!();
    let (_image, mounted) = or_skip!(typical_root(Fs::Ext4));
    let script =
        "cat /proc/cmdline /etc/initrd-release /etc/more; ls /sysroot; printf '<6>x' >/dev/kmsg";
    let initrd = Initrd {
        wrapper: ["sh", "-c", script].map(Into::into).to_vec(),
        ..Initrd::with_command_line("init=/nix/x lustrate=plan")
    };
    let end = initrd.file("etc/more", b"more\n").run(mounted.path(), ["run"]);
    let out = end.ended.clone().expect(0).out();
    assert!(out.starts_with("init=/nix/x lustrate=plan\nID=nixos\nNAME=NixOS\nmore\n"), "{out}");
    assert!(out.contains("vmlinuz\n") && end.kmsg == b"<6>x", "{end:?}");
    assert!(!Path::new("/etc/initrd-release").exists() && mounted.path().join("etc").exists());
}
