//! What `/boot` is, and what firmware starts the machine.

use std::path::{Path, PathBuf};

use crate::machine::files::Result;
use crate::machine::mounts::{Mounted, Mounts};
use crate::machine::sources::Sources;

/// What starts the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firmware {
    /// UEFI; it is known by `/sys/firmware/efi`.
    Uefi,
    /// A BIOS, or UEFI in its mode of a BIOS.
    Bios,
}

/// What `/boot` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BootKind {
    /// There is none.
    Missing,
    /// A directory of the root's file system.
    Directory,
    /// A file system of its own.
    Mount,
    /// The ESP itself.
    Esp,
    /// Something else: a link, or a file.
    Odd,
}

/// The boot files' places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    /// What `/boot` is.
    pub kind: BootKind,
    /// An ESP below `/boot`.
    pub nested_esp: Option<PathBuf>,
    /// All mounted file systems that may be ESPs: FAT at or below `/boot`, `/efi`.
    pub esps: Vec<PathBuf>,
    /// The old distribution's fstab mounts these, and they are not mounted.
    pub unmounted: Vec<PathBuf>,
    /// What starts the machine.
    pub firmware: Firmware,
}

/// The directories that are or hold boot files.
const PLACES: [&str; 4] = ["/boot", "/boot/efi", "/boot/EFI", "/efi"];

impl Boot {
    /// Reads it.
    pub(crate) fn read(sources: &Sources, mounts: &Mounts) -> Result<Self> {
        let files = sources.files();
        let is_esp = |m: &&Mounted| {
            let place = m.point.starts_with("/boot") || m.point.starts_with("/efi");
            place && ["vfat", "msdos"].contains(&m.fs_type.as_str())
        };
        let esps: Vec<PathBuf> = mounts.iter().filter(is_esp).map(|m| m.point.clone()).collect();
        let boot = Path::new("/boot");
        let link = files.link(boot)?.is_some();
        let kind = match (mounts.at(boot), files.metadata(boot)?) {
            (Some(_), _) if esps.iter().any(|esp| esp == boot) => BootKind::Esp,
            (Some(_), _) => BootKind::Mount,
            (None, None) if !link => BootKind::Missing,
            (None, Some(metadata)) if metadata.is_dir() && !link => BootKind::Directory,
            (None, _) => BootKind::Odd,
        };
        let nested = |esp: &&PathBuf| esp.starts_with(boot) && *esp != boot;
        let nested_esp = esps.iter().find(nested).cloned();
        let fstab = files.text("/etc/fstab")?.unwrap_or_default();
        let expected = crate::machine::fstab::parse(&fstab).into_iter().map(|entry| entry.point);
        let expected = expected.filter(|p| PLACES.iter().any(|place| p == Path::new(place)));
        let is_there = |m: Option<&Mounted>| m.is_some_and(|m| m.fs_type != "autofs");
        let unmounted = expected.filter(|p| !is_there(mounts.at(p))).collect();
        let efi = sources.sys().exists("/firmware/efi")?;
        let firmware = if efi { Firmware::Uefi } else { Firmware::Bios };
        Ok(Self { kind, nested_esp, esps, unmounted, firmware })
    }
}
