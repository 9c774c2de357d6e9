//! What is below the root, against what the initrd has.

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use crate::common::system::{System, initrd};
use crate::machine::{BOOT, Machine};

const ID: &str = "initrd-storage";
const DISK: &str = "devices/pci0000:00/0000:00:04.0/virtio1/block/vda";

/// What every machine here needs.
const USUAL: [&str; 3] = ["bin/nixos-lustrate", "m/virtio_blk.ko.xz", "m/ext4.ko.xz"];

fn system(more: &[&str]) -> System {
    System::new().part("initrd", initrd(&[&USUAL, more].concat()))
}

/// A machine whose root is on `device` above the disk.
fn above(system: &System, device: &str, entry: &str, content: &str) -> Machine {
    let machine = Machine::with(system);
    let place = format!("devices/virtual/block/{device}");
    machine.disk(device, "253:7", &place);
    machine.file(&format!("sys/{place}/{entry}"), content);
    machine.directory(&format!("sys/{place}/slaves"));
    machine.link(&format!("sys/{place}/slaves/vda1"), &format!("/{DISK}/vda1"));
    machine.superblock(device, &[]);
    machine.mounts(&[&format!("21 1 253:7 / / rw - ext4 /dev/{device} rw"), BOOT]);
    machine
}

#[test]
fn a_plain_partition_needs_nothing() {
    Machine::new().expect(ID, Ok, &["plain disk"]);
}

#[test]
fn each_layer_has_to_be_in_the_initrd() {
    let uuid = "dm/uuid";
    for (device, entry, content, has, fix) in [
        ("dm-0", uuid, "LVM-abc", "s/lvm2/bin/lvm", "boot.initrd.services.lvm.enable"),
        ("dm-0", uuid, "CRYPT-LUKS2-abc-root", "etc/crypttab", "boot.initrd.luks.devices"),
        ("dm-0", uuid, "mpath-360", "bin/multipathd", "services.multipath.enable"),
        ("dm-0", uuid, "DMRAID-x", "bin/dmraid", "md"),
        ("dm-0", uuid, "other", "m/dm-mod.ko.xz", "dm_mod"),
        ("md0", "md/level", "raid1", "bin/mdadm", "boot.swraid.enable"),
        ("bcache0", "bcache/x", "", "m/bcache.ko", "bcache"),
        ("nbd0", "size", "1", "bin/nbd-client", "disk"),
    ] {
        above(&system(&[]), device, entry, content).expect(ID, Blocker, &[fix]);
        above(&system(&[has]), device, entry, content).expect(ID, Ok, &["and the initrd has it"]);
    }
}

#[test]
fn layers_upon_layers_are_all_found() {
    let machine = above(&system(&["etc/crypttab"]), "dm-1", "dm/uuid", "LVM-abc");
    let crypt = "devices/virtual/block/dm-0";
    machine.disk("dm-0", "253:0", crypt);
    machine.file(&format!("sys/{crypt}/dm/uuid"), "CRYPT-LUKS2-abc\n");
    machine.link("sys/devices/virtual/block/dm-1/slaves/dm-0", &format!("/{crypt}"));
    let report = machine.report();
    let levels: Vec<_> = report
        .findings
        .iter()
        .filter(|f| f.id == ID)
        .map(|f| (f.level, f.found.contains("LVM")))
        .collect();
    assert_eq!(levels, [(Blocker, true), (Ok, false)]);
}

#[test]
fn a_disk_of_a_server_is_known_by_its_session() {
    let place = "devices/platform/host2/session1/target2:0:0/2:0:0:1/block/sda";
    for (has, level) in [(&[][..], Blocker), (&["bin/iscsid"], Ok)] {
        let machine = Machine::with(&system(has));
        machine.disk("sda", "8:0", place);
        machine.superblock("sda", &[]);
        machine.mounts(&["21 1 8:0 / / rw - ext4 /dev/sda rw", BOOT]);
        machine.expect(ID, level, &["iSCSI"]);
    }
}

#[test]
fn file_systems_with_devices_of_their_own_are_layers_too() {
    for (line, has) in [
        ("21 1 0:40 / / rw - zfs rpool/root rw", "m/zfs.ko.xz"),
        ("21 1 0:41 / / rw - bcachefs /dev/vda1:/dev/vdb rw", "bin/bcachefs"),
    ] {
        for (more, level) in [(&[][..], Blocker), (&[has], Ok)] {
            let machine = Machine::with(&system(more));
            machine.mounts(&[line, BOOT]);
            let says = if level == Blocker { "supportedFilesystems" } else { "has it" };
            machine.expect(ID, level, &[says]);
        }
    }
}

#[test]
fn an_initrd_that_cannot_be_read_is_not_judged() {
    let unknown = System::new().part("initrd", b"\x02\x21\x4c\x18");
    above(&unknown, "dm-0", "dm/uuid", "LVM-abc").unchecked(ID, "compressed by lz4");
    Machine::with(&unknown).unchecked("initrd-drivers", "compressed by lz4");
}

#[test]
fn the_drivers_of_the_disk_have_to_be_in_it() {
    let id = "initrd-drivers";
    Machine::new().ok(id);
    let bare = System::new().part("initrd", initrd(&["bin/nixos-lustrate", "m/ext4.ko.xz"]));
    Machine::with(&bare).expect(id, Blocker, &["availableKernelModules = [ \"virtio_blk\" ];"]);
    // Built in is as good.
    let builtin = "kernel-modules/lib/modules/6.12/modules.builtin";
    let monolithic = bare.clone().text(builtin, "kernel/drivers/block/virtio_blk.ko\n");
    Machine::with(&monolithic).ok(id);
    Machine::with(&bare.without(builtin)).unchecked(id, "may be built into the kernel");
    let machine = Machine::with(&system(&[]));
    machine.driver("devices/pci0000:00/0000:00:04.0", "odd_bus");
    machine.expect(id, Warning, &["odd_bus"]);
    let no_ext4 =
        System::new().part("initrd", initrd(&["bin/nixos-lustrate", "m/virtio_blk.ko.xz"]));
    Machine::with(&no_ext4).expect(id, Blocker, &["\"ext4\""]);
}

#[test]
fn a_device_that_sys_does_not_know_is_not_judged() {
    let machine = Machine::new();
    machine.mounts(&["21 1 9:9 / / rw - ext4 /dev/gone rw", BOOT]);
    machine.unchecked(ID, "is not in /sys");
}
