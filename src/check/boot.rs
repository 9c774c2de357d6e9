//! /boot and the boot loader: where it goes, and whether this firmware starts it.

use std::path::Path;

use super::{Finding, Machine};
use crate::machine::boot::{Boot, BootKind, Firmware};
use crate::machine::devices::{Devices, Target};
use crate::machine::files::{Files, Result, show};
use crate::machine::stack::Stack;
use crate::system::facts::{BootLoader, LoaderName};

/// The efivar of the UEFI specification; 4 bytes of attributes, then the value.
const SECURE_BOOT: &str = "/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let Some(boot) = &machine.boot else { return };
    findings.extend(place(boot));
    let Some((loader, kind)) = machine.loader().and_then(|loader| Some((loader, loader.kind?)))
    else {
        return;
    };
    let disks = match disks(machine) {
        Ok(disks) => disks,
        Err(error) => {
            findings.push(Finding::unread("boot-disk", &error));
            Vec::new()
        }
    };
    let whole = !disks.is_empty() && disks.iter().all(|disk| disk.whole);
    let table = if whole { Table::None } else { Table::Usual };
    let name = kind.name();
    findings.push(Finding::ok("boot-loader", format!("the configuration installs {name}")));
    let pc = ["x86_64", "i686"].contains(&machine.sources.arch.as_str());
    findings.push(if pc && [LoaderName::Extlinux, LoaderName::RaspberryPi].contains(&kind) {
        Finding::blocker(
            "firmware",
            format!("this machine is a PC, and its firmware does not read what {name} writes"),
            "The machine would go on to boot the old system",
            "boot.loader.grub.enable = true; or boot.loader.systemd-boot.enable = true;",
        )
    } else {
        firmware(boot.firmware, loader, kind, table)
    });
    if boot.firmware == Firmware::Uefi {
        for esp in &loader.esps {
            let mounts = machine.fstab.is_none() || machine.mounts_at(esp).is_some();
            findings.push(judge_esp(boot, Path::new(esp), mounts));
        }
    }
    for esp in &boot.esps {
        match owners(&machine.files, esp) {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::unread("esp-shared", &error)),
        }
    }
    if boot.firmware == Firmware::Uefi {
        match machine.sources.sys().read(SECURE_BOOT) {
            Ok(value) => {
                let on = value.is_some_and(|value| value.get(4) == Some(&1));
                findings.extend(on.then(|| secure_boot(kind)));
            }
            Err(error) => findings.push(Finding::unread("secure-boot", &error)),
        }
    }
    if boot.firmware == Firmware::Bios || loader.efi == Some(false) {
        findings.extend(grub_disks(machine, loader, &disks));
    }
}

fn place(boot: &Boot) -> Vec<Finding> {
    let id = "boot";
    let mut found = match boot.kind {
        BootKind::Missing => "there is no /boot; it will be a directory".to_owned(),
        BootKind::Directory => "/boot is a directory of the root's file system".to_owned(),
        BootKind::Mount => "/boot is a file system of its own".to_owned(),
        BootKind::Esp => "/boot is the ESP itself".to_owned(),
        BootKind::Odd => {
            return vec![Finding::blocker(
                id,
                "/boot is neither a directory nor a mount point",
                "Boot files would be written to wherever it leads",
                "Make it a directory, or mount the file system of the boot files there",
            )];
        }
    };
    if let Some(esp) = &boot.nested_esp {
        found = format!("{found}, the ESP is at {}", show(esp));
    }
    let mut findings = vec![Finding::ok(id, found)];
    for point in &boot.unmounted {
        let point = show(point);
        findings.push(Finding::blocker(
            id,
            format!("/etc/fstab has {point}, and it is not mounted"),
            "The boot loader would be written into the directory below it \
             (nixos-infect#92, #199)",
            format!("Mount it: mount {point}"),
        ));
    }
    findings
}

/// Whether the disk of the boot files has a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Usual,
    /// It is one file system: what starts it is outside of it, as at Linode.
    None,
}

