//! What is below the root, against what the initrd has.

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use serde_json::{Value, json};

use crate::common::system::{ROOT_UUID, System};
use crate::machine::{BOOT, Machine};

const ID: &str = "initrd-storage";
const DISK: &str = "devices/pci0000:00/0000:00:04.0/virtio1/block/vda";

/// One whose initrd has this, by the names of the facts.
fn system(more: &[(&str, Value)]) -> System {
    more.iter().fold(System::new(), |system, (key, value)| {
        system.fact(&format!("/initrd/{key}"), value.clone())
    })
}

/// With these kernel modules.
fn modules(list: &[&str]) -> System {
    system(&[("modules", json!(list))])
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

/// An entry of `boot.initrd.luks.devices`.
fn luks(name: &str, device: &str) -> Value {
    json!([{"name": name, "device": device, "token": false, "clevis": false}])
}

#[test]
fn each_layer_has_to_be_in_the_initrd() {
    let uuid = "dm/uuid";
    let usual = ["virtio_blk", "ext4"];
    let with = |module: &str| ("modules", json!([&usual[..], &[module]].concat()));
    for (device, entry, content, has, fix) in [
        ("dm-0", uuid, "LVM-abc", ("lvm", json!(true)), "boot.initrd.services.lvm.enable"),
        (
            "dm-0",
            uuid,
            "CRYPT-LUKS2-abc-root",
            ("luks", luks("x", "/dev/vda1")),
            "boot.initrd.luks.devices",
        ),
        (
            "dm-0",
            uuid,
            "mpath-360",
            ("loaded", json!(["dm-multipath"])),
            "services.multipath.enable",
        ),
        ("dm-0", uuid, "other", with("dm-mod"), "dm_mod"),
        ("md0", "md/level", "raid1", ("swraid", json!(true)), "boot.swraid.enable"),
        ("bcache0", "bcache/x", "", with("bcache"), "bcache"),
    ] {
        let none = system(&[("loaded", json!([]))]);
        above(&none, device, entry, content).expect(ID, Blocker, &[fix]);
        above(&system(&[("loaded", json!([])), has]), device, entry, content).expect(
            ID,
            Ok,
            &["and the initrd has it"],
        );
    }
    // Scripted stage 1 always has LVM.
    let scripted = system(&[("kind", json!("scripted"))]);
    above(&scripted, "dm-0", uuid, "LVM-abc").ok(ID);
    let nbd = above(&system(&[]), "nbd0", "size", "1");
    nbd.expect(ID, Blocker, &["Move the root to a disk"]);
    above(&modules(&["nbd"]), "nbd0", "size", "1").unchecked(ID, "does not say");
    above(&system(&[]), "dm-0", uuid, "DMRAID-x").unchecked(ID, "firmware RAID");
}

#[test]
fn the_initrd_has_to_open_what_is_open_now() {
    let uuid = ("dm/uuid", "CRYPT-LUKS2-abc-root");
    let opens = |device: &str| system(&[("luks", luks("cryptroot", device))]);
    let machine = |system: &System| above(system, "dm-0", uuid.0, uuid.1);
    let by_uuid = format!("/dev/disk/by-uuid/{ROOT_UUID}");
    machine(&opens(&by_uuid)).expect(ID, Ok, &["LUKS"]);
    machine(&opens("/dev/vda15")).expect(
        ID,
        Blocker,
        &["encrypted on vda1, and the initrd opens /dev/vda15", &by_uuid],
    );
    machine(&opens("/dev/disk/by-uuid/none")).expect(ID, Blocker, &["by-uuid/none"]);
    // The old system has another name for it.
    let named = opens(&by_uuid).fstab(&["/dev/mapper/cryptroot / ext4"]);
    let there = machine(&named);
    there.file("sys/devices/virtual/block/dm-0/dm/name", "luks-1234\n");
    there.expect("fstab-root", Ok, &["/dev/mapper/cryptroot at /, as it is now"]);
    there.ok(ID);
    let other = machine(&opens("/dev/vda15").fstab(&["/dev/mapper/cryptroot / ext4"]));
    other.expect("fstab-root", Blocker, &["(vda15) at /, which is dm-0 now"]);
    // By its own UUID, systemd gives up before a passphrase is typed.
    let waits = machine(&opens(&by_uuid).fstab(&["/dev/disk/by-uuid/inner / ext4"]));
    waits.link("dev/disk/by-uuid/inner", "../../dm-0");
    waits.expect(ID, Warning, &["90 seconds", "device = \"/dev/mapper/cryptroot\";"]);
    let scripted = opens(&by_uuid).fact("/initrd/kind", json!("scripted"));
    let waits = machine(&scripted.fstab(&["/dev/disk/by-uuid/inner / ext4"]));
    waits.link("dev/disk/by-uuid/inner", "../../dm-0");
    waits.expect(ID, Ok, &[]);
}

#[test]
fn without_an_initrd_nothing_lustrates() {
    let none = System::new().fact("initrd", json!({"kind": "none"}));
    Machine::with(&none).expect(ID, Blocker, &["boot.initrd.enable = true;"]);
}

#[test]
fn layers_upon_layers_are_all_found() {
    let machine = above(&system(&[("luks", luks("x", "/dev/vda1"))]), "dm-1", "dm/uuid", "LVM-abc");
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
    for (has, level) in [(json!(null), Blocker), (json!("iqn.2026-01.org.example:root"), Ok)] {
        let machine = Machine::with(&system(&[("iscsi", has)]));
        machine.disk("sda", "8:0", place);
        machine.superblock("sda", &[]);
        machine.mounts(&["21 1 8:0 / / rw - ext4 /dev/sda rw", BOOT]);
        machine.expect(ID, level, &["iSCSI"]);
    }
}

#[test]
fn file_systems_with_devices_of_their_own_are_layers_too() {
    for (line, has) in [
        ("21 1 0:40 / / rw - zfs rpool/root rw", ("zfs", json!({"pools": ["rpool"]}))),
        ("21 1 0:41 / / rw - bcachefs /dev/vda1:/dev/vdb rw", ("fileSystems", json!(["bcachefs"]))),
    ] {
        for (more, level) in [(&[][..], Blocker), (&[has][..], Ok)] {
            let machine = Machine::with(&system(more));
            machine.mounts(&[line, BOOT]);
            let says = if level == Blocker { "supportedFilesystems" } else { "has it" };
            machine.expect(ID, level, &[says]);
        }
    }
}

#[test]
fn an_initrd_that_is_not_told_of_is_not_judged() {
    let unknown = System::new().fact("initrd", json!(null));
    let machine = above(&unknown, "dm-0", "dm/uuid", "LVM-abc");
    machine.unchecked("configuration", "boot.initrd");
    assert!(machine.report().find(ID).is_none());
    assert!(machine.report().find("initrd-drivers").is_none());
}

#[test]
fn the_drivers_of_the_disk_have_to_be_in_it() {
    let id = "initrd-drivers";
    Machine::new().ok(id);
    let bare = modules(&["ext4"]);
    Machine::with(&bare).expect(id, Blocker, &["availableKernelModules = [ \"virtio_blk\" ];"]);
    // Built in is as good, and so is what another one needs.
    let folder = "kernel-modules/lib/modules/6.12";
    let builtin = format!("{folder}/modules.builtin");
    let monolithic = bare.clone().text(&builtin, "kernel/drivers/block/virtio_blk.ko\n");
    Machine::with(&monolithic).ok(id);
    let needs = "a/x-y.ko.xz: b/virtio_blk.ko.xz\nb/virtio_blk.ko.xz:\n";
    let needed = modules(&["ext4", "x_y"]).text(&format!("{folder}/modules.dep"), needs);
    Machine::with(&needed).ok(id);
    Machine::with(&bare.without(&builtin)).unchecked(id, "may be built into the kernel");
    let machine = Machine::new();
    machine.driver("devices/pci0000:00/0000:00:04.0", "odd_bus");
    machine.expect(id, Warning, &["odd_bus"]);
    // What that kernel has not has another name in it.
    machine.driver("devices/pci0000:00/0000:00:04.0", "pcieport");
    machine.ok(id);
    Machine::with(&modules(&["virtio_blk"])).expect(id, Blocker, &["\"ext4\""]);
}

#[test]
fn a_device_that_sys_does_not_know_is_not_judged() {
    let machine = Machine::new();
    machine.mounts(&["21 1 9:9 / / rw - ext4 /dev/gone rw", BOOT]);
    machine.unchecked(ID, "is not in /sys");
}
