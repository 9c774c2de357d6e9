//! File systems of their own.

use nixos_lustrate::check::Level::{Ok, Warning};

use crate::common::system::{ROOT_UUID, System};
use crate::machine::{BOOT, Machine, ROOT};

const ID: &str = "separate";

#[test]
fn what_the_configuration_does_not_mount_is_named_with_the_line_for_it() {
    for point in ["/home", "/var", "/srv"] {
        let machine = Machine::new();
        machine.partition("vda", "vda3", "254:3", "h0me");
        machine.mounts(&[ROOT, BOOT, &format!("40 21 254:3 / {point} rw - ext4 /dev/vda3 rw")]);
        let line = format!(
            "fileSystems.\"{point}\" = {{ device = \"/dev/disk/by-uuid/h0me\"; fsType = \"ext4\"; }};"
        );
        machine.expect(ID, Warning, &[&line]);
    }
}

#[test]
fn what_it_mounts_is_ok() {
    let home = "40 21 254:3 / /home rw - ext4 /dev/vda3 rw";
    let root = format!("UUID={ROOT_UUID} / ext4");
    let machine = Machine::with(&System::new().fstab(&[&root, "UUID=h0me /home ext4"]));
    machine.mounts(&[ROOT, BOOT, home]);
    machine.expect(ID, Ok, &["/home"]);
    let unit = Machine::with(&System::new().text("etc/systemd/system/home.mount", "[Mount]\n"));
    unit.mounts(&[ROOT, BOOT, home]);
    unit.expect(ID, Ok, &["/home"]);
}

#[test]
fn what_the_kernel_makes_and_what_passes_does_not_count() {
    let machine = Machine::new();
    machine.mounts(&[
        ROOT,
        BOOT,
        "41 21 0:5 / /proc rw - proc proc rw",
        "42 21 0:6 / /tmp rw - tmpfs tmpfs rw",
        "43 21 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro",
        "44 21 254:1 /x /var/lib/docker/overlay2 rw - ext4 /dev/vda1 rw",
    ]);
    machine.expect(ID, Ok, &["everything but /boot"]);
}

#[test]
fn a_subvolume_is_named_with_its_option() {
    let machine = Machine::new();
    machine.mounts(&[ROOT, BOOT, "40 21 0:31 /@home /home rw - btrfs /dev/vda1 rw"]);
    machine.expect(ID, Warning, &["options = [ \"subvol=@home\" ];"]);
}
