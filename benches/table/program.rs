//! The program that is measured, and the processes that are timed.

use std::env;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::command::binary;
use crate::common::sys::{self, Syncs};

/// The initrd build, made anew where it can be; what `NIXOS_LUSTRATE_BIN` names;
/// or, saying so, what cargo has built.
pub fn for_initrd() -> PathBuf {
    if env::var_os("NIXOS_LUSTRATE_BIN").is_some() {
        return binary();
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    match super::size::build(repository, "initrd") {
        Ok(()) => repository.join("target/static/nixos-lustrate-initrd"),
        Err(why) => {
            println!("skipped: the initrd build ({why}); measured is {}\n", binary().display());
            binary()
        }
    }
}

/// A process from its exec to its end.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub microseconds: f64,
    pub faults: u64,
    pub success: bool,
}

/// Runs a command; the time of the fork before it does not count.
#[allow(clippy::zombie_processes, reason = "it is waited for by a system call")]
pub fn measure(command: &mut Command, syncs: Syncs) -> Measured {
    let note = sys::memory_file(c"note", 16).expect("a memory file");
    let clone: File = note.try_clone().expect("a descriptor");
    sys::before_exec(command, clone, syncs);
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = quiet.current_dir("/").spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (status, ended, faults) = sys::wait_with_usage(child.id()).expect("a child");
    let mut noted = [0; 16];
    note.read_exact_at(&mut noted, 0).expect("what the child noted");
    let number = |at: usize| u64::from_ne_bytes(noted[at..at + 8].try_into().expect("eight"));
    Measured {
        microseconds: (ended - number(0)) as f64 / 1e3,
        faults: faults - number(8),
        success: status == 0,
    }
}

/// `PROGRAM VERB --root ROOT`.
pub fn on(program: &Path, verb: &str, root: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").arg(verb).arg("--root").arg(root);
    command
}
