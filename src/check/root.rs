//! The root itself: can it be lustrated, and is this a machine at all?

use nix::sys::statvfs::statvfs;

use super::{Finding, Machine};
use crate::error::OpError;
use crate::host::files::{Files, Result, show};
use crate::host::hibernation;
use crate::host::mounts::Mount;
use crate::mountinfo::unescape;

/// 2024-01-01: no clock is right that shows an earlier time.
const EARLIEST: u64 = 1_704_067_200;

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    if let Some(root) = machine.mounts.as_ref().and_then(|m| m.root()) {
        findings.push(file_system(root));
        findings.extend(read_only(root));
    }
    let running = machine.sources.running;
    if running {
        findings.push(or_unread("machine", surroundings(machine)));
        findings.push(or_unread("kernel", kernel(&machine.sources.proc())));
    }
    findings.push(or_unread("image", image_based(machine)));
    findings.push(space(machine));
    findings.push(or_unread("clock", clock(machine)));
    match swap_files(machine) {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::unread("swap-files", &error)),
    }
    findings.extend(hibernated(machine));
}

fn or_unread(id: &'static str, finding: Result<Finding>) -> Finding {
    finding.unwrap_or_else(|error| Finding::unread(id, &error))
}

fn file_system(root: &Mount) -> Finding {
    let id = "root";
    let fs_type = root.fs_type.as_str();
    let nothing = "Nothing of it would be there after a reboot";
    match fs_type {
        "overlay" | "aufs" => Finding::blocker(
            id,
            format!("the root is an {fs_type}: a live system, a container, or an image-based one"),
            "Its lower layer would come up unchanged, and the rest not be seen by NixOS",
            "Run it on a system that is installed on a disk",
        ),
        "tmpfs" | "ramfs" | "rootfs" => Finding::blocker(
            id,
            format!("the root is a {fs_type}: it is in memory"),
            nothing,
            "Run it on a system that is installed on a disk, or give that one's root: --root DIR",
        ),
        "squashfs" | "erofs" | "iso9660" => Finding::blocker(
            id,
            format!("the root is {fs_type}, which cannot be written to"),
            "Nothing can be moved in it",
            "Run it on a system that is installed on a disk",
        ),
        "nfs" | "nfs4" | "9p" | "virtiofs" | "cifs" | "ceph" => Finding::warning(
            id,
            format!("the root is on a server ({fs_type})"),
            "Stage 1 needs a network and that file system, and not every rename may work there",
            format!("boot.initrd.supportedFilesystems = [ \"{fs_type}\" ];"),
        ),
        _ => Finding::ok(id, format!("the root is {fs_type} on {}", root.source)),
    }
}

