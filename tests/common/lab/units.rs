//! What a scenario adds to the systemd stage 1: the file systems, the units
//! that NixOS has, and the lustration with its drop-in.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::closure::closure;
use super::cpio::Archive;
use super::host::run;
use super::layout::Layout;
use super::module::Module;
use super::stage1::{Stage1, Wiring};

const SYSTEM: &str = "etc/systemd/system";
const NAME: &str = "nixos-lustrate.service";

/// The files as an uncompressed archive.
pub fn overlay(stage1: &Stage1) -> Vec<u8> {
    let mut archive = Archive::default();
    let layout = &stage1.layout;
    archive.file("etc/sysroot.fstab", 0o644, fstab(layout));
    archive.file("etc/modules-load.d/stage-1.conf", 0o644, layout.modules().join("\n") + "\n");
    if !matches!(stage1.wiring, Wiring::None) {
        archive.file("usr/bin/nixos-lustrate", 0o755, &stage1.program);
    }
    for (name, content) in [
        ("note.sh", include_str!("units/note.sh")),
        ("find-closure.sh", include_str!("units/find-closure.sh")),
        ("activate.sh", include_str!("units/activate.sh")),
        ("emergency.sh", include_str!("units/emergency.sh")),
        ("stuck.sh", include_str!("units/stuck.sh")),
    ] {
        archive.file(&format!("etc/{name}"), 0o755, content);
    }
    if stage1.shell {
        archive.file("etc/emergency-shell", 0o644, "");
    }
    nixos(&mut archive, layout);
    match &stage1.wiring {
        Wiring::Ours => ours(&mut archive, stage1),
        Wiring::Unit(text) => {
            unit(&mut archive, NAME, text, Some("initrd-root-fs.target"));
        }
        Wiring::None => {}
    }
    if stage1.observed {
        let place = format!("{SYSTEM}/{NAME}.d/observe.conf");
        archive.file(&place, 0o644, include_str!("units/observe.conf"));
    }
    archive.finish()
}

/// The mounts as `SYSTEMD_SYSROOT_FSTAB` names them: `/sysroot` is put before
/// the mount points by systemd; before the sources of bind mounts it is put by
/// NixOS where systemd does not do that, as that of Debian 12, but of Debian 13.
fn fstab(layout: &Layout) -> String {
    let mut text = String::new();
    let prefix = if systemd() > 252 { "" } else { "/sysroot" };
    for mount in layout.mounts() {
        let device = match mount.kind {
            "none" => format!("{prefix}{}", mount.device),
            _ => mount.device.to_owned(),
        };
        let (point, kind, options) = (mount.point, mount.kind, mount.options);
        let _ = writeln!(text, "{device} {point} {kind} x-initrd.mount,{options} 0 0");
    }
    text
}

fn nixos(archive: &mut Archive, layout: &Layout) {
    let initrd_fs = Some("initrd-fs.target");
    unit(archive, "sysroot-run.mount", include_str!("units/sysroot-run.mount"), initrd_fs);
    unit(
        archive,
        "initrd-find-nixos-closure.service",
        include_str!("units/initrd-find-nixos-closure.service"),
        Some("initrd.target"),
    );
    unit(
        archive,
        "initrd-nixos-activation.service",
        include_str!("units/initrd-nixos-activation.service"),
        Some("initrd-switch-root.service"),
    );
    let switch_root = include_str!("units/initrd-switch-root.service");
    unit(archive, "initrd-switch-root.service", switch_root, None);
    unit(archive, "emergency.service", include_str!("units/emergency.service"), None);
    unit(archive, "stuck.service", include_str!("units/stuck.service"), Some("sysinit.target"));
    if layout.etc_overlay {
        let mount = include_str!("units/sysroot-etc.mount").replace("@closure@", &closure().top);
        unit(archive, "sysroot-etc.mount", &mount, initrd_fs);
        unit(archive, "rw-etc.service", include_str!("units/rw-etc.service"), initrd_fs);
    }
}

fn unit(archive: &mut Archive, name: &str, text: &str, required_by: Option<&str>) {
    archive.file(&format!("{SYSTEM}/{name}"), 0o644, text);
    if let Some(target) = required_by {
        requires(archive, target, name);
    }
}

/// A `.requires/` link also binds units that a generator makes.
fn requires(archive: &mut Archive, unit: &str, needs: &str) {
    archive.link(&format!("{SYSTEM}/{unit}.requires/{needs}"), &format!("../{needs}"));
}

/// The plain unit of this project and what the NixOS module computes for it.
fn ours(archive: &mut Archive, stage1: &Stage1) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("initrd").join(NAME);
    let text = fs::read_to_string(&path).expect("initrd/nixos-lustrate.service");
    unit(archive, NAME, &text, None);
    let (drop_in, required_by) = Module::new(&stage1.layout, &stage1.options).systemd();
    for name in required_by {
        requires(archive, &name, NAME);
    }
    archive.file(&format!("{SYSTEM}/{NAME}.d/overrides.conf"), 0o644, drop_in);
}

/// The number of this machine's systemd.
fn systemd() -> u32 {
    let version = run("dpkg-query", &["-W", "-f", "${Version}", "systemd"]);
    let number = version.split(|c: char| !c.is_ascii_digit()).next();
    number.and_then(|number| number.parse().ok()).expect("systemd has a number")
}
