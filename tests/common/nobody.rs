//! The program as user nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::command::{Ended, LIMIT, binary, run_limited};
use super::isolation;
use super::skip::Skipped;

/// Where a root is for somebody who cannot reach its mount point.
pub const HERE: &str = "/proc/self/cwd";

/// Runs the program as user nobody, in `directory`.
pub fn as_nobody(directory: &Path, arguments: &[&str]) -> Result<Ended, Skipped> {
    let copy = isolation::new_directory().join("program");
    // By another process: one that a test starts meanwhile would have the copy
    // open for writing, and it could not be run (ETXTBSY).
    let copied = Command::new("cp").arg(binary()).arg(&copy).status().expect("cp");
    assert!(copied.success(), "cp: {copied}");
    let closed = |path: &&Path| fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 1 == 0);
    if let Some(path) = copy.ancestors().skip(1).find(closed) {
        return Err(Skipped::new(format!("{} is closed to user nobody", path.display())));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    command.arg(&copy).args(arguments).current_dir(directory);
    Ok(run_limited(&mut command, LIMIT))
}
