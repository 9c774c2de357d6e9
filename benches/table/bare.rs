//! The limit: the bare `renameat2` calls that a lustration of the same root
//! cannot do without, in a loop, with everything else done before.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use super::work::{Work, names};
use crate::common::sys;

/// Where the old population goes meanwhile.
const OUT: &str = "out";

struct Step {
    from: RawFd,
    to: RawFd,
    path: CString,
    flags: u32,
}

/// The steps of a root, with the directories that they are between.
pub struct Bare {
    steps: Vec<Step>,
    _open: [File; 3],
    out: std::path::PathBuf,
}

impl Bare {
    /// Each keeper out, each entry out, `etc` exchanged, each new entry in.
    pub fn new(work: &Work, root: &Path) -> Self {
        let moved = names(root);
        let out = root.join(OUT);
        let new = out.join("new");
        fs::create_dir_all(new.join("etc")).expect("a directory");
        let nested: Vec<&str> =
            work.keepers.iter().map(String::as_str).filter(|keeper| keeper.contains('/')).collect();
        for keeper in &nested {
            let parent = new.join(keeper);
            fs::create_dir_all(parent.parent().expect("a parent")).expect("a directory");
        }
        let incoming = names(&new);
        let open = [root, &out, &new].map(|path| File::open(path).expect("a directory"));
        let [root, out_fd, new] = [0, 1, 2].map(|at: usize| open[at].as_raw_fd());
        let step = |from, to, path: &str, flags| Step {
            from,
            to,
            path: CString::new(path).expect("no NUL"),
            flags,
        };
        let plain = libc::RENAME_NOREPLACE;
        let stays = |name: &str| {
            ["nix", "boot", "etc"].contains(&name) || work.keepers.iter().any(|k| k == name)
        };
        let mut steps: Vec<Step> =
            nested.iter().map(|keeper| step(root, new, keeper, plain)).collect();
        let leave = moved.iter().filter(|name| !stays(name));
        steps.extend(leave.map(|name| step(root, out_fd, name, plain)));
        steps.push(step(root, new, "etc", libc::RENAME_EXCHANGE));
        steps.push(step(new, out_fd, "etc", plain));
        let come = incoming.iter().filter(|name| *name != "etc");
        steps.extend(come.map(|name| step(new, root, name, plain)));
        Self { steps, _open: open, out }
    }

    /// How many renames it is.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Does them, in microseconds, and takes them back.
    pub fn time(self) -> f64 {
        let rename = |from, to, path: &CStr, flags| {
            sys::rename(from, path, to, path, flags).expect("a rename");
        };
        let begun = sys::clock();
        for step in &self.steps {
            rename(step.from, step.to, &step.path, step.flags);
        }
        let ended = sys::clock();
        for step in self.steps.iter().rev() {
            rename(step.to, step.from, &step.path, step.flags);
        }
        fs::remove_dir_all(&self.out).expect("a directory");
        (ended - begun) as f64 / 1e3
    }

    /// Removes what was prepared.
    pub fn drop_unused(self) -> usize {
        fs::remove_dir_all(&self.out).expect("a directory");
        self.len()
    }
}