fn firmware(firmware: Firmware, loader: &BootLoader, kind: LoaderName, table: Table) -> Finding {
    let id = "firmware";
    let name = kind.name();
    let needs_uefi = loader.efi == Some(true);
    match (firmware, kind) {
        (_, LoaderName::None) => Finding::blocker(
            id,
            "the configuration installs no boot loader",
            "The machine would go on to boot the old system, or nothing",
            "boot.loader.grub.enable = true; or boot.loader.systemd-boot.enable = true;",
        ),
        (_, LoaderName::InitScript) => Finding::warning(
            id,
            "the configuration writes /sbin/init only (boot.loader.initScript)",
            "That is for machines whose kernel comes from elsewhere; no initrd runs there, \
             and nothing lustrates",
            "boot.loader.initScript.enable = false; and a boot loader",
        ),
        (_, LoaderName::External | LoaderName::Unknown) => Finding::unchecked(
            id,
            "the configuration installs a boot loader that is not known here",
            "See that it fits this machine's firmware: [ -d /sys/firmware/efi ] && echo UEFI",
        ),
        (Firmware::Bios, LoaderName::Grub) if loader.disks().is_empty() && table == Table::None => {
            Finding::ok(
                id,
                "the disk has no partition table, so its GRUB is outside of it, and reads the new \
                 /boot/grub",
            )
        }
        (Firmware::Bios, LoaderName::Grub) if loader.disks().is_empty() => Finding::blocker(
            id,
            "this machine was started by a BIOS, and GRUB has no disk to go to (device = \"nodev\")",
            "The boot sector would go on to start the old system's GRUB, which may not read the \
             new menu",
            "boot.loader.grub.device = \"/dev/disk/by-id/…\"; # ls -l /dev/disk/by-id",
        ),
        (Firmware::Bios, LoaderName::Grub) => {
            Finding::ok(id, "started without UEFI, and GRUB needs none")
        }
        (Firmware::Bios, _) if needs_uefi => Finding::blocker(
            id,
            format!("this machine was started by a BIOS, and {name} needs UEFI"),
            "The machine would not boot NixOS",
            "boot.loader.systemd-boot.enable = false;\n\
             boot.loader.grub = { enable = true; device = \"/dev/disk/by-id/…\"; };",
        ),
        (Firmware::Uefi, LoaderName::Grub | LoaderName::Limine) if !needs_uefi => {
            let option = if kind == LoaderName::Grub { "grub" } else { "limine" };
            Finding::blocker(
                id,
                format!("this machine was started by UEFI, and {name} is configured for a BIOS"),
                "The firmware would go on to start the old system, or nothing",
                format!(
                    "boot.loader.{option} = {{ efiSupport = true; device = \"nodev\"; }};\n\
                     boot.loader.efi.canTouchEfiVariables = true;"
                ),
            )
        }
        (Firmware::Uefi, _) if needs_uefi => {
            Finding::ok(id, format!("started by UEFI, and so is {name}"))
        }
        (Firmware::Uefi, _) => Finding::unchecked(
            id,
            format!("this machine was started by UEFI, which does not read what {name} writes"),
            "Only U-Boot's UEFI does; on a PC: boot.loader.systemd-boot.enable = true;",
        ),
        (Firmware::Bios, _) => {
            Finding::ok(id, format!("started without UEFI, and {name} needs none"))
        }
    }
}

/// Where the configuration expects an ESP, and where one is mounted.
fn judge_esp(boot: &Boot, expected: &Path, mounted: bool) -> Finding {
    let id = "esp";
    let is_there = boot.esps.iter().any(|esp| esp == expected);
    let expected = show(expected);
    if is_there && !mounted {
        return Finding::warning(
            id,
            format!("the ESP is at {expected}, and the configuration does not mount it"),
            "The next rebuild would write into the directory below it, unseen by the firmware",
            format!(
                "fileSystems.\"{expected}\" = {{ device = \"/dev/disk/by-uuid/…\"; fsType = \"vfat\"; }};"
            ),
        );
    }
    if is_there {
        return Finding::ok(
            id,
            format!("the ESP is at {expected}, where the configuration expects it"),
        );
    }
    let consequence = "The boot loader would be written where the firmware does not look";
    match boot.esps.first() {
        Some(actual) => Finding::blocker(
            id,
            format!(
                "the configuration expects the ESP at {expected}, and it is at {}",
                show(actual)
            ),
            consequence,
            format!("boot.loader.efi.efiSysMountPoint = \"{}\";", show(actual)),
        ),
        None => Finding::blocker(
            id,
            format!("the configuration expects the ESP at {expected}, and none is mounted there"),
            consequence,
            format!("Mount it: mount /dev/disk/by-partuuid/… {expected}; lsblk -f shows it"),
        ),
    }
}

/// An ESP may serve other systems and the firmware (bootc#2475).
fn owners(files: &Files, esp: &Path) -> Result<Option<Finding>> {
    let names = files.list(esp.join("EFI"))?;
    let names: Vec<String> = names.iter().map(|name| show(Path::new(name))).collect();
    let known = ["boot", "nixos", "linux", "systemd"];
    let others = names.iter().filter(|name| !known.contains(&name.to_lowercase().as_str()));
    let others: Vec<&str> = others.map(String::as_str).collect();
    let found = format!("the ESP at {} also serves {}, which stays", show(esp), others.join(", "));
    Ok((!others.is_empty()).then(|| Finding::ok("esp-shared", found)))
}

