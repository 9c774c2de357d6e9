//! What the system around the root says: `/proc`, and the mount of the root.

use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use crate::engine::facts::Environment;
use crate::engine::names::{BOOT, NIX};
use crate::error::{OpError, Refusal};
use crate::fs::disk::Dir;
use crate::fs::mounts::{self, Table};
use crate::fs::name::{RelPath, Shown};
use crate::fs::swaps::{self, Swap};
use crate::fs::sys;

/// Whether this is an initrd (os-release(5), "initrd-release"); asked once.
#[must_use]
pub fn in_initrd() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| sys::exists("/etc/initrd-release"))
}

pub(crate) fn no_proc(path: &str, why: &str) -> Refusal {
    Refusal::new(
        format!("Failed to read '{path}': {why}"),
        "The root cannot be judged without it",
        "Mount it: mount -t proc proc /proc",
    )
}

/// Where `dir` is mounted in the file system that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As it is, with what is mounted below it.
    Mounted,
    /// The bare file system of the running `/`, as an initrd will see it.
    Bare,
}

/// Reads the environment of a root.
///
/// # Errors
/// A refusal that names what could not be read.
pub fn environment(
    dir: &Dir,
    shown: &str,
    view: View,
    init: Option<Vec<u8>>,
) -> Result<Environment, Refusal> {
    let failed = |op, errno| Refusal::from(OpError::new(op, shown, errno));
    let (space, read_only) = sys::space::space(dir).map_err(|e| failed("look at", e))?;
    let mountinfo = "/proc/self/mountinfo";
    let mountinfo = sys::read_proc(mountinfo).map_err(|e| no_proc(mountinfo, e.desc()))?;
    let link = format!("/proc/self/fd/{}", std::os::fd::AsFd::as_fd(dir).as_raw_fd());
    let path = sys::read_proc_link(&link).map_err(|e| no_proc(&link, e.desc()))?;
    let path = path.as_slice();
    let mount = sys::stat(dir, None).map_err(|e| failed("look at", e))?.mount;
    let mount = mount.map(std::num::NonZero::get);
    let table = Table::new(&mountinfo, path, mount);
    let mut binds = table.binds();
    let mounts = match view {
        View::Mounted => table.mounts(),
        View::Bare => {
            // Of what is mounted now, an initrd will only need these.
            binds.retain(|bind| [NIX, BOOT].contains(bind.point.entry()));
            Vec::new()
        }
    };
    Ok(Environment {
        root: shown.to_owned(),
        mounts,
        binds,
        read_only: view == View::Mounted && read_only,
        space: Some(space),
        overlay_redirects: mount.and_then(|id| mounts::overlay_redirects(&mountinfo, id)),
        swaps: swaps_below(path),
        init,
        uid: nix::unistd::geteuid().as_raw(),
        boot_id: boot_id(),
    })
}

/// The swap files below the root; `/proc/swaps` is missing in kernels without swap.
fn swaps_below(root: &[u8]) -> Vec<RelPath> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let table = sys::read_proc("/proc/swaps").unwrap_or_default();
    let inside =
        |swap: Swap| RelPath::parse(swap.path.strip_prefix(root)?.strip_prefix(b"/")?).ok();
    swaps::parse(&table).filter_map(inside).collect()
}

/// Which boot this is; empty without `/proc`.
pub(crate) fn boot_id() -> String {
    let id = sys::read_proc("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Shown(id.trim_ascii()).to_string()
}
