//! The configuration's fstab against what is mounted.

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use serde_json::json;

use crate::common::system::{BOOT_UUID, ROOT_UUID, System};
use crate::machine::{BOOT, Machine, ROOT};

/// A machine whose configuration mounts these.
fn with(lines: &[&str]) -> Machine {
    Machine::with(&System::new().fstab(lines))
}

#[test]
fn the_root_may_be_named_in_every_way() {
    for spec in [
        format!("UUID={ROOT_UUID}"),
        format!("/dev/disk/by-uuid/{ROOT_UUID}"),
        "LABEL=my\\040root".to_owned(),
        "/dev/disk/by-label/my\\134x20root".to_owned(),
        "PARTUUID=p1".to_owned(),
        "PARTLABEL=rootfs".to_owned(),
        "/dev/vda1".to_owned(),
    ] {
        let machine = with(&[&format!("{spec} / ext4 defaults 0 1")]);
        machine.link("dev/disk/by-label/my\\x20root", "../../vda1");
        machine.link("dev/disk/by-partuuid/p1", "../../vda1");
        machine.link("dev/disk/by-partlabel/rootfs", "../../vda1");
        machine.ok("fstab-root");
    }
}

#[test]
fn another_root_blocks() {
    let says = ["there is no such device", &format!("/dev/disk/by-uuid/{ROOT_UUID}")];
    with(&["UUID=none / ext4 defaults 0 1"]).expect("fstab-root", Blocker, &says);
    with(&["LABEL=nixos / ext4"]).expect("fstab-root", Blocker, &["LABEL=nixos"]);
    let other = with(&[&format!("UUID={BOOT_UUID} / ext4")]);
    other.expect("fstab-root", Blocker, &["(vda15) at /, which is vda1 now"]);
    let wrong = with(&[&format!("UUID={ROOT_UUID} / xfs")]);
    wrong.expect("fstab-root", Blocker, &["as xfs, and it is ext4", "fsType = \"ext4\""]);
    with(&["tmpfs / tmpfs"]).expect("fstab-root", Blocker, &["which is /dev/vda1 now"]);
    with(&["/dev/vda15 /boot vfat"]).expect("fstab-root", Blocker, &["does not mount it"]);
    let auto = with(&[&format!("UUID={ROOT_UUID} / auto")]);
    auto.ok("fstab-root");
}

#[test]
fn without_udev_nothing_is_claimed() {
    let machine = with(&["UUID=none / ext4 defaults 0 1"]);
    machine.remove("dev/disk");
    machine.unchecked("fstab-root", "no /dev/disk");
}

#[test]
fn names_by_the_order_of_disks_are_warned_about() {
    let machine = with(&["/dev/vda1 / ext4"]);
    machine.expect("device-names", Warning, &["/dev/vda1", "by-uuid"]);
    Machine::new().ok("device-names");
}

#[test]
fn mapped_devices_are_known_by_name() {
    let place = "devices/virtual/block/dm-0";
    for links in [true, false] {
        let machine = with(&["/dev/mapper/vg-root / ext4"]);
        machine.disk("dm-0", "253:0", place);
        machine.file(&format!("sys/{place}/dm/name"), "vg-root\n");
        if links {
            machine.link("dev/mapper/vg-root", "../dm-0");
        } else {
            machine.file("dev/mapper/vg-root", "");
        }
        machine.mounts(&["21 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw", BOOT]);
        machine.ok("fstab-root");
        machine.mounts(&[ROOT, BOOT]);
        machine.expect("fstab-root", Blocker, &["(dm-0) at /, which is vda1 now"]);
    }
}

#[test]
fn a_btrfs_subvolume_has_to_be_the_same() {
    let live = "21 1 0:30 /@ / rw - btrfs /dev/vda1 rw,subvolid=256,subvol=/@";
    let machine = |options: &str| {
        let machine = with(&[&format!("UUID={ROOT_UUID} / btrfs {options} 0 0")]);
        machine.mounts(&[live, BOOT]);
        machine
    };
    machine("subvol=@").expect("fstab-root", Ok, &["subvolume @"]);
    machine("subvol=/@").ok("fstab-root");
    let says = ["subvolume root at /, which is @ now", "options = [ \"subvol=@\" ];"];
    machine("subvol=root").expect("fstab-root", Blocker, &says);
    machine("defaults").expect("fstab-root", Warning, &["names none"]);
    machine("subvolid=256").unchecked("fstab-root", "the id 256");
    // Of several devices the UUID's link may lead to any.
    let several = machine("subvol=@");
    several.disk("vdb", "254:16", "devices/vdb");
    several.link(&format!("dev/disk/by-uuid/{ROOT_UUID}"), "../../vdb");
    several.expect("fstab-root", Blocker, &["(vdb)"]);
    several.directory("sys/fs/btrfs/u/devices/vda1");
    several.directory("sys/fs/btrfs/u/devices/vdb");
    several.ok("fstab-root");
}

