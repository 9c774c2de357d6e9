//! /boot, the boot loader, the firmware, and features that are too new for them.

use std::os::unix::fs::PermissionsExt;

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use crate::common::system::System;
use crate::machine::{BOOT, Machine, ROOT};

/// A closure that installs GRUB.
fn grub(devices: &str, efi: &str) -> System {
    let xml = format!(
        "<attrs><attr name=\"bootPath\"><string value=\"/boot\" /></attr>\
         <attr name=\"devices\"><list>{devices}</list></attr>\
         <attr name=\"efiSysMountPoint\"><string value=\"/boot\" /></attr>\
         <attr name=\"fullVersion\"><string value=\"2.06\" /></attr>\
         <attr name=\"grubTargetEfi\"><string value=\"{efi}\" /></attr></attrs>"
    );
    System::new()
        .part("grub-config.xml", xml)
        .part("install-grub.sh", "#!/bin/sh\nperl install-grub.pl @part:grub-config.xml@ $@\n")
        .text("bin/switch-to-configuration", "INSTALL_BOOTLOADER='@part:install-grub.sh@'\n")
}

const DISK: &str = "<string value=\"/dev/vda\" />";

fn bios(system: &System) -> Machine {
    let machine = Machine::with(system);
    machine.remove("sys/firmware/efi");
    machine
}

#[test]
fn what_boot_is_is_told() {
    let machine = Machine::new();
    machine.expect("boot", Ok, &["/boot is the ESP itself"]);
    machine.mounts(&[ROOT]);
    machine.expect("boot", Ok, &["/boot is a directory"]);
    let ext4 = BOOT.replace("vfat", "ext4");
    machine.mounts(&[ROOT, &ext4, "32 30 254:15 / /boot/efi rw - vfat /dev/vda15 rw"]);
    machine.expect("boot", Ok, &["a file system of its own, the ESP is at /boot/efi"]);
    machine.mounts(&[ROOT]);
    machine.remove("root/boot");
    machine.expect("boot", Ok, &["there is no /boot"]);
    machine.link("root/boot", "usr");
    machine.expect("boot", Blocker, &["neither a directory nor a mount point"]);
}

#[test]
fn a_boot_that_is_not_mounted_blocks() {
    let machine = Machine::new();
    machine.file("root/etc/fstab", "UUID=1 /boot/efi vfat\nUUID=2 /boot ext4\n");
    machine.expect(
        "boot",
        Blocker,
        &["/etc/fstab has /boot/efi, and it is not mounted", "mount /boot/efi"],
    );
    let report = machine.report();
    assert_eq!(report.findings.iter().filter(|f| f.id == "boot" && f.level == Blocker).count(), 1);
}

#[test]
fn the_loader_has_to_fit_the_firmware() {
    let id = "firmware";
    Machine::new().expect(id, Ok, &["systemd-boot"]);
    bios(&System::new()).expect(id, Blocker, &["systemd-boot needs UEFI", "boot.loader.grub"]);
    bios(&grub(DISK, "")).expect(id, Ok, &["GRUB needs none"]);
    bios(&grub("<string value=\"nodev\" />", "x86_64-efi")).expect(
        id,
        Blocker,
        &["no disk to go to"],
    );
    Machine::with(&grub(DISK, "")).expect(id, Blocker, &["GRUB is configured for a BIOS"]);
    Machine::with(&grub("", "x86_64-efi")).ok(id);
    let none =
        System::new().text("bin/switch-to-configuration", "INSTALL_BOOTLOADER='/bin/true'\n");
    Machine::with(&none).expect(id, Blocker, &["installs no boot loader"]);
    let other = System::new()
        .part("my-own-boot-loader", "")
        .text("bin/switch-to-configuration", "INSTALL_BOOTLOADER='@part:my-own-boot-loader@'\n");
    Machine::with(&other).unchecked(id, "not known here");
    let init = System::new().part("init-script-builder.sh", "").text(
        "bin/switch-to-configuration",
        "INSTALL_BOOTLOADER='@part:init-script-builder.sh@'\n",
    );
    Machine::with(&init).expect(id, Warning, &["/sbin/init only"]);
}