fn read_only(root: &Mount) -> Option<Finding> {
    root.has("ro").then(|| {
        Finding::blocker(
            "root-writable",
            "the root is mounted read-only",
            "prepare could write nothing; the kernel does that when it has found damage",
            "See dmesg, then: mount -o remount,rw /",
        )
    })
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
    let ours = std::fs::metadata(&machine.sources.root);
    // Only root may look at the root of process 1.
    match (std::fs::metadata(machine.sources.proc.join("1/root/")), ours) {
        (Ok(first), Ok(ours)) => {
            use std::os::unix::fs::MetadataExt;
            if (first.dev(), first.ino()) != (ours.dev(), ours.ino()) {
                return block("a chroot, or another namespace than that of the running system");
            }
        }
        (Err(error), _) if error.raw_os_error() == Some(libc::EACCES) => {
            let why = "whether this is a chroot can be seen by root only";
            return Ok(Finding::unchecked(id, why, "Run it as root: sudo nixos-lustrate check"));
        }
        _ => {}
    }
    let environment = match proc.read("/1/environ") {
        Err(error) if error.errno() == nix::errno::Errno::EACCES => None,
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
            "nixos-lustrate has been tested with 4.15 and later",
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
    if crate::osrelease::parse(system.as_bytes()).id.as_deref() == Some("nixos") {
        return Ok(Finding::warning(
            id,
            "this root holds NixOS already",
            "That system would be moved to /old-root",
            "To change its configuration: nixos-rebuild switch",
        ));
    }
    Ok(Finding::ok(id, "an ordinary system, whose root is the file system itself"))
}

fn space(machine: &Machine<'_>) -> Finding {
    let id = "space";
    let root = &machine.sources.root;
    let free = match statvfs(root) {
        Ok(free) => free,
        Err(errno) => {
            return Finding::unread(id, &OpError::new("look at", show(root), errno));
        }
    };
    let bytes = free.blocks_available() * free.fragment_size();
    // File systems without a table of inodes say 0 of 0.
    let inodes = (free.files() > 0).then(|| free.files_available());
    judge_space(bytes, inodes)
}

fn judge_space(bytes: u64, inodes: Option<u64>) -> Finding {
    let id = "space";
    let mib = bytes >> 20;
    let mut found = format!("{mib} MiB are free on the root");
    if let Some(inodes) = inodes {
        found = format!("{found}, and {inodes} inodes");
    }
    let mend = "Make room: du -xh --max-depth=2 / | sort -h | tail";
    let few = |n: u64| inodes.is_some_and(|inodes| inodes < n);
    if mib < 64 || few(1_000) {
        let consequence = "NixOS could not write what it needs at its first boot";
        return Finding::blocker(id, found, consequence, mend);
    }
    if mib < 1024 || few(20_000) {
        let consequence = "The lustration needs none, but logs and the first rebuild do";
        return Finding::warning(id, found, consequence, mend);
    }
    Finding::ok(id, found)
}

fn clock(machine: &Machine<'_>) -> Result<Finding> {
    use std::os::unix::fs::MetadataExt;
    let id = "clock";
    let link = machine.files.outside(machine.system);
    let built = match std::fs::symlink_metadata(&link) {
        Ok(metadata) => u64::try_from(metadata.mtime()).unwrap_or(0),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => 0,
        Err(error) => return Err(crate::host::files::failed("look at", &link, &error)),
    };
    Ok(judge_clock(id, machine.sources.now, built))
}

fn judge_clock(id: &'static str, now: u64, built: u64) -> Finding {
    if now >= EARLIEST.max(built) {
        return Finding::ok(id, "the clock is later than the system's build");
    }
    Finding::warning(
        id,
        "the clock is earlier than the system's build",
        "Certificates would not be valid, and the old root be named after a wrong time",
        "Set it: date -s '2026-01-31 12:00'; then hwclock --systohc",
    )
}

/// Active swap files move like any other file; nothing is lost.
fn swap_files(machine: &Machine<'_>) -> Result<Vec<Finding>> {
    let id = "swap-files";
    if !machine.sources.running {
        return Ok(Vec::new());
    }
    let table = machine.sources.proc().read("/swaps")?.unwrap_or_default();
    let lines = table.split(|&b| b == b'\n').skip(1);
    let mut findings = Vec::new();
    for line in lines {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty());
        let (Some(path), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if kind != b"file" {
            continue;
        }
        let path = String::from_utf8_lossy(&unescape(path)).into_owned();
        let inside = path.trim_start_matches('/');
        let configured = machine.closure.as_ref().and_then(|c| c.fstab.as_ref());
        let configured = configured.is_some_and(|f| f.iter().any(|e| e.spec == path));
        findings.push(match (machine.keeps(inside), configured) {
            (true, _) => Finding::ok(id, format!("the swap file {path} is kept")),
            (false, true) => Finding::warning(
                id,
                format!("the configuration has swap on the file {path}, which is not kept"),
                "It would be in /old-root, and the boot go on without swap",
                format!("Keep it: nixos-lustrate prepare --keep {inside}"),
            ),
            (false, false) => Finding::warning(
                id,
                format!("{path} is an active swap file"),
                "It moves to /old-root, where it takes up its space until that is removed",
                format!(
                    "swapoff {path} && rm {path}; or keep it: --keep {inside}, and swapDevices"
                ),
            ),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok(id, "no swap file is active"));
    }
    Ok(findings)
}

/// A root that is mounted before a resume is damaged by it (impermanence#250).
fn hibernated(machine: &Machine<'_>) -> Vec<Finding> {
    let id = "hibernation";
    match hibernation::images(machine.sources) {
        Err(error) => vec![Finding::unread(id, &error)],
        Ok(looked) => {
            let mut findings: Vec<Finding> = looked
                .with_image
                .iter()
                .map(|swap| {
                    Finding::blocker(
                        id,
                        format!("{swap} holds the image of a hibernated system"),
                        "A resume after the move would damage the file system",
                        format!("Start and shut down the system that is in it, or: mkswap {swap}"),
                    )
                })
                .collect();
            findings.extend(looked.unread.iter().map(|error| Finding::unread(id, error)));
            if findings.is_empty() {
                findings.push(Finding::ok(id, "no swap holds the image of a hibernated system"));
            }
            findings
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    #[test]
    fn little_space_warns_and_none_blocks() {
        assert_eq!(judge_space(10 << 20, None).level, Level::Blocker);
        assert_eq!(judge_space(500 << 20, None).level, Level::Warning);
        assert_eq!(judge_space(5 << 30, None).level, Level::Ok);
        assert_eq!(judge_space(5 << 30, Some(10)).level, Level::Blocker);
        assert_eq!(judge_space(5 << 30, Some(5_000)).level, Level::Warning);
        assert_eq!(judge_space(5 << 30, Some(1 << 20)).level, Level::Ok);
    }
}
