//! The root itself.

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use crate::common::system::System;
use crate::machine::{BOOT, Machine, ROOT};

#[test]
fn a_root_that_is_on_no_disk_blocks() {
    let with = |from: &str, to: &str| {
        let machine = Machine::new();
        machine.mounts(&[&ROOT.replace(from, to), BOOT]);
        machine
    };
    Machine::new().expect("root", Ok, &["ext4 on /dev/vda1"]);
    with("ext4 /dev/vda1", "overlay overlay").expect("root", Blocker, &["overlay"]);
    with("ext4 /dev/vda1", "tmpfs tmpfs").expect("root", Blocker, &["in memory"]);
    with("ext4 /dev/vda1", "squashfs /dev/vda1").expect("root", Blocker, &["cannot be written"]);
    with("ext4 /dev/vda1", "nfs4 server:/x").expect("root", Warning, &["on a server"]);
    with("rw,relatime", "ro,relatime").expect("root-writable", Blocker, &["mount -o remount,rw /"]);
    assert!(Machine::new().report().find("root-writable").is_none());
}

#[test]
fn what_has_no_boot_of_its_own_blocks() {
    let id = "machine";
    Machine::new().ok(id);
    let with = |path: &str, content: &str| {
        let machine = Machine::new();
        machine.file(path, content);
        machine
    };
    with("proc/version", "Linux version 5.15 (Microsoft@Microsoft.com)").expect(
        id,
        Blocker,
        &["WSL"],
    );
    with("run/systemd/container", "lxc\n").expect(id, Blocker, &["a container (lxc)"]);
    with("root/.dockerenv", "").expect(id, Warning, &["as in a container"]);
    with("run/.containerenv", "").expect(id, Blocker, &["a container"]);
    with("proc/vz/x", "").expect(id, Blocker, &["OpenVZ"]);
    with("proc/1/environ", "a=b\0container=podman\0").expect(id, Blocker, &["a container"]);
    let chroot = Machine::new();
    chroot.directory("elsewhere");
    chroot.link("proc/1/root", "../../elsewhere");
    chroot.expect(id, Blocker, &["a chroot"]);
}

#[test]
fn other_systems_are_known() {
    Machine::new().ok("image");
    let machine = Machine::new();
    machine.directory("root/ostree/repo");
    machine.expect("image", Blocker, &["ostree"]);
    let machine = Machine::new();
    machine.file("root/etc/os-release", "ID=nixos\n");
    machine.expect("image", Warning, &["NixOS already"]);
}

#[test]
fn an_old_kernel_is_told() {
    let machine = Machine::new();
    machine.expect("kernel", Ok, &["6.1.0"]);
    machine.file("proc/sys/kernel/osrelease", "3.10.0-1160.el7\n");
    machine.expect("kernel", Warning, &["3.10.0", "4.15"]);
    machine.file("proc/sys/kernel/osrelease", "?\n");
    machine.unchecked("kernel", "its version");
}

#[test]
fn a_clock_before_the_build_is_told() {
    let mut machine = Machine::new();
    // Placed now: later than the fixture's clock may be.
    machine.options.sources.now = 4_000_000_000;
    machine.ok("clock");
    for now in [0, 1_710_000_000] {
        machine.options.sources.now = now;
        machine.expect("clock", Warning, &["earlier than the system's build", "hwclock"]);
    }
}

#[test]
fn an_active_swap_file_is_told() {
    let id = "swap-files";
    let head = "Filename\tType\tSize\tUsed\tPriority\n";
    let mut machine = Machine::new();
    machine.expect(id, Ok, &["no swap file"]);
    machine.file("proc/swaps", format!("{head}/dev/vda5 partition 1 0 -2\n"));
    machine.expect(id, Ok, &["no swap file"]);
    machine.file("proc/swaps", format!("{head}/swap\\040file file 1 0 -2\n"));
    machine.expect(id, Warning, &["/swap file is an active swap file", "swapoff"]);
    machine.options.keep = nixos_lustrate::engine::keeplist::parse(b"swap file").expect("a list");
    machine.expect(id, Ok, &["is kept"]);
    let configured = System::new().fstab(&["/dev/vda1 / ext4", "/swapfile none swap"]);
    let machine = Machine::with(&configured);
    machine.file("proc/swaps", format!("{head}/swapfile file 1 0 -2\n"));
    machine.expect(id, Warning, &["--keep swapfile"]);
}

#[test]
fn the_image_of_a_hibernated_system_blocks() {
    let id = "hibernation";
    let image = |signature: &[u8]| {
        let mut area = vec![0; 65_536];
        area[4086..4086 + signature.len()].copy_from_slice(signature);
        area
    };
    let machine = Machine::new();
    machine.ok(id);
    machine.partition("vda", "vda5", "254:5", "5wap");
    machine.file("dev/vda5", image(b"SWAPSPACE2"));
    machine.file("root/etc/fstab", "UUID=5wap none swap\n");
    machine.ok(id);
    machine.file("dev/vda5", image(b"S1SUSPEND"));
    machine.expect(id, Blocker, &["UUID=5wap holds the image", "mkswap"]);
    // One in use holds none, whatever its first page says.
    machine.file("proc/swaps", "Filename Type\n/dev/vda5 partition 1 0 -2\n");
    machine.ok(id);
    machine.file("proc/swaps", "Filename Type\n");
    machine.file("root/etc/fstab", "");
    machine.ok(id);
    machine.file("proc/cmdline", "quiet resume=UUID=5wap\n");
    machine.expect(id, Blocker, &["UUID=5wap"]);
    let machine = Machine::new();
    machine.file("root/etc/fstab", "/swapfile none swap\n");
    machine.file("root/swapfile", image(b"S1SUSPEND"));
    machine.expect(id, Blocker, &["/swapfile holds the image"]);
}

#[test]
fn the_engines_judgement_is_part_of_it() {
    let machine = Machine::new();
    machine.expect("plan", Ok, &["to /old-root move: etc, usr", "kept: etc/machine-id"]);
    machine.directory("root/old-root.tmp/etc");
    machine.expect("plan", Blocker, &["old-root.tmp is there, and nixos-lustrate did not make it"]);
    machine.remove("root/old-root.tmp");
    machine.file("root/old-root.tmp", "");
    machine.expect("plan", Blocker, &["old-root.tmp is there and is no directory"]);
}
