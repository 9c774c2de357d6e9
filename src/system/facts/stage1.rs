//! What is booted and mounted: boot loader, file systems, swap, initrd.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Facts, facts};
use crate::machine::fstab::FstabEntry;

/// A kind of boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase")]
pub(crate) enum LoaderName {
    Grub,
    #[serde(rename = "systemd-boot")]
    SystemdBoot,
    Limine,
    Refind,
    #[serde(rename = "generic-extlinux-compatible")]
    Extlinux,
    RaspberryPi,
    InitScript,
    GenerationsDir,
    Lanzaboote,
    External,
    None,
    /// Of a newer module.
    #[serde(other)]
    Unknown,
}

/// What runs in the initrd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase")]
pub(crate) enum Stage1Kind {
    Systemd,
    Scripted,
    None,
    /// Of a newer module.
    #[serde(other)]
    Unknown,
}

facts! {
    /// What is installed to boot with.
    struct BootLoader {
        kind: Option<LoaderName>,
        enabled: Vec<LoaderName>,
        id: Option<String>,
        timeout: Option<i64>,
        can_touch_efi_variables: Option<bool>,
        efi: Option<bool>,
        esps: Vec<String>,
        xbootldr: Option<String>,
        esp_option: Option<String>,
        hook: Option<String>,
        removable: Option<bool>,
        writes: Vec<String>,
        mirrors: Vec<Mirror>,
        grub: Option<Grub>,
        limine: Option<Limine>,
        raspberry_pi: Option<RaspberryPi>,
    }
    /// A place to which all of a boot loader goes.
    struct Mirror {
        path: String,
        devices: Vec<String>,
        esp: Option<String>,
        bootloader_id: Option<String>,
    }
    struct Grub {
        copy_kernels: Option<bool>,
        force_install: Option<bool>,
        os_prober: Option<bool>,
        store_path: Option<String>,
    }
    struct Limine {
        bios: Option<bool>,
        bios_device: Option<String>,
    }
    struct RaspberryPi {
        version: Option<i64>,
        uboot: Option<bool>,
    }
    struct FileSystem {
        mount_point: String,
        device: Option<String>,
        fs_type: Option<String>,
        options: Vec<String>,
        depends: Vec<String>,
        needed_for_boot: bool,
        encrypted: Option<Encrypted>,
    }
    struct Encrypted {
        blk_dev: Option<String>,
        label: Option<String>,
        key_file: Option<String>,
    }
    struct Swap {
        zram: Option<bool>,
        devices: Vec<SwapDevice>,
    }
    struct SwapDevice {
        device: String,
        size: Option<i64>,
        random_encryption: Option<bool>,
        options: Vec<String>,
    }
    /// What stage 1 can open, load and mount.
    struct Initrd {
        kind: Option<Stage1Kind>,
        modules: Vec<String>,
        loaded: Vec<String>,
        file_systems: Vec<String>,
        luks: Vec<Luks>,
        lvm: Option<bool>,
        swraid: Option<bool>,
        bcache: Option<bool>,
        zfs: Option<Zfs>,
        iscsi: Option<String>,
        network: Option<bool>,
        ssh: Option<bool>,
        emergency_access: Option<bool>,
        secrets: Vec<Secret>,
    }
    /// What it opens below `/dev/mapper`.
    struct Luks {
        name: String,
        device: String,
        key_file: Option<String>,
        header: Option<String>,
        fallback: Option<bool>,
        options: Vec<String>,
        token: bool,
        clevis: bool,
    }
    struct Zfs {
        pools: Vec<String>,
        force_import_root: Option<bool>,
        dev_nodes: Option<String>,
        version: Option<String>,
    }
    struct Secret {
        path: String,
        source: Option<String>,
    }
}

impl LoaderName {
    /// Its name in sentences.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SystemdBoot => "systemd-boot",
            Self::Grub => "GRUB",
            Self::Extlinux => "extlinux",
            Self::Lanzaboote => "lanzaboote",
            Self::Limine => "Limine",
            Self::Refind => "rEFInd",
            Self::InitScript => "init script",
            Self::RaspberryPi => "the Raspberry Pi's firmware",
            Self::GenerationsDir => "generations directory",
            Self::External | Self::Unknown => "an unknown boot loader",
            Self::None => "no boot loader",
        }
    }
}

impl BootLoader {
    /// The disks whose boot sector GRUB or Limine goes to.
    #[must_use]
    pub(crate) fn disks(&self) -> Vec<&str> {
        let grub = self.mirrors.iter().flat_map(|mirror| &mirror.devices);
        let limine = self.limine.iter().filter(|limine| limine.bios == Some(true));
        let disks = grub.chain(limine.filter_map(|limine| limine.bios_device.as_ref()));
        disks.map(String::as_str).filter(|disk| *disk != "nodev").collect()
    }
}

impl Initrd {
    /// Whether it has a kernel module by its own name; `-` and `_` are the same.
    #[must_use]
    pub(crate) fn has_module(&self, module: &str) -> bool {
        let same = |name: &String| name.replace('-', "_") == module.replace('-', "_");
        self.modules.iter().chain(&self.loaded).any(same)
    }
}

impl Facts {
    /// What is mounted and swapped to, as lines of an fstab. The source is empty
    /// where the module does not write it.
    #[must_use]
    pub(crate) fn fstab(&self) -> Option<Vec<FstabEntry>> {
        let mounts = self.file_systems.as_ref()?.iter().map(|fs| FstabEntry {
            spec: fs.device.clone().unwrap_or_default(),
            point: PathBuf::from(&fs.mount_point),
            fs_type: fs.fs_type.clone().unwrap_or_else(|| "auto".to_owned()),
            options: fs.options.clone(),
        });
        let swaps = self.swap.iter().flat_map(|swap| &swap.devices).map(|swap| FstabEntry {
            spec: swap.device.clone(),
            point: "none".into(),
            fs_type: "swap".to_owned(),
            options: swap.options.clone(),
        });
        Some(mounts.chain(swaps).collect())
    }
}
