//! Runs the program under test, or any other, with a time limit: a hang is a
//! failure, not a wait.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::{sys, text};

/// Longer than any run on a small tree, even under strace.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The program under test: `NIXOS_LUSTRATE_BIN`, or what cargo has built.
pub fn binary() -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_nixos-lustrate").map(PathBuf::from);
    std::env::var_os("NIXOS_LUSTRATE_BIN")
        .map(PathBuf::from)
        .or(built)
        .expect("a program to test: cargo builds it, or NIXOS_LUSTRATE_BIN names it")
}

/// How a program ended and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit status, or 128 and the signal that ended it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ended {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Whether SIGKILL ended it, directly or under strace.
    pub const fn was_killed(&self) -> bool {
        self.code == 128 + libc::SIGKILL
    }

    /// Panics, with all that was said, unless it ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        let (out, err) = (self.out(), self.err());
        assert_eq!(self.code, code, "exit status\n--- stdout\n{out}--- stderr\n{err}");
        self
    }

    /// Panics unless stderr has each of the parts.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        let err = self.err();
        for part in parts {
            assert!(text::says(&err, part), "no {part:?} in stderr:\n{err}");
        }
        self
    }
}

/// Runs a command to its end, in a process group of its own and without
/// stdin; after `limit`, kills the group and panics.
#[track_caller]
pub fn run_limited(command: &mut Command, limit: Duration) -> Ended {
    let shown = format!("{command:?}");
    let child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{shown}: {e}"));
    let leader = child.id();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = receive.recv_timeout(limit) else {
        let _ = sys::kill_group(leader);
        panic!("{shown}: no end within {limit:?}");
    };
    let output = output.expect("a child's output");
    let signal = || 128 + output.status.signal().unwrap_or(0);
    let code = output.status.code().unwrap_or_else(signal);
    Ended { code, stdout: output.stdout, stderr: output.stderr }
}

/// The program under test, with neither colours nor a left-over environment.
pub fn program() -> Command {
    let mut command = Command::new(binary());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LC_ALL", "C").env("NO_COLOR", "1").current_dir("/");
    command
}

/// Runs the program with these arguments.
#[track_caller]
pub fn lustrate<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    run_limited(program().args(arguments), LIMIT)
}

/// `VERB --root ROOT`, and more arguments.
pub fn arguments(verb: &str, root: &Path, more: &[&str]) -> Vec<OsString> {
    let mut list = vec![OsString::from(verb), "--root".into(), root.into()];
    list.extend(more.iter().map(OsString::from));
    list
}

/// `nixos-lustrate VERB --root ROOT`.
#[track_caller]
pub fn on(verb: &str, root: &Path) -> Ended {
    lustrate(arguments(verb, root, &[]))
}