#[test]
fn a_separate_nix_has_to_be_mounted_by_both() {
    let live = "31 21 254:2 / /nix rw - ext4 /dev/vda2 rw";
    let root = format!("UUID={ROOT_UUID} / ext4");
    let machine = with(&[&root]);
    machine.partition("vda", "vda2", "254:2", "n1x");
    machine.mounts(&[ROOT, BOOT, live]);
    let says = ["/nix is a file system of its own", "device = \"/dev/disk/by-uuid/n1x\""];
    machine.expect("fstab-nix", Blocker, &says);
    let machine = with(&[&root, "UUID=n1x /nix ext4"]);
    machine.partition("vda", "vda2", "254:2", "n1x");
    machine.expect("fstab-nix", Blocker, &["nothing is mounted now", "would hide it"]);
    machine.mounts(&[ROOT, BOOT, live]);
    machine.ok("fstab-nix");
    let machine = with(&[&root]);
    machine.mounts(&[ROOT, BOOT, &live.replace("/nix", "/nix/store")]);
    machine.expect("fstab-nix", Blocker, &["/nix/store is a file system of its own"]);
    assert!(Machine::new().report().find("fstab-nix").is_none());
}

#[test]
fn boot_has_to_be_what_the_configuration_expects() {
    let root = format!("UUID={ROOT_UUID} / ext4");
    Machine::new().ok("fstab-boot");
    with(&[&root]).expect("fstab-boot", Warning, &["/boot is a file system of its own"]);
    let machine = with(&[&root, &format!("UUID={BOOT_UUID} /boot vfat")]);
    machine.mounts(&[ROOT]);
    machine.expect(
        "fstab-boot",
        Blocker,
        &["nothing is mounted now", "mount UUID=B007-0001 /boot"],
    );
    let machine = with(&[&root, "UUID=none /boot vfat"]);
    machine.expect("fstab-boot", Blocker, &["no such device"]);
}

#[test]
fn other_devices_have_to_be_there_too() {
    let root = format!("UUID={ROOT_UUID} / ext4");
    let id = "fstab-devices";
    with(&[&root, "UUID=none /data ext4"]).expect(id, Blocker, &["/data", "nofail"]);
    with(&[&root, "UUID=none none swap"]).expect(id, Warning, &["90 seconds"]);
    for fine in [
        "UUID=none /data ext4 nofail",
        "UUID=none /data ext4 x-systemd.automount",
        "tmpfs /tmp tmpfs",
        "server:/x /data nfs",
        "/srv/a /srv/b none bind",
        "/swapfile none swap",
    ] {
        assert!(with(&[&root, fine]).report().find(id).is_none(), "{fine}");
    }
}

#[test]
fn labels_of_any_alphabet_are_found() {
    let root = format!("UUID={ROOT_UUID} / ext4");
    let id = "fstab-devices";
    for (spec, there) in [
        ("LABEL=Données\\040perso", true),
        ("LABEL=my\\040data", true),
        ("/dev/disk/by-label/my\\134x20data", true),
        ("PARTLABEL=EFI\\040System\\040Partition", true),
        ("LABEL=mydata", false),
    ] {
        let machine = with(&[&root, &format!("{spec} /srv ext4")]);
        for link in [
            "by-label/Données\\x20perso",
            "by-label/my\\x20data",
            "by-partlabel/EFI\\x20System\\x20Partition",
        ] {
            machine.link(&format!("dev/disk/{link}"), "../../vda1");
        }
        assert_eq!(machine.report().find(id).is_none(), there, "{spec}");
    }
}

#[test]
fn what_is_opened_later_need_not_be_there_now() {
    let system = System::new().fstab(&["/dev/vda1 / ext4", "/dev/mapper/data /srv ext4"]);
    let id = "fstab-devices";
    Machine::with(&system).expect(id, Blocker, &["/dev/mapper/data"]);
    // By stage 2, or by the initrd.
    let table = system.clone().text("etc/crypttab", "data /dev/vda15 - luks\n");
    assert!(Machine::with(&table).report().find(id).is_none());
    let opens = |device: &str| {
        let entry = json!([{"name": "data", "device": device, "token": false, "clevis": false}]);
        Machine::with(&system.clone().fact("/initrd/luks", entry))
    };
    assert!(opens("/dev/vda15").report().find(id).is_none());
    opens("/dev/vdz").expect(id, Blocker, &["/dev/mapper/data"]);
}

#[test]
fn a_source_that_is_not_told_is_not_judged() {
    let untold = System::new().facts(|facts| {
        facts["fileSystems"][0].as_object_mut().expect("a record").remove("device");
    });
    Machine::with(&untold).unchecked("fstab-root", "does not say from where");
}