fn secure_boot(kind: LoaderName) -> Finding {
    let id = "secure-boot";
    if kind == LoaderName::Lanzaboote {
        return Finding::warning(
            id,
            "Secure Boot is on, and the configuration signs with lanzaboote",
            "The firmware starts it only if its keys are enrolled",
            "Look: sbctl status",
        );
    }
    Finding::blocker(
        id,
        format!("Secure Boot is on, and {} of NixOS is not signed", kind.name()),
        "The firmware would refuse to start it",
        "Turn Secure Boot off in the firmware's setup, or use lanzaboote",
    )
}

/// A disk with boot files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BootDisk {
    name: String,
    /// It is a file system itself, without a partition table.
    whole: bool,
}

/// The disks below /boot: each half of a RAID is one.
fn disks(machine: &Machine<'_>) -> Result<Vec<BootDisk>> {
    let Some(mounts) = &machine.mounts else { return Ok(Vec::new()) };
    let mount = mounts.at("/boot").filter(|mount| mount.is_storage()).or_else(|| mounts.root());
    let Some(mount) = mount else { return Ok(Vec::new()) };
    let stack = Stack::below(&Devices::of(machine.sources), mount)?;
    let disk = |(name, whole): (String, bool)| BootDisk { name, whole };
    Ok(stack.disks.into_iter().map(disk).collect())
}

fn grub_disks(machine: &Machine<'_>, loader: &BootLoader, below: &[BootDisk]) -> Vec<Finding> {
    let id = "boot-disk";
    let devices = Devices::of(machine.sources);
    let (mut findings, mut goes_to) = (Vec::new(), Vec::new());
    let fix = "boot.loader.grub.devices = [ \"/dev/disk/by-id/…\" ]; # ls -l /dev/disk/by-id";
    for disk in loader.disks() {
        let parent = |device: &str| devices.disk_of(device);
        findings.push(match devices.resolve(disk).and_then(|target| match target {
            Target::Device(device) => Ok((parent(&device)?, Target::Device(device))),
            other => Ok((None, other)),
        }) {
            Err(error) => Finding::unread(id, &error),
            Ok((_, Target::Missing)) => Finding::blocker(
                id,
                format!("GRUB is to go to {disk}, and there is no such device"),
                "Its installation would fail (nixos-anywhere#159)",
                fix,
            ),
            Ok((_, Target::Unknown | Target::Other)) => {
                let why = format!("GRUB is to go to {disk}, which could not be looked up");
                Finding::unchecked(id, why, "Look: lsblk")
            }
            Ok((Some(parent), Target::Device(device))) => Finding::warning(
                id,
                format!("GRUB is to go to {disk}, which is a partition ({device}) of {parent}"),
                "The BIOS starts what is at the beginning of the disk, which would stay as it is",
                fix,
            ),
            Ok((None, Target::Device(device))) => {
                let found = format!("GRUB goes to {disk} ({device})");
                goes_to.push(device);
                Finding::ok(id, found)
            }
        });
    }
    let forced = loader.grub.as_ref().is_some_and(|grub| grub.force_install == Some(true));
    for disk in below.iter().filter(|disk| disk.whole && goes_to.contains(&disk.name) && !forced) {
        findings.push(Finding::warning(
            id,
            format!("GRUB is to go to {}, which has no partition table", disk.name),
            "Its installation would fail: there is no room in front of the file system",
            "boot.loader.grub.device = \"nodev\"; where the host starts it, as at Linode",
        ));
    }
    for disk in goes_to.iter().filter(|_| !forced) {
        match devices.lacks_bios_boot(disk) {
            Err(error) => findings.push(Finding::unread(id, &error)),
            Ok(Some(true)) => findings.push(Finding::blocker(
                id,
                format!("GRUB is to go to {disk}, whose GPT has no BIOS boot partition"),
                "Its installation would fail: there is no room for it outside of file systems",
                "Make one of 1 MiB, of the type ef02: sgdisk -n 0:0:+1M -t 0:ef02 /dev/DISK",
            )),
            Ok(_) => {}
        }
    }
    // What is started may be any of them, the first that the BIOS finds.
    let missed = below.iter().map(|disk| disk.name.as_str());
    let missed: Vec<&str> = missed.filter(|disk| !goes_to.iter().any(|to| to == disk)).collect();
    if !goes_to.is_empty() && !missed.is_empty() {
        findings.push(Finding::warning(
            id,
            format!("/boot is on {} too, to which GRUB does not go", missed.join(", ")),
            "A BIOS that starts from there would start the old system's GRUB, or nothing",
            fix,
        ));
    }
    findings
}
