//! /boot, the boot loader, the firmware, and features that are too new for them.

use std::os::unix::fs::PermissionsExt;

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use serde_json::json;

use crate::common::system::System;
use crate::machine::{BOOT, Machine, ROOT};

/// A configuration that installs GRUB.
fn grub(disks: &[&str], efi: bool) -> System {
    let esp = if efi { json!("/boot") } else { json!(null) };
    let esps = if efi { json!(["/boot"]) } else { json!([]) };
    let told = json!({"kind": "grub", "enabled": ["grub"], "efi": efi, "esps": esps,
        "writes": ["/boot"], "grub": {"copyKernels": false, "forceInstall": false},
        "mirrors": [{"path": "/boot", "devices": disks, "esp": esp}]});
    System::new().fact("bootLoader", told).fact("/system/tools/grub", json!("2.06"))
}

/// One that installs something else.
fn loader(kind: &str) -> System {
    System::new().fact("bootLoader", json!({"kind": kind, "enabled": [kind]}))
}

const DISK: &[&str] = &["/dev/vda"];

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
    bios(&grub(DISK, false)).expect(id, Ok, &["GRUB needs none"]);
    bios(&grub(&["nodev"], true)).expect(id, Blocker, &["no disk to go to"]);
    Machine::with(&grub(DISK, false)).expect(id, Blocker, &["GRUB is configured for a BIOS"]);
    Machine::with(&grub(&["nodev"], true)).ok(id);
    Machine::with(&loader("none")).expect(id, Blocker, &["installs no boot loader"]);
    for other in ["external", "of-the-future"] {
        Machine::with(&loader(other)).unchecked(id, "not known here");
    }
    Machine::with(&loader("initScript")).expect(id, Warning, &["/sbin/init only"]);
    let extlinux = loader("generic-extlinux-compatible");
    bios(&extlinux).expect(id, Blocker, &["this machine is a PC", "extlinux"]);
    let mut board = bios(&extlinux);
    "aarch64".clone_into(&mut board.options.sources.arch);
    board.expect(id, Ok, &["extlinux needs none"]);
    Machine::new().expect("boot-loader", Ok, &["installs systemd-boot"]);
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
    assert!(bios(&grub(DISK, false)).report().find("esp").is_none());
    let second = System::new().fact("/bootLoader/esps", json!(["/boot", "/efi"]));
    Machine::with(&second).expect("esp", Blocker, &["expects the ESP at /efi"]);
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
fn grub_has_to_go_to_the_disks_that_are_started() {
    let id = "boot-disk";
    bios(&grub(DISK, false)).expect(id, Ok, &["/dev/vda"]);
    let gone = grub(&["/dev/disk/by-id/gone"], false);
    bios(&gone).expect(id, Blocker, &["/dev/disk/by-id/gone"]);
    bios(&grub(&["/dev/vda1"], false)).expect(id, Warning, &["a partition (vda1) of vda"]);
    let machine = bios(&grub(&["/dev/vdb"], false));
    machine.disk("vdb", "254:16", "devices/vdb");
    machine.expect(id, Warning, &["/boot is on vda too"]);
    // Both halves of a RAID.
    for (disks, level) in [(&["/dev/vda"][..], Warning), (&["/dev/vda", "/dev/vdb"], Ok)] {
        let machine = bios(&grub(disks, false));
        machine.disk("vdb", "254:16", "devices/vdb");
        machine.partition("vdb", "vdb1", "254:17", "second");
        machine.disk("md0", "9:0", "devices/virtual/block/md0");
        machine.file("sys/devices/virtual/block/md0/md/level", "raid1\n");
        for half in ["vda1", "vdb1"] {
            let slave = format!("sys/devices/virtual/block/md0/slaves/{half}");
            machine.link(&slave, &format!("../../../../../class/block/{half}"));
        }
        machine.mounts(&["21 1 9:0 / / rw - ext4 /dev/md0 rw"]);
        machine.expect(id, level, if level == Ok { &[] } else { &["/boot is on vdb too"] });
    }
    // With a GPT it needs a partition of its own.
    let gpt = |of_vda15: &str| {
        let machine = bios(&grub(DISK, false));
        for (name, numbers) in [("vda", "254:0"), ("vda/vda1", "254:1"), ("vda/vda15", "254:15")] {
            let place = "sys/devices/pci0000:00/0000:00:04.0/virtio1/block";
            machine.file(&format!("{place}/{name}/dev"), format!("{numbers}\n"));
        }
        machine.file("run/udev/data/b254:0", "E:ID_PART_TABLE_TYPE=gpt\n");
        machine.file("run/udev/data/b254:1", "E:ID_PART_TABLE_TYPE=gpt\n");
        machine.file("run/udev/data/b254:15", format!("E:ID_PART_ENTRY_TYPE={of_vda15}\n"));
        machine
    };
    let other = gpt("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    other.expect(id, Blocker, &["vda, whose GPT has no BIOS boot partition"]);
    gpt("21686148-6449-6e6f-744e-656564454649").ok(id);
    // Started by UEFI, none of them counts.
    assert!(Machine::with(&grub(&["nodev"], true)).report().find(id).is_none());
}

#[test]
fn a_disk_without_partitions_is_started_from_outside() {
    let whole = |disks: &[&str]| {
        let machine = bios(&grub(disks, false));
        machine.superblock("vda", &[]);
        machine.mounts(&["21 1 254:0 / / rw - ext4 /dev/vda rw"]);
        machine
    };
    whole(&["nodev"]).expect("firmware", Ok, &["no partition table"]);
    whole(DISK).expect("boot-disk", Warning, &["no partition table", "nodev"]);
}

#[test]
fn secure_boot_refuses_what_is_not_signed() {
    let variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let machine = Machine::new();
    machine.file(variable, [6, 0, 0, 0, 1]);
    machine.expect("secure-boot", Blocker, &["is not signed", "lanzaboote"]);
    machine.file(variable, [6, 0, 0, 0, 0]);
    assert!(machine.report().find("secure-boot").is_none());
    let machine = Machine::with(&System::new().fact("/bootLoader/kind", json!("lanzaboote")));
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
    let old = System::new().fact("/system/tools/e2fsprogs", json!("1.46.5"));
    let machine = Machine::with(&old);
    machine.ok(id);
    machine.superblock("vda1", &[(0x5d, 0x10)]);
    machine.expect(id, Warning, &["/ has orphan_file", "file system check"]);
    let machine = bios(&grub(DISK, false));
    machine.mounts(&[ROOT]);
    machine.superblock("vda1", &[(0x61, 0x20)]);
    machine.expect(id, Blocker, &["/ has metadata_csum_seed", "GRUB"]);
    // With a /boot of its own, GRUB does not read the root.
    machine.mounts(&[ROOT, BOOT]);
    machine.ok(id);
    let machine = Machine::with(&System::new().fact("/system/kernel", json!("5.1.0")));
    machine.superblock("vda1", &[(0x62, 0x2)]);
    machine.expect(id, Blocker, &["/ has casefold", "kernel"]);
    machine.remove("dev/vda1");
    machine.unchecked(id, "dev/vda1': No such file");
}
