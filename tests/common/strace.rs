//! Kills or fails the program at a chosen system call, by strace.
//!
//! A kill comes before the call executes. What a kill after it would leave is
//! what the kill before the next one leaves, so going through all calls of a
//! trace covers both.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::process::Command;

use super::command::{Ended, LIMIT, binary, run_limited};
use super::skip::Skipped;
use super::sys;

/// One system call of an undisturbed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: String,
    /// The how-manieth call of that name, from 1.
    pub nth: usize,
    /// As strace shows it.
    pub line: String,
}

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill,
    /// Fails once with an errno, by name.
    Fail(&'static str),
    /// Fails from there on.
    FailForGood(&'static str),
}

/// The system calls of a run, in order, and how it ended.
#[derive(Clone, Debug)]
pub struct Trace {
    pub calls: Vec<Call>,
    pub ended: Ended,
}

impl Trace {
    /// The calls from the first whose line has `text`: without those of the
    /// loader and of the standard library's start.
    pub fn from(&self, text: &str) -> &[Call] {
        let first = self.calls.iter().position(|c| c.line.contains(text));
        first.map_or(&[], |at| &self.calls[at..])
    }
}

/// Whether strace is there and may trace.
pub fn available() -> Result<(), Skipped> {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    match works {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(Skipped::new(String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(Skipped::new(format!("strace: {error}"))),
    }
}

fn traced<S: AsRef<OsStr>>(options: &[&str], arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "4096", "-e", "signal=none"]).args(options);
    // The runs are compared with one another: same environment, no colours.
    command.arg("--").arg(binary()).args(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LC_ALL", "C").env("NO_COLOR", "1").current_dir("/");
    command
}

/// Runs the program and lists its calls. `filter` is strace's `trace=` list,
/// `all` for everything.
pub fn trace<S: AsRef<OsStr>>(filter: &str, arguments: impl IntoIterator<Item = S>) -> Trace {
    let mut log = sys::memory_file(c"trace", 0).expect("a memory file");
    let options = ["-o", &log_path(&log), "-e", &format!("trace={filter}")];
    let ended = run_limited(&mut traced(&options, arguments), LIMIT);
    let mut text = Vec::new();
    log.rewind().expect("the start of the log");
    log.read_to_end(&mut text).expect("the log");
    Trace { calls: parse(&String::from_utf8_lossy(&text)), ended }
}

fn log_path(log: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), log.as_raw_fd())
}

/// Reads strace's lines; each begins with the process id.
fn parse(log: &str) -> Vec<Call> {
    let mut calls = Vec::<Call>::new();
    let mut counts = HashMap::<String, usize>::new();
    for line in log.lines() {
        let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let Some((name, _)) = line.split_once('(') else { continue };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(word) {
            continue;
        }
        let nth = counts.entry(name.into()).or_insert(0);
        *nth += 1;
        calls.push(Call { name: name.into(), nth: *nth, line: line.into() });
    }
    calls
}

/// Runs the program with a fault at one call.
pub fn run_with<S: AsRef<OsStr>>(
    fault: Fault,
    at: &Call,
    arguments: impl IntoIterator<Item = S>,
) -> Ended {
    let (name, nth) = (&at.name, at.nth);
    let what = match fault {
        Fault::Kill => format!("signal=SIGKILL:when={nth}"),
        Fault::Fail(error) => format!("error={error}:when={nth}"),
        Fault::FailForGood(error) => format!("error={error}:when={nth}+"),
    };
    let (trace, inject) = (format!("trace={name}"), format!("inject={name}:{what}"));
    run_limited(&mut traced(&["-o", "/dev/null", "-e", &trace, "-e", &inject], arguments), LIMIT)
}