#[test]
fn the_esp_has_to_be_where_the_configuration_expects_it() {
    let machine = Machine::new();
    machine.expect("esp", Ok, &["/boot"]);
    machine.mounts(&[ROOT, &BOOT.replace(" /boot ", " /boot/efi ")]);
    let says =
        ["expects the ESP at /boot, and it is at /boot/efi", "efiSysMountPoint = \"/boot/efi\""];
    machine.expect("esp", Blocker, &says);
    machine.mounts(&[ROOT]);
    machine.expect("esp", Blocker, &["none is mounted there"]);
    let unmounted = System::new().fstab(&["/dev/vda1 / ext4"]);
    Machine::with(&unmounted).expect("esp", Warning, &["does not mount it", "fsType = \"vfat\""]);
    let silent = System::new().part("systemd-boot", "nothing");
    Machine::with(&silent).unchecked("esp", "could not be found out");
    assert!(bios(&grub(DISK, "")).report().find("esp").is_none());
}

#[test]
fn an_esp_that_others_use_is_told() {
    let machine = Machine::new();
    for name in ["BOOT", "Linux"] {
        machine.directory(&format!("root/boot/EFI/{name}"));
    }
    assert!(machine.report().find("esp-shared").is_none());
    machine.directory("root/boot/EFI/Microsoft");
    machine.expect("esp-shared", Ok, &["also serves Microsoft, which stays"]);
}

#[test]
fn grubs_disk_has_to_be_there() {
    bios(&grub(DISK, "")).expect("boot-disk", Ok, &["/dev/vda"]);
    let gone = "<string value=\"/dev/disk/by-id/gone\" />";
    bios(&grub(gone, "")).expect("boot-disk", Blocker, &["/dev/disk/by-id/gone"]);
}

#[test]
fn secure_boot_refuses_what_is_not_signed() {
    let variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let machine = Machine::new();
    machine.file(variable, [6, 0, 0, 0, 1]);
    machine.expect("secure-boot", Blocker, &["is not signed", "lanzaboote"]);
    machine.file(variable, [6, 0, 0, 0, 0]);
    assert!(machine.report().find("secure-boot").is_none());
    let signed = System::new().part("lanzaboote-install", "");
    let signed = signed
        .text("bin/switch-to-configuration", "INSTALL_BOOTLOADER='@part:lanzaboote-install@'\n");
    let machine = Machine::with(&signed);
    machine.file(variable, [6, 0, 0, 0, 1]);
    machine.expect("secure-boot", Warning, &["sbctl"]);
}

#[test]
fn there_has_to_be_room() {
    let machine = Machine::new();
    machine.expect("boot-room", Ok, &["are free on /boot"]);
    let store = std::fs::read_dir(machine.path("root/nix/store")).expect("a store");
    let mut paths = store.map(|entry| entry.expect("an entry").path());
    let kernel = paths.find(|path| path.to_string_lossy().ends_with("-bzImage")).expect("a kernel");
    std::fs::set_permissions(&kernel, PermissionsExt::from_mode(0o644)).expect("writable");
    // Larger than any file system that tests run on.
    let file = std::fs::OpenOptions::new().write(true).open(kernel).expect("the kernel");
    file.set_len(1 << 43).expect("a sparse file");
    machine.expect("boot-room", Blocker, &["would fail half-way"]);
}

#[test]
fn features_newer_than_the_closure_are_found() {
    let id = "features";
    Machine::new().ok(id);
    // orphan_file, by e2fsprogs 1.47; metadata_csum_seed, by GRUB 2.12.
    let old = System::new()
        .part("e2fsprogs-1.46.5-bin", "")
        .link("sw/bin/e2fsck", "@part:e2fsprogs-1.46.5-bin@");
    let machine = Machine::with(&old);
    machine.ok(id);
    machine.superblock("vda1", &[(0x5d, 0x10)]);
    machine.expect(id, Warning, &["/ has orphan_file", "file system check"]);
    let machine = bios(&grub(DISK, ""));
    machine.mounts(&[ROOT]);
    machine.superblock("vda1", &[(0x61, 0x20)]);
    machine.expect(id, Blocker, &["/ has metadata_csum_seed", "GRUB"]);
    // With a /boot of its own, GRUB does not read the root.
    machine.mounts(&[ROOT, BOOT]);
    machine.ok(id);
    let kernel = System::new().part("linux-5.1.0", "").link("kernel", "@part:linux-5.1.0@");
    let machine = Machine::with(&kernel);
    machine.superblock("vda1", &[(0x62, 0x2)]);
    machine.expect(id, Blocker, &["/ has casefold", "kernel"]);
    machine.remove("dev/vda1");
    machine.unchecked(id, "dev/vda1': No such file");
}
