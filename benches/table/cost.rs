//! System calls, by strace, and the most memory that a process had.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::program::on;
use crate::common::isolation;

/// The system calls of `PROGRAM VERB`, exec and exit included, and how many of
/// them are syncs.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    pub all: u64,
    pub syncs: u64,
}

pub fn calls(program: &Path, verb: &str, root: &Path) -> Calls {
    let log = isolation::new_directory().join("calls");
    let plain = on(program, verb, root);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-qq", "-U", "calls,name", "-o"]).arg(&log).arg("--");
    strace.arg(plain.get_program()).args(plain.get_args());
    run_quietly(&mut strace);
    let table = fs::read_to_string(&log).expect("what strace counted");
    let mut counted = Calls { all: 0, syncs: 0 };
    for line in table.lines() {
        let mut words = line.split_whitespace();
        let (Some(Ok(count)), Some(name)) = (words.next().map(str::parse::<u64>), words.next())
        else {
            continue;
        };
        match name {
            "total" => {}
            "sync" | "syncfs" | "fsync" | "fdatasync" => {
                counted.all += count;
                counted.syncs += count;
            }
            _ => counted.all += count,
        }
    }
    assert!(counted.all > 0, "{table}");
    counted
}

fn run_quietly(command: &mut Command) {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = quiet.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// The most memory that `PROGRAM VERB` had, in bytes: what the kernel has noted
/// when the process is about to end, where strace holds it for a while.
pub fn memory(program: &Path, verb: &str, root: &Path) -> u64 {
    let plain = on(program, verb, root);
    let mut strace = Command::new("strace");
    strace.args(["--seccomp-bpf", "-f", "-qq", "-o", "/dev/null", "-e", "trace=exit_group", "-e"]);
    strace.args(["inject=exit_group:delay_enter=60ms", "--"]);
    strace.arg(plain.get_program()).args(plain.get_args());
    let quiet = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut tracer = quiet.spawn().expect("strace");
    let tasks = format!("/proc/{0}/task/{0}/children", tracer.id());
    let mut peak = 0;
    while tracer.try_wait().expect("a child").is_none() {
        let children = fs::read_to_string(&tasks).unwrap_or_default();
        for child in children.split_whitespace().filter(|child| is(child, program)) {
            peak = peak.max(noted(child));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(tracer.wait().expect("a child").success(), "{verb} fails");
    assert!(peak > 0, "nothing was noted");
    peak
}

/// Whether a process runs this program by now, and is not strace still.
fn is(process: &str, program: &Path) -> bool {
    fs::read_link(format!("/proc/{process}/exe")).is_ok_and(|exe| exe == program)
}

fn noted(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
