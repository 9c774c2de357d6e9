//! What the fstab mounts besides root, /nix and /boot, and how it names disks.

use crate::check::{Finding, Machine};
use crate::machine::devices::{Target, is_fleeting};
use crate::machine::files::Result;
use crate::machine::fstab::FstabEntry;

/// Whether stage 2 opens it (crypttab(5)), so that it need not be there now.
pub(super) fn opens_later(machine: &Machine<'_>, spec: &str) -> Result<bool> {
    let Some(name) = spec.strip_prefix("/dev/mapper/") else { return Ok(false) };
    let Some(closure) = &machine.closure else { return Ok(false) };
    let table = machine.files.text(closure.top.join("etc/crypttab"))?.unwrap_or_default();
    Ok(table.lines().any(|line| line.split_whitespace().next() == Some(name)))
}

/// A mount of the configuration besides those: is its device there?
pub(super) fn judge(entry: &FstabEntry, target: &Target) -> Option<Finding> {
    let id = "fstab-devices";
    let (spec, point) = (&entry.spec, entry.point.display());
    if entry.may_be_missing() || *target != Target::Missing {
        return None;
    }
    if entry.fs_type == "swap" {
        let found = format!("the configuration has swap on {spec}, and there is no such device");
        let consequence = "The boot would wait 90 seconds for it";
        let fix = "swapDevices = [ ]; or the device that it is now: swapon --show";
        return Some(Finding::warning(id, found, consequence, fix));
    }
    Some(Finding::blocker(
        id,
        format!("the configuration mounts {spec} at {point}, and there is no such device"),
        "The boot would wait for it, and end in emergency mode",
        format!("Correct fileSystems.\"{point}\".device, or set its options = [ \"nofail\" ];"),
    ))
}

/// Names by the order in which disks were found.
pub(super) fn fleeting(fstab: &[FstabEntry]) -> Finding {
    let id = "device-names";
    let names: Vec<&str> =
        fstab.iter().map(|e| e.spec.as_str()).filter(|spec| is_fleeting(spec)).collect();
    if names.is_empty() {
        return Finding::ok(
            id,
            "the configuration names no disk by the order in which it was found",
        );
    }
    Finding::warning(
        id,
        format!(
            "the configuration names {} by the order in which disks were found",
            names.join(", ")
        ),
        "With another kernel the order may be another, and the boot fail (nixos-infect#116)",
        "Use /dev/disk/by-uuid/…; blkid tells it",
    )
}
