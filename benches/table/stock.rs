//! What people use today: a shell function ([`SCRIPT`]), under the two shells
//! that NixOS has had for it, each with the tools that came with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::Place;
use super::program::measure;
use super::work::{Work, names};
use crate::common::isolation;
use crate::common::sys::Syncs;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/stock.sh");
const BUSYBOX: &str = "/bin/busybox";

/// A shell and its tools.
#[derive(Clone, Debug)]
pub enum Shell {
    /// busybox ash; the directory holds the applets.
    Ash(PathBuf),
    Bash,
}

impl Shell {
    /// Those that are here.
    pub fn all() -> Vec<Self> {
        let mut shells = Vec::new();
        let applets = isolation::new_directory();
        let install = Command::new(BUSYBOX).args(["--install", "-s"]).arg(&applets).status();
        if install.is_ok_and(|status| status.success()) {
            shells.push(Self::Ash(applets));
        }
        if Path::new("/bin/bash").exists() {
            shells.push(Self::Bash);
        }
        shells
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Ash(_) => "ash",
            Self::Bash => "bash",
        }
    }

    fn command(&self, root: &Path) -> Command {
        let (program, path) = match self {
            Self::Ash(applets) => (applets.join("ash"), applets.clone()),
            Self::Bash => ("/bin/bash".into(), "/usr/bin:/bin".into()),
        };
        let mut command = Command::new(program);
        command.env_clear().env("PATH", path).env("LC_ALL", "C").arg(SCRIPT).arg(root);
        command
    }
}

/// How long it takes, in microseconds; `None` when it fails, which a full disk
/// makes it do. [`undo`] takes it back.
pub fn time(shell: &Shell, place: &Place, work: &Work) -> Option<f64> {
    place.settle();
    let measured = measure(&mut shell.command(place.root()), Syncs::LeftOut);
    if measured.success {
        for keeper in &work.keepers {
            let kept = place.root().join(keeper).symlink_metadata();
            assert!(kept.is_ok(), "{} did not keep {keeper}", shell.name());
        }
    }
    measured.success.then_some(measured.microseconds)
}

/// Takes back what the shell did, and what it had done before it failed.
pub fn undo(place: &Place) {
    let root = place.root();
    let old_root = root.join("old-root");
    let moved = names(&old_root);
    for name in &moved {
        let place = root.join(name);
        if let Ok(found) = place.symlink_metadata() {
            let remove =
                if found.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) };
            remove.expect("a copy can be removed");
        }
    }
    // A rename on a full disk needs what has just been freed.
    place.settle();
    for name in &moved {
        fs::rename(old_root.join(name), root.join(name)).expect("a rename");
    }
    fs::remove_dir(old_root).expect("an empty directory");
}
