//! Is this a machine with a boot of its own, and an ordinary system?

use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

use super::finding::AS_ROOT;
use super::root::or_unread;
use super::{Finding, Machine};
use crate::machine::files::{Files, Result, failed};

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    if machine.sources.running {
        findings.push(or_unread("machine", surroundings(machine)));
        findings.push(or_unread("kernel", kernel(&machine.sources.proc())));
    }
    findings.push(or_unread("image", image_based(machine)));
}

/// A container, a chroot and WSL have no boot of their own.
fn surroundings(machine: &Machine<'_>) -> Result<Finding> {
    let id = "machine";
    let (proc, run) = (machine.sources.proc(), Files::new(&machine.sources.run));
    let files = &machine.files;
    let version = proc.text("/version")?.unwrap_or_default().to_lowercase();
    let block = |what: &str| {
        Ok(Finding::blocker(
            id,
            format!("this is {what}"),
            "It has no boot of its own, and so no stage 1 in which it could become NixOS",
            "Run it on the machine itself",
        ))
    };
    if version.contains("microsoft") {
        return block("WSL");
    }
    if let Some(kind) = run.text("/systemd/container")? {
        return block(&format!("a container ({})", kind.trim()));
    }
    if run.exists("/.containerenv")? {
        return block("a container (podman)");
    }
    if proc.exists("/vz")? && !proc.exists("/bc")? {
        return block("a container (OpenVZ)");
    }
    let root = &machine.sources.root;
    let ours = std::fs::metadata(root).map_err(|error| failed("look at", root, &error))?;
    let first = machine.sources.proc.join("1/root/");
    // Only root may look at the root of process 1.
    match std::fs::metadata(&first).map_err(|error| failed("look at", &first, &error)) {
        Ok(first) => {
            if (first.dev(), first.ino()) != (ours.dev(), ours.ino()) {
                return block("a chroot, or another namespace than that of the running system");
            }
        }
        Err(error) if error.errno() == Errno::EACCES => {
            let why = "whether this is a chroot cannot be seen";
            let fix = if nix::unistd::geteuid().is_root() {
                "Check it outside of the sandbox that hides process 1"
            } else {
                AS_ROOT
            };
            return Ok(Finding::unchecked(id, why, fix));
        }
        // A /proc of others' processes, or none; what else is missing there is said.
        Err(error) if error.errno() == Errno::ENOENT => {}
        Err(error) => return Err(error),
    }
    let environment = match proc.read("/1/environ") {
        Err(error) if error.errno() == Errno::EACCES => None,
        read => read?,
    };
    let container = environment.unwrap_or_default();
    if container.split(|&b| b == 0).any(|v| v.starts_with(b"container=")) {
        return block("a container");
    }
    // Some machines are made from the image of a container.
    if files.exists("/.dockerenv")? {
        return Ok(Finding::warning(
            id,
            "there is a /.dockerenv, as in a container",
            "A container has no boot of its own, and could not become NixOS",
            "If this is a machine: rm /.dockerenv",
        ));
    }
    Ok(Finding::ok(id, "neither a container nor a chroot nor WSL"))
}

fn kernel(proc: &Files) -> Result<Finding> {
    let id = "kernel";
    let release = proc.text("/sys/kernel/osrelease")?.unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
    let version: Option<(u32, u32)> = numbers.next().flatten().zip(numbers.next().flatten());
    Ok(match version {
        None => Finding::unchecked(id, "the kernel does not say its version", "Look: uname -r"),
        Some(version) if version < (4, 15) => Finding::warning(
            id,
            format!("the running kernel is {release}"),
            "Only 4.15 and later have been tried",
            "Bring the old system up to date first",
        ),
        Some(_) => Finding::ok(id, format!("the running kernel is {release}")),
    })
}

/// ostree and the like own `/boot`, and restore it.
fn image_based(machine: &Machine<'_>) -> Result<Finding> {
    let id = "image";
    let ostree = machine.files.exists("/ostree/repo")?
        || (machine.sources.running && machine.sources.run.join("ostree-booted").exists());
    if ostree {
        return Ok(Finding::blocker(
            id,
            "this is an image-based system (ostree)",
            "Its root is a directory within the one that stage 1 sees; the move would be of another tree",
            "Install an ordinary system first, or install NixOS from its own medium",
        ));
    }
    let system = machine.files.text("/etc/os-release")?.unwrap_or_default();
    if crate::engine::osrelease::parse(system.as_bytes()).id.as_deref() == Some("nixos") {
        return Ok(Finding::warning(
            id,
            "this root holds NixOS already",
            "That system would be moved to /old-root",
            "To change its configuration: nixos-rebuild switch",
        ));
    }
    Ok(Finding::ok(id, "an ordinary system, whose root is the file system itself"))
}
