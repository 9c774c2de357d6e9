//! The system that the machine is to become: a closure built by the real Nix, with
//! this kernel, a stage 1 of systemd with our unit in it, an init that is a shell,
//! and an installer for a real boot loader.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::isolation;
use crate::common::system::{SYSTEMD, System};
use crate::debian::{BOOT_UUID, ESP_UUID, ROOT_UUID, Variant};
use crate::lab::boot::kernel;
use crate::lab::host::output;
use crate::lab::layout::{ESP, Fs, Layout};
use crate::lab::stage1::{BUSYBOX, Kind, Stage1};
use crate::loader;

/// What NixOS calls a built system, and where a test may break it.
pub struct Built {
    pub variant: Variant,
    pub stage1: Stage1,
    pub root_uuid: String,
    pub boot_uuid: String,
    /// A file that it has not.
    pub without: Option<&'static str>,
    /// Whether boot.json says that our module is in it.
    pub module: bool,
    /// Whether `switch-to-configuration boot` calls an installer that works.
    pub installs: bool,
}

impl Built {
    pub fn new(variant: Variant) -> Self {
        let mut layout = Layout::new(Fs::Ext4);
        layout.root = "/dev/disk/by-uuid/7a6e0001-0000-4000-8000-00000000000a";
        layout.var_log = false;
        layout.modules = if variant == Variant::Uefi { &ESP } else { &[] };
        Self {
            variant,
            stage1: Stage1::new(Kind::Systemd, layout),
            root_uuid: ROOT_UUID.to_owned(),
            boot_uuid: BOOT_UUID.to_owned(),
            without: None,
            module: true,
            installs: true,
        }
    }

    /// Builds it in the store in a folder; its store path.
    pub fn build(&self, folder: &Path) -> PathBuf {
        self.system().build(folder).unwrap_or_else(|skipped| panic!("{skipped}"))
    }

    fn system(&self) -> System {
        let by_uuid = |uuid: &str| format!("/dev/disk/by-uuid/{uuid}");
        let boot = match self.variant {
            Variant::Bios => format!("{} /boot ext4 defaults 0 2", by_uuid(&self.boot_uuid)),
            Variant::Uefi => format!("{} /boot/efi vfat umask=0077 0 2", by_uuid(ESP_UUID)),
        };
        let root = format!("{} / ext4 x-initrd.mount 0 1", by_uuid(&self.root_uuid));
        let system = System::new()
            .part("bzImage", fs::read(&kernel().vmlinuz).expect("the kernel"))
            .part("initrd", self.initrd())
            .file("init", include_str!("system/init.sh"), 0o555)
            .file("prepare-root", include_str!("system/prepare-root.sh"), 0o555)
            .file("sw/bin/shutdown", include_str!("system/shutdown.sh"), 0o555)
            .file("sw/bin/nixos-lustrate", program(), 0o555)
            .fstab(&[&root, &boot])
            .text("boot.json", &bootspec(self.module));
        let system = match self.without {
            Some(path) => system.without(path),
            None => system,
        };
        loader::install(tools(system), self.variant, self.installs)
    }

    fn initrd(&self) -> Vec<u8> {
        let place = isolation::new_directory();
        let path = place.join("initrd");
        self.stage1.write(kernel(), &path);
        let bytes = fs::read(&path).expect("the initrd");
        fs::remove_dir_all(place).expect("the initrd is in memory");
        bytes
    }
}

pub const PARAMETERS: &str = "console=ttyS0 quiet panic=-1 rw TERM=dumb systemd.show_status=1";

fn bootspec(module: bool) -> String {
    let extension = if module { format!(",\n{SYSTEMD}") } else { String::new() };
    let words: Vec<String> = PARAMETERS.split(' ').map(|word| format!("{word:?}")).collect();
    format!(
        r#"{{ "org.nixos.bootspec.v1": {{ "system": "x86_64-linux", "init": "@out@/init",
        "initrd": "@part:initrd@", "kernel": "@part:bzImage@", "kernelParams": [{}],
        "label": "NixOS 26.05", "toplevel": "@out@" }}{extension} }}"#,
        words.join(", ")
    )
}

/// The full static build: what the user has on the old system, and then in NixOS.
pub fn program() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/static/nixos-lustrate");
    fs::read(&path).unwrap_or_else(|error| {
        panic!("Failed to read '{}': {error}; run tests/build-static", path.display())
    })
}

fn tools(mut system: System) -> System {
    system = system.file("sw/bin/busybox", fs::read(BUSYBOX).expect("busybox-static"), 0o555);
    let listed = output(Command::new(BUSYBOX).arg("--list"));
    for applet in String::from_utf8_lossy(&listed).lines() {
        if !["busybox", "shutdown"].contains(&applet) {
            system = system.link(&format!("sw/bin/{applet}"), "busybox");
        }
    }
    system
}
