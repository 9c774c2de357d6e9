//! /boot and the boot loader: where it goes, and whether this firmware starts it.

use std::path::Path;

use super::{Finding, Machine};
use crate::machine::boot::{Boot, BootKind, Firmware};
use crate::machine::files::{Files, Result, show};
use crate::system::loader::{Loader, LoaderKind};

/// The efivar of the UEFI specification; 4 bytes of attributes, then the value.
const SECURE_BOOT: &str = "/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let Some(boot) = &machine.boot else { return };
    findings.extend(place(boot));
    let Some(loader) = &machine.loader else { return };
    findings.push(firmware(boot.firmware, loader));
    let mounts = |esp: &Path| machine.closure.as_ref().is_some_and(|c| c.mounts_at(esp).is_some());
    findings.extend(esp(boot, loader, mounts));
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
                findings.extend(on.then(|| secure_boot(loader.kind)));
            }
            Err(error) => findings.push(Finding::unread("secure-boot", &error)),
        }
    }
    findings.extend(grub_disks(machine, loader));
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

fn firmware(firmware: Firmware, loader: &Loader) -> Finding {
    let id = "firmware";
    let name = loader.kind.name();
    match (firmware, loader.kind) {
        (_, LoaderKind::None) => Finding::blocker(
            id,
            "the configuration installs no boot loader",
            "The machine would go on to boot the old system, or nothing",
            "boot.loader.grub.enable = true; or boot.loader.systemd-boot.enable = true;",
        ),
        (_, LoaderKind::InitScript) => Finding::warning(
            id,
            "the configuration writes /sbin/init only (boot.loader.initScript)",
            "That is for machines whose kernel comes from elsewhere; no initrd runs there, \
             and nothing lustrates",
            "boot.loader.initScript.enable = false; and a boot loader",
        ),
        (_, LoaderKind::Other) => Finding::unchecked(
            id,
            "the configuration installs a boot loader that is not known here",
            "See that it fits this machine's firmware: [ -d /sys/firmware/efi ] && echo UEFI",
        ),
        (Firmware::Bios, kind) if kind.needs_uefi() => Finding::blocker(
            id,
            format!("this machine was started by a BIOS, and {name} needs UEFI"),
            "The machine would not boot NixOS",
            "boot.loader.systemd-boot.enable = false;\n\
             boot.loader.grub = { enable = true; device = \"/dev/disk/by-id/…\"; };",
        ),
        (Firmware::Bios, LoaderKind::Grub) if loader.devices.is_empty() => Finding::blocker(
            id,
            "this machine was started by a BIOS, and GRUB has no disk to go to (device = \"nodev\")",
            "The boot sector would go on to start the old system's GRUB, whose files are moved",
            "boot.loader.grub.device = \"/dev/disk/by-id/…\"; # ls -l /dev/disk/by-id",
        ),
        (Firmware::Uefi, LoaderKind::Grub) if !loader.efi => Finding::blocker(
            id,
            "this machine was started by UEFI, and GRUB is configured for a BIOS",
            "The firmware would go on to start the old system, or nothing",
            "boot.loader.grub = { efiSupport = true; device = \"nodev\"; };\n\
             boot.loader.efi.canTouchEfiVariables = true;",
        ),
        (Firmware::Uefi, _) => Finding::ok(id, format!("started by UEFI, and so is {name}")),
        (Firmware::Bios, _) => {
            Finding::ok(id, format!("started without UEFI, and {name} needs none"))
        }
    }
}

/// Where the configuration expects the ESP, and where one is mounted.
fn esp(boot: &Boot, loader: &Loader, mounts: impl Fn(&Path) -> bool) -> Option<Finding> {
    let id = "esp";
    if boot.firmware == Firmware::Bios || !(loader.efi || loader.kind.needs_uefi()) {
        return None;
    }
    let Some(expected) = &loader.esp else {
        let why = "where the configuration expects the ESP could not be found out";
        let fix = "See that boot.loader.efi.efiSysMountPoint is where it is mounted";
        return Some(Finding::unchecked(id, why, fix));
    };
    if boot.esps.contains(expected) && !mounts(expected) {
        let expected = show(expected);
        return Some(Finding::warning(
            id,
            format!("the ESP is at {expected}, and the configuration does not mount it"),
            "The next rebuild would write into the directory below it, unseen by the firmware",
            format!(
                "fileSystems.\"{expected}\" = {{ device = \"/dev/disk/by-uuid/…\"; fsType = \"vfat\"; }};"
            ),
        ));
    }
    if boot.esps.contains(expected) {
        let found = format!("the ESP is at {}, where the configuration expects it", show(expected));
        return Some(Finding::ok(id, found));
    }
    let consequence = "The boot loader would be written where the firmware does not look";
    let expected = show(expected);
    Some(match boot.esps.first() {
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
    })
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

fn secure_boot(kind: LoaderKind) -> Finding {
    let id = "secure-boot";
    if kind == LoaderKind::Lanzaboote {
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

fn grub_disks(machine: &Machine<'_>, loader: &Loader) -> Vec<Finding> {
    let id = "boot-disk";
    let devices = crate::machine::devices::Devices::of(machine.sources);
    let mut findings = Vec::new();
    for disk in &loader.devices {
        use crate::machine::devices::Target;
        findings.push(match devices.resolve(disk) {
            Err(error) => Finding::unread(id, &error),
            Ok(Target::Missing) => Finding::blocker(
                id,
                format!("GRUB is to go to {disk}, and there is no such device"),
                "Its installation would fail (nixos-anywhere#159)",
                "boot.loader.grub.device = \"/dev/disk/by-id/…\"; # ls -l /dev/disk/by-id",
            ),
            Ok(Target::Unknown | Target::Other) => {
                let why = format!("GRUB is to go to {disk}, which could not be looked up");
                Finding::unchecked(id, why, "Look: lsblk")
            }
            Ok(Target::Device(device)) => {
                Finding::ok(id, format!("GRUB goes to {disk} ({device})"))
            }
        });
    }
    findings
}
