//! The program alone under strace, without what it starts: the boot loader's
//! installer goes on when `prepare` is killed, as it would.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::command::{Ended, LIMIT, binary, run_limited};

/// Calls that change something on a disk, and those around the installer: a kill
/// anywhere else leaves what a kill before the next of these leaves.
pub(crate) const CHANGES: &str = "openat,openat2,write,mkdirat,renameat2,unlinkat,linkat,symlinkat,\
    fchown,fchownat,fchmod,fchmodat,utimensat,fsetxattr,fsync,syncfs,clone3,clone,vfork,wait4,chroot";

/// The how-manieth call of a name.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) nth: usize,
    pub(crate) line: String,
}

fn strace(options: &[&str], arguments: &[OsString]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-qq", "-s", "256", "-e", "signal=none"]).args(options);
    command.arg("--").arg(binary()).args(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LC_ALL", "C").env("NO_COLOR", "1").env("JUNK", "1").current_dir("/");
    command
}

/// The calls of an undisturbed run that change something.
pub(crate) fn changes(log: &Path, arguments: &[OsString]) -> (Vec<Call>, Ended) {
    let options = [
        "-o",
        log.to_str().expect("UTF-8"),
        "-e",
        &format!("trace=?{}", CHANGES.replace(',', ",?")),
    ];
    let ended = run_limited(&mut strace(&options, arguments), LIMIT);
    let text = String::from_utf8_lossy(&fs::read(log).expect("the log")).into_owned();
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        let nth = 1 + calls.iter().filter(|call| call.name == name).count();
        calls.push(Call { name: name.into(), nth, line: line.into() });
    }
    // Opening to read and printing change nothing.
    calls.retain(|call| !call.name.starts_with("openat") || call.line.contains("O_CREAT"));
    calls.retain(|call| call.name != "write" || !call.line.starts_with("write(1,"));
    (calls, ended)
}

/// Runs and kills before a call.
pub(crate) fn kill_at(call: &Call, arguments: &[OsString]) -> Ended {
    let (trace, inject) = (
        format!("trace={}", call.name),
        format!("inject={}:signal=SIGKILL:when={}", call.name, call.nth),
    );
    run_limited(&mut strace(&["-o", "/dev/null", "-e", &trace, "-e", &inject], arguments), LIMIT)
}
