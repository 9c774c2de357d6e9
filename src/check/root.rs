//! The root itself: is it on a disk, is there room, does something hinder?

use nix::sys::statvfs::statvfs;

use super::{Finding, Machine};
use crate::error::OpError;
use crate::fs::swaps;
use crate::machine::files::{Result, show};
use crate::machine::hibernation;
use crate::machine::mounts::Mounted;

/// 2024-01-01: no clock is right that shows an earlier time.
const EARLIEST: u64 = 1_704_067_200;

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    if let Some(root) = machine.mounts.as_ref().and_then(|m| m.root()) {
        findings.push(file_system(root));
        findings.extend(read_only(root));
    }
    findings.push(space(machine));
    findings.push(or_unread("clock", clock(machine)));
    match swap_files(machine) {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::unread("swap-files", &error)),
    }
    findings.extend(hibernated(machine));
}

pub(super) fn or_unread(id: &'static str, finding: Result<Finding>) -> Finding {
    finding.unwrap_or_else(|error| Finding::unread(id, &error))
}

fn file_system(root: &Mounted) -> Finding {
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

fn read_only(root: &Mounted) -> Option<Finding> {
    root.has("ro").then(|| {
        Finding::blocker(
            "root-writable",
            "the root is mounted read-only",
            "Nothing could be written; the kernel does that when it has found damage",
            "See dmesg, then: mount -o remount,rw /",
        )
    })
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
    let fix = "Make room: du -xh --max-depth=2 / | sort -h | tail";
    let few = |n: u64| inodes.is_some_and(|inodes| inodes < n);
    if mib < 64 || few(1_000) {
        let consequence = "NixOS could not write what it needs at its first boot";
        return Finding::blocker(id, found, consequence, fix);
    }
    if mib < 1024 || few(20_000) {
        let consequence = "The lustration needs none, but logs and the first rebuild do";
        return Finding::warning(id, found, consequence, fix);
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
        Err(error) => return Err(crate::machine::files::failed("look at", &link, &error)),
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
    let mut findings = Vec::new();
    for swap in swaps::parse(&table).filter(|swap| swap.file) {
        let path = String::from_utf8_lossy(&swap.path).into_owned();
        let inside = path.trim_start_matches('/');
        let configured = machine.fstab.iter().flatten().any(|entry| entry.spec == path);
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
