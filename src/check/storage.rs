//! What is below the root and /nix, against what the initrd has.

use super::{Finding, Machine};
use crate::machine::devices::Devices;
use crate::machine::files::{Result, show};
use crate::machine::stack::{Layer, Stack};
use crate::system::initrd::{Listing, is_module};

const ID: &str = "initrd-storage";

/// Modules without which no disk is found; others may have other names in
/// another kernel.
const DISKS: [&str; 24] = [
    "ahci",
    "ata_piix",
    "hpsa",
    "hv_storvsc",
    "hv_vmbus",
    "megaraid_sas",
    "mmc_block",
    "mpt3sas",
    "mptspi",
    "mptsas",
    "nvme",
    "sata_nv",
    "sata_sil24",
    "sata_via",
    "sd_mod",
    "smartpqi",
    "uas",
    "ufshcd_pci",
    "usb_storage",
    "virtio_blk",
    "virtio_pci",
    "virtio_scsi",
    "vmw_pvscsi",
    "xen_blkfront",
];

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let (Some(_), Some(mounts)) = (&machine.closure, &machine.mounts) else { return };
    let devices = Devices::of(machine.sources);
    let built_in = match built_in(machine) {
        Ok(modules) => modules,
        Err(error) => {
            findings.push(Finding::unread("initrd-drivers", &error));
            None
        }
    };
    for point in ["/", "/nix"] {
        let Some(mount) = mounts.at(point) else { continue };
        match Stack::below(&devices, mount) {
            Err(error) => findings.push(Finding::unread(ID, &error)),
            Ok(stack) if !stack.known && mount.is_storage() => {
                let why = format!("what is below {point} ({}) is not in /sys", mount.source);
                findings.push(Finding::unchecked(ID, why, "Look: lsblk"));
            }
            Ok(stack) => {
                findings.extend(judge(point, &stack, machine.initrd.as_ref()));
                // What the kernel makes itself has no driver; that is judged elsewhere.
                let fs_type = if mount.is_storage() { mount.fs_type.as_str() } else { "" };
                let needs = Needs { point, fs_type, drivers: &stack.drivers };
                findings.extend(drivers(&needs, machine.initrd.as_ref(), built_in.as_deref()));
            }
        }
    }
}

