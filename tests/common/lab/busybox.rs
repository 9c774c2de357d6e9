//! The busybox stage 1, which behaves like NixOS's scripted one.

use std::fmt::Write as _;

use super::cpio::Archive;
use super::host::filter;
use super::kernel::Kernel;
use super::module::Module;
use super::stage1::{BUSYBOX, Stage1, Wiring};

/// The initrd, whole.
pub fn initrd(kernel: &Kernel, stage1: &Stage1) -> Vec<u8> {
    let mut archive = Archive::default();
    for directory in ["proc", "sys", "dev", "run", "tmp", "mnt-root"] {
        archive.directory(directory);
    }
    archive.file("bin/busybox", 0o755, std::fs::read(BUSYBOX).expect("busybox-static"));
    archive.link("bin/sh", "busybox");
    archive.file("init", 0o755, include_str!("stage-1.sh"));
    let (post_resume, post_mount) = match stage1.wiring {
        Wiring::None => (String::new(), String::new()),
        _ => Module::new(&stage1.layout, &stage1.options).scripted(),
    };
    match (&stage1.wiring, stage1.observed) {
        (Wiring::None, _) => {}
        (_, true) => {
            archive.file("bin/observed/nixos-lustrate", 0o755, &stage1.program);
            archive.file("bin/nixos-lustrate", 0o755, include_str!("observed.sh"));
        }
        (_, false) => archive.file("bin/nixos-lustrate", 0o755, &stage1.program),
    }
    archive.file("etc/post-resume-commands", 0o644, post_resume);
    archive.file("etc/post-mount-commands", 0o644, post_mount);
    archive.file("etc/mounts", 0o644, mounts(stage1));
    let mut order = String::new();
    for (path, content) in kernel.modules(&stage1.layout.modules()) {
        archive.file(&format!("modules/{path}"), 0o644, content);
        let _ = writeln!(order, "/modules/{path}");
    }
    archive.file("modules/order", 0o644, order);
    filter("zstd", &["-q", "-3", "-c"], archive.finish())
}

fn mounts(stage1: &Stage1) -> String {
    let mut text = String::new();
    for mount in stage1.layout.mounts() {
        let device = match mount.kind {
            "none" => format!("/mnt-root{}", mount.device),
            _ => mount.device.to_owned(),
        };
        let _ = writeln!(text, "{device} {} {} {}", mount.point, mount.kind, mount.options);
    }
    text
}
