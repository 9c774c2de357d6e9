//! The boot loader that the system installs: GRUB or systemd-boot, as Debian has
//! them, in the store, with an installer that writes what the one of NixOS writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::common::system::System;
use crate::debian::{self, BOOT_UUID, Variant};
use crate::lab::host::output;
use crate::system::PARAMETERS;

/// Where GRUB goes.
const GRUB_DISK: &str = "/dev/vda";

/// Adds `switch-to-configuration`, and an installer that works or does nothing.
pub fn install(system: System, variant: Variant, works: bool) -> System {
    let (system, name) = match variant {
        Variant::Bios => (grub(system), "install-grub.sh"),
        Variant::Uefi => (systemd_boot(system), "install-systemd-boot.sh"),
    };
    let switch = include_str!("system/switch.sh").replace("@installer@", &format!("@part:{name}@"));
    let system = system.file("bin/switch-to-configuration", switch, 0o555);
    let nothing = "#!/bin/sh\nexit 0\n";
    if works { system } else { system.part(name, nothing) }
}

fn grub(mut system: System) -> System {
    let tree = debian::tree();
    let modules = tree.join("usr/lib/grub/i386-pc");
    for entry in fs::read_dir(modules).expect("GRUB's modules") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let content = fs::read(&path).expect("a module");
        system = system.file(&format!("grub/i386-pc/{name}"), content, 0o444);
    }
    let told = json!({"kind": "grub", "enabled": ["grub"], "efi": false, "writes": ["/boot"],
        "mirrors": [{"path": "/boot", "devices": [GRUB_DISK]}], "grub": {"copyKernels": false}});
    system = system.fact("bootLoader", told).fact("/system/tools/grub", json!("2.06"));
    let script = include_str!("system/install-grub.sh")
        .replace("@disk@", GRUB_DISK)
        .replace("@boot-uuid@", BOOT_UUID)
        .replace("@parameters@", PARAMETERS);
    with_libraries(system, &tree, "usr/sbin/grub-install", "grub").part("install-grub.sh", script)
}

fn systemd_boot(system: System) -> System {
    let program = debian::systemd_boot().join("usr/lib/systemd/boot/efi/systemd-bootx64.efi");
    let script = include_str!("system/install-systemd-boot.sh").replace("@parameters@", PARAMETERS);
    let told = json!({"kind": "systemd-boot", "enabled": ["systemd-boot"], "efi": true,
        "esps": ["/boot/efi"], "writes": ["/boot/efi"]});
    let system = system.fact("bootLoader", told);
    with_libraries(system, &debian::tree(), "usr/bin/efibootmgr", "efi")
        .file("efi/systemd-bootx64.efi", fs::read(program).expect("systemd-boot"), 0o444)
        .part("install-systemd-boot.sh", script)
}

/// A program of the tree, its libraries and its loader, below a folder.
fn with_libraries(mut system: System, tree: &Path, program: &str, folder: &str) -> System {
    let listed = output(Command::new("chroot").arg(tree).arg("ldd").arg(format!("/{program}")));
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let paths: BTreeSet<&str> =
        listed.split_whitespace().filter(|word| word.starts_with('/')).collect();
    for path in paths {
        let name = path.rsplit('/').next().expect("a name");
        let content = fs::read(tree.join(path.trim_start_matches('/'))).expect("a library");
        system = system.file(&format!("{folder}/lib/{name}"), content, 0o555);
    }
    let name = program.rsplit('/').next().expect("a name");
    let content = fs::read(tree.join(program)).expect("a program");
    system.file(&format!("{folder}/bin/{name}"), content, 0o555)
}