/// The words for a layer, what shows that stage 1 can put it together, and what
/// brings that into it.
fn layer(
    layer: Layer,
) -> (&'static str, &'static [&'static str], &'static [&'static str], &'static str) {
    match layer {
        Layer::Lvm => ("LVM", &["lvm"], &[], "boot.initrd.services.lvm.enable = true;"),
        Layer::Luks => (
            "LUKS",
            &["crypttab", "cryptsetup", "systemd-cryptsetup"],
            &[],
            "boot.initrd.luks.devices.NAME.device = \"/dev/disk/by-uuid/…\"; # blkid -t TYPE=crypto_LUKS",
        ),
        Layer::Raid => ("RAID (md)", &["mdadm"], &[], "boot.swraid.enable = true;"),
        Layer::FirmwareRaid => (
            "firmware RAID",
            &["dmraid"],
            &[],
            "Put it together by md instead: NixOS's stage 1 does not start dmraid",
        ),
        Layer::Multipath => {
            ("multipath", &["multipath", "multipathd"], &[], "services.multipath.enable = true;")
        }
        Layer::Iscsi => ("iSCSI", &["iscsid", "iscsistart"], &[], "boot.iscsi-initiator = { … };"),
        Layer::Bcache => (
            "bcache",
            &[],
            &["bcache"],
            "boot.bcache.enable = true; boot.initrd.availableKernelModules = [ \"bcache\" ];",
        ),
        Layer::Zfs => (
            "ZFS",
            &[],
            &["zfs"],
            "boot.supportedFilesystems = [ \"zfs\" ]; networking.hostId = \"…\"; # hostid",
        ),
        Layer::Bcachefs => {
            ("bcachefs", &["bcachefs"], &[], "boot.supportedFilesystems = [ \"bcachefs\" ];")
        }
        Layer::Mapper => (
            "device mapper",
            &[],
            &["dm_mod"],
            "boot.initrd.availableKernelModules = [ \"dm_mod\" ];",
        ),
        Layer::Nbd => (
            "a network block device",
            &["nbd-client"],
            &[],
            "Move the root to a disk: NixOS's stage 1 has no client for it",
        ),
    }
}

fn judge(
    point: &str,
    stack: &Stack,
    initrd: Option<&std::result::Result<Listing, String>>,
) -> Vec<Finding> {
    if stack.layers.is_empty() {
        return vec![Finding::ok(ID, format!("{point} is on a plain disk or partition"))];
    }
    let mut findings = Vec::new();
    for &below in &stack.layers {
        let (name, programs, modules, fix) = layer(below);
        let listing = match initrd {
            Some(Ok(listing)) => listing,
            None => continue, // that it is missing has been said
            Some(Err(why)) => {
                let why =
                    format!("{point} is on {name}, and what the initrd has is not known: {why}");
                findings.push(Finding::unchecked(ID, why, format!("See that there is: {fix}")));
                continue;
            }
        };
        let has = programs.iter().any(|p| listing.has(p))
            || modules.iter().any(|m| listing.has_module(m));
        findings.push(if has {
            Finding::ok(ID, format!("{point} is on {name}, and the initrd has it"))
        } else {
            Finding::blocker(
                ID,
                format!("{point} is on {name}, and the initrd has nothing for it"),
                "Stage 1 would wait for the device in vain (nixpkgs#343566, #236213)",
                fix,
            )
        });
    }
    findings
}

struct Needs<'a> {
    point: &'a str,
    fs_type: &'a str,
    drivers: &'a [String],
}

/// Names of the modules that the closure's kernel has built in.
fn built_in(machine: &Machine<'_>) -> Result<Option<Vec<String>>> {
    let Some(closure) = &machine.closure else { return Ok(None) };
    let modules = closure.top.join("kernel-modules/lib/modules");
    for version in machine.files.list(&modules)? {
        if let Some(text) = machine.files.text(modules.join(&version).join("modules.builtin"))? {
            return Ok(Some(text.lines().map(str::to_owned).collect()));
        }
    }
    Ok(None)
}

fn drivers(
    needs: &Needs<'_>,
    initrd: Option<&std::result::Result<Listing, String>>,
    built_in: Option<&[String]>,
) -> Vec<Finding> {
    let id = "initrd-drivers";
    let point = needs.point;
    let listing = match initrd {
        Some(Ok(listing)) => listing,
        None => return Vec::new(),
        Some(Err(why)) => {
            let why = format!("whether the initrd has the drivers for {point} is not known: {why}");
            return vec![Finding::unchecked(id, why, "See boot.initrd.availableKernelModules")];
        }
    };
    let fs_type = needs.fs_type.split('.').next().unwrap_or_default();
    let wanted = needs
        .drivers
        .iter()
        .map(String::as_str)
        .chain([fs_type].into_iter().filter(|fs_type| !fs_type.is_empty()));
    let has = |module: &str| {
        let built_in = built_in.iter().flat_map(|list| list.iter());
        listing.has_module(module) || built_in.clone().any(|path| is_module(path, module))
    };
    let missing: Vec<&str> = wanted.filter(|module| !has(module)).collect();
    if missing.is_empty() {
        return vec![Finding::ok(id, format!("the initrd has the drivers for {point}"))];
    }
    if built_in.is_none() {
        let why = format!(
            "{} may be built into the kernel: there is no modules.builtin",
            missing.join(", ")
        );
        return vec![Finding::unchecked(id, why, "See boot.initrd.availableKernelModules")];
    }
    let quoted: Vec<String> = missing.iter().map(|module| format!("\"{module}\"")).collect();
    let found =
        format!("{point} needs {} here, and the initrd has no such module", missing.join(", "));
    let consequence = "Stage 1 might not find the disk, or not be able to mount it";
    let fix = format!("boot.initrd.availableKernelModules = [ {} ];", quoted.join(" "));
    let sure = missing.iter().any(|module| DISKS.contains(module) || *module == fs_type);
    vec![if sure {
        Finding::blocker(id, found, consequence, fix)
    } else {
        Finding::warning(id, found, consequence, fix)
    }]
}

/// The listing, when there is an initrd.
pub(super) fn listing(
    machine: &crate::system::closure::Closure,
    files: &crate::machine::files::Files,
    findings: &mut Vec<Finding>,
) -> Option<std::result::Result<Listing, String>> {
    let initrd = machine.initrd.as_ref()?;
    match Listing::read(files, initrd) {
        Ok(listing) => Some(listing),
        Err(error) => {
            findings.push(Finding::unread("initrd", &error));
            Some(Err(format!("{} cannot be read", show(initrd))))
        }
    }
}
