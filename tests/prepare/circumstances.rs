//! Old kernels, Ctrl-C, and a person at a terminal.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::common::command::{LIMIT, arguments, binary, run_limited};
use crate::common::compare::Excuse;
use crate::common::text::says;
use crate::common::{or_skip, require_root, strace};
use crate::machine::{Boot, GRUB, Machine, assert_same};

/// The program on a kernel that does not know these calls.
fn without(calls: &[(&str, &str)], words: &[OsString]) -> crate::common::command::Ended {
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null"]);
    for (call, error) in calls {
        command.args(["-e", &format!("inject={call}:error={error}")]);
    }
    let names: Vec<_> = calls.iter().map(|(call, _)| *call).collect();
    command.args(["-e", &format!("trace={}", names.join(",")), "--"]).arg(binary()).args(words);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    run_limited(command.env("LC_ALL", "C").current_dir("/"), LIMIT)
}

#[test]
fn on_an_old_kernel() {
    require_root!();
    or_skip!(strace::available());
    let old = [("openat2", "ENOSYS"), ("open_tree", "ENOSYS"), ("copy_file_range", "ENOSYS")];
    for boot in [Boot::Directory, Boot::Nested] {
        let machine = or_skip!(Machine::new(boot, GRUB));
        machine.tree().own("nix/store", 1000, 1000);
        let before = machine.manifest();
        without(&old, &machine.arguments(&["--yes", "--keep", "etc/resolv.conf"])).expect(0);
        assert!(machine.read("boot/grub/grub.cfg").contains("init="));
        assert!(machine.exists("boot.bak/grub/grub.cfg"));
        without(&old, &arguments("cancel", machine.path(), &["--yes"])).expect(0);
        assert_same(&before, &machine.manifest(), &Excuse::none());
    }
}

#[test]
fn ctrl_c_while_boot_is_copied_stops_where_it_can_go_on_or_back() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("boot/large", vec![3; 12 << 20]);
    let before = machine.manifest();
    let words = machine.arguments(&["--yes"]);
    // Each call for the copy takes a while, so that the signal comes in between.
    let mut slow = Command::new("strace");
    slow.args([
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=write",
        "-e",
        "inject=write:delay_exit=20000",
    ]);
    slow.arg("--").arg(binary()).args(&words).process_group(0);
    slow.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    or_skip!(strace::available());
    let child = slow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("strace");
    while !machine.exists("boot.bak") && !machine.exists(".nixos-lustrate-boot.bak/large") {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let group = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGINT).expect("a signal");
    let ended = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    for text in [
        "stopped part-way: interrupted",
        "nixos-lustrate prepare --root",
        "nixos-lustrate cancel --root",
    ] {
        assert!(says(&said, text), "no {text:?} in {said}");
    }
    assert!(!machine.read("boot/grub/grub.cfg").contains("init="));
    machine.prepare(&[]).expect(0);
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

/// The program at a terminal of its own, by util-linux's script(1).
fn at_a_terminal(words: &[OsString], types: &str) -> Option<String> {
    let quoted = |word: &OsString| format!("'{}'", word.to_string_lossy());
    let line: Vec<_> = words.iter().map(quoted).collect();
    let command = format!("'{}' {}", binary().display(), line.join(" "));
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "(sleep 1; printf '%s\\n' \"$1\"; sleep 1) | script -qec \"$0; echo status \\$?\" /dev/null",
    ]);
    shell.arg(command).arg(types);
    if Command::new("script").arg("--version").output().is_err() {
        return None;
    }
    Some(run_limited(&mut shell, LIMIT).out())
}

#[test]
fn a_person_is_asked_once_and_may_say_no() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let before = machine.manifest();
    let Some(said) = at_a_terminal(&machine.arguments(&[]), "n") else {
        return crate::common::skip::say(&crate::common::skip::Skipped::new("no script(1) here"));
    };
    assert!(says(&said, "Prepare this machine for NixOS? [y/N]"), "{said}");
    assert!(says(&said, "the answer was not yes") && says(&said, "status 3"), "{said}");
    assert_same(&before, &machine.manifest(), &Excuse::none());
    let said = at_a_terminal(&machine.arguments(&[]), "y").expect("script(1)");
    assert!(says(&said, "status 0") && said.matches("[y/N]").count() == 1, "{said}");
    assert!(machine.exists("etc/NIXOS_LUSTRATE"));
    let words = arguments("cancel", machine.path(), &[]);
    let said = at_a_terminal(&words, "y").expect("script(1)");
    assert!(says(&said, "Undo this? [y/N]") && says(&said, "status 0"), "{said}");
    assert_same(&before, &machine.manifest(), &Excuse::none());
}
