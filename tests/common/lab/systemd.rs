//! The systemd stage 1, from Debian's binaries and units: a base that is made
//! once, and the few files of a scenario appended to it.

use super::cache;
use super::cpio::Archive;
use super::host::filter;
use super::kernel::Kernel;
use super::programs::{install, merge_usr};
use super::stage1::{BUSYBOX, Stage1};
use super::{host, units};

const PROGRAMS: [&str; 13] = [
    "/lib/systemd/systemd",
    "/lib/systemd/systemd-journald",
    "/lib/systemd/systemd-modules-load",
    "/lib/systemd/systemd-shutdown",
    "/lib/systemd/systemd-sulogin-shell",
    "/lib/systemd/system-generators/systemd-fstab-generator",
    "/lib/systemd/system-generators/systemd-debug-generator",
    "/bin/systemctl",
    "/bin/journalctl",
    "/bin/udevadm",
    "/bin/mount",
    "/bin/umount",
    "/bin/kmod",
];

/// What newer versions have, or load by name.
const NEWER: [&str; 2] =
    ["/lib/systemd/systemd-executor", "/usr/lib/x86_64-linux-gnu/libkmod.so.2"];

const UNITS: [&str; 35] = [
    "basic.target",
    "emergency.target",
    "final.target",
    "initrd-cleanup.service",
    "initrd-fs.target",
    "initrd-parse-etc.service",
    "initrd-root-device.target",
    "initrd-root-fs.target",
    "initrd-switch-root.target",
    "initrd-udevadm-cleanup-db.service",
    "initrd-usr-fs.target",
    "initrd.target",
    "local-fs-pre.target",
    "local-fs.target",
    "paths.target",
    "poweroff.target",
    "reboot.target",
    "rescue.target",
    "shutdown.target",
    "slices.target",
    "sockets.target",
    "swap.target",
    "sysinit.target",
    "systemd-journald-dev-log.socket",
    "systemd-journald.service",
    "systemd-journald.socket",
    "systemd-modules-load.service",
    "systemd-poweroff.service",
    "systemd-reboot.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "timers.target",
    "umount.target",
];

const WANTS: [(&str, &str); 7] = [
    ("sysinit.target", "systemd-journald.service"),
    ("sysinit.target", "systemd-modules-load.service"),
    ("sysinit.target", "systemd-udev-trigger.service"),
    ("sysinit.target", "systemd-udevd.service"),
    ("sockets.target", "systemd-journald-dev-log.socket"),
    ("sockets.target", "systemd-journald.socket"),
    ("sockets.target", "systemd-udevd-control.socket"),
];

/// 99-systemd is what makes `dev-vda.device` appear.
const RULES: [&str; 5] =
    ["50-udev-default", "60-block", "60-persistent-storage", "64-btrfs", "99-systemd"];

const GROUPS: [&str; 13] = [
    "audio", "cdrom", "dialout", "disk", "input", "kmem", "kvm", "lp", "render", "sgx", "tape",
    "tty", "video",
];

const MODULES: [&str; 10] = [
    "crc32c_generic",
    "ext4",
    "xfs",
    "btrfs",
    "overlay",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "virtio_pci",
    "virtio_blk",
];

/// The initrd, whole.
pub fn initrd(kernel: &Kernel, stage1: &Stage1) -> Vec<u8> {
    let version = host::run("dpkg-query", &["-W", "-f", "${Version}", "systemd"]);
    let key = cache::key(&[
        version.as_bytes(),
        kernel.release.as_bytes(),
        include_bytes!("systemd.rs"),
        include_bytes!("programs.rs"),
    ]);
    let base = cache::once("initrd-systemd", &key, |place| {
        std::fs::write(place, base(kernel)).expect("the base initrd can be written");
    });
    let mut bytes = std::fs::read(base).expect("the base initrd");
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(units::overlay(stage1));
    bytes
}

fn base(kernel: &Kernel) -> Vec<u8> {
    let mut archive = Archive::default();
    merge_usr(&mut archive);
    for directory in ["proc", "sys", "dev", "run", "tmp", "sysroot", "var", "root"] {
        archive.directory(directory);
    }
    install(&mut archive, &PROGRAMS);
    let newer: Vec<&str> =
        NEWER.into_iter().filter(|path| std::path::Path::new(path).exists()).collect();
    install(&mut archive, &newer);
    archive.file("usr/bin/busybox", 0o755, std::fs::read(BUSYBOX).expect("busybox-static"));
    archive.link("init", "usr/lib/systemd/systemd");
    archive.link("usr/lib/systemd/systemd-udevd", "../../bin/udevadm");
    archive.link(
        "usr/lib/systemd/systemd-sysroot-fstab-check",
        "system-generators/systemd-fstab-generator",
    );
    for (name, target) in [("modprobe", "kmod"), ("sh", "busybox")] {
        archive.link(&format!("usr/bin/{name}"), target);
    }
    archive.link("usr/sbin/modprobe", "../bin/kmod");
    for applet in host::run(BUSYBOX, &["--list"]).lines() {
        let place = format!("usr/bin/{applet}");
        if !archive.contains(&place) {
            archive.link(&place, "busybox");
        }
    }
    for unit in UNITS {
        let path = format!("/lib/systemd/system/{unit}");
        if std::path::Path::new(&path).exists() {
            install(&mut archive, &[&path]);
        }
    }
    archive.link("usr/lib/systemd/system/default.target", "initrd.target");
    for (target, unit) in WANTS {
        archive
            .link(&format!("usr/lib/systemd/system/{target}.wants/{unit}"), &format!("../{unit}"));
    }
    archive.link(
        "usr/lib/systemd/system/sockets.target.wants/systemd-udevd-kernel.socket",
        "../systemd-udevd-kernel.socket",
    );
    for rule in RULES {
        install(&mut archive, &[&format!("/lib/udev/rules.d/{rule}.rules")]);
    }
    etc(&mut archive);
    let modules = format!("usr/lib/modules/{}", kernel.release);
    for (path, content) in kernel.modules(&MODULES).into_iter().chain(kernel.indexes()) {
        archive.file(&format!("{modules}/{path}"), 0o644, content);
    }
    filter("zstd", &["-q", "-3", "-c"], archive.finish())
}

fn etc(archive: &mut Archive) {
    let groups = GROUPS.iter().zip(10..).map(|(name, id)| format!("{name}:x:{id}:\n"));
    archive.file("etc/initrd-release", 0o644, "ID=nixos\nPRETTY_NAME=\"stage 1 of systemd\"\n");
    archive.link("etc/os-release", "initrd-release");
    archive.file("etc/machine-id", 0o644, "");
    archive.file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, "root:x:0:\n".to_owned() + &groups.collect::<String>());
    let environment = "PATH=/bin:/sbin SYSTEMD_SYSROOT_FSTAB=/etc/sysroot.fstab";
    archive.file(
        "etc/systemd/system.conf",
        0o644,
        format!(
            "[Manager]\nDefaultEnvironment=PATH=/bin:/sbin\nManagerEnvironment={environment}\n"
        ),
    );
}
