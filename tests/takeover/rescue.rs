//! Boots from outside the disk: a rescue initrd that has busybox and the static
//! program, and NixOS with more words on its kernel command line.

use std::fmt::Write as _;
use std::fs;

use crate::computer::{At, Computer, Session};
use crate::lab::boot::kernel;
use crate::lab::cpio::Archive;
use crate::lab::drive::Path;
use crate::lab::host::filter;
use crate::lab::layout::ESP;
use crate::lab::stage1::BUSYBOX;
use crate::system::{PARAMETERS, program};

const INIT: &str = r#"#!/bin/sh
export PATH=/bin HOME=/ TERM=dumb
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "$module"
done </modules/order
until [ -b /dev/vda ]; do
    sleep 0.1
done
export PS1='[$?] root@rescue:\w# '
exec setsid cttyhack sh -i
"#;

/// A rescue system, at its prompt.
#[track_caller]
pub fn start(computer: &Computer) -> Session {
    let mut archive = Archive::default();
    for directory in ["proc", "sys", "dev", "mnt"] {
        archive.directory(directory);
    }
    archive.file("bin/busybox", 0o755, fs::read(BUSYBOX).expect("busybox-static"));
    archive.link("bin/sh", "busybox");
    archive.file("bin/nixos-lustrate", 0o755, program());
    archive.file("init", 0o755, INIT);
    let mut order = String::new();
    let disks = ["crc32c_generic", "ext4", "virtio_pci", "virtio_blk"];
    for (path, content) in kernel().modules(&[&disks[..], &ESP].concat()) {
        archive.file(&format!("modules/{path}"), 0o644, content);
        let _ = writeln!(order, "/modules/{path}");
    }
    archive.file("modules/order", 0o644, order);
    let initrd = filter("zstd", &["-q", "-3", "-c"], archive.finish());
    let mut session = computer.start_with(&initrd, "console=ttyS0 quiet panic=-1", Path::Plain);
    session.expect(At::Rescue);
    session
}

/// The system with this store path, as a boot loader would start it, with one word
/// more.
pub fn start_system(computer: &Computer, top: &std::path::Path, word: &str) -> Session {
    let initrd = computer.disk.mounted(|root| {
        let inside = |path: &std::path::Path| root.join(path.strip_prefix("/").expect("absolute"));
        let link = fs::read_link(inside(top).join("initrd")).expect("a link to the initrd");
        fs::read(inside(&link)).expect("the initrd")
    });
    let append = format!("init={}/init {PARAMETERS} {word}", top.display());
    computer.start_with(&initrd, &append, Path::Plain)
}

/// What the boot loader's entry for NixOS starts, with one word more.
pub fn start_nixos(computer: &Computer, word: &str, path: Path) -> Session {
    let (initrd, append) = computer.on_first_partition(|boot| {
        let text = fs::read_to_string(boot.join("grub/grub.cfg")).expect("grub.cfg");
        let line = |keyword: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(keyword));
            line.expect("an entry").trim().to_owned()
        };
        let linux = line("linux ");
        let (_, append) = linux.split_once(' ').expect("arguments");
        let initrd = line("initrd ");
        let path = initrd.rsplit("//").next().expect("a path");
        (fs::read(boot.join(path)).expect("the initrd"), append.to_owned())
    });
    computer.start_with(&initrd, &format!("{append} {word}"), path)
}
