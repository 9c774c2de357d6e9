//! What the boot loader's installer of a system writes, by what the module wrote into
//! its `boot.json` (`initrd/README.md`, "bootLoader"). Of a system without that, nothing
//! is known but what is mounted.

use super::step::Result;
use crate::engine::names::{ETC, NIX};
use crate::error::Refusal;
use crate::fs::name::{Name, RelPath};
use crate::machine::files::Files;
use crate::system::bootspec;
use crate::system::facts::{self, BootLoader, LoaderName};

/// What it writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Directories: of kernels and menus, ESPs, XBOOTLDR.
    pub dirs: Vec<RelPath>,
    /// Where each copy of GRUB has its menu: each has to boot.
    pub mirrors: Vec<RelPath>,
    /// What is no directory of boot files, and cannot be saved.
    pub other: Vec<String>,
    /// The disks whose boot code it writes.
    pub disks: Vec<String>,
}

const INIT: &str = "/sbin/init";
/// Entries of the root where no boot files are, or whose content is not of a disk.
const NEVER: [Name; 7] = [
    NIX,
    ETC,
    Name::literal("proc"),
    Name::literal("sys"),
    Name::literal("dev"),
    Name::literal("run"),
    Name::literal("old-root"),
];

/// Whether boot files may be there.
#[must_use]
pub(crate) fn may_be(path: &RelPath) -> bool {
    !NEVER.contains(path.entry())
}

impl Written {
    /// Of the system at `/SYSTEM`.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub(crate) fn of(files: &Files, system: &RelPath) -> Result<Self> {
        let spec = files.read(format!("/{system}/boot.json"))?;
        Ok(spec.as_deref().and_then(boot_loader).map_or_else(Self::default, Self::by))
    }

    fn by(facts: BootLoader) -> Self {
        let mut found = Self::default();
        let esps = facts.esps.iter().chain(&facts.esp_option).chain(&facts.xbootldr);
        for path in facts.writes.iter().chain(esps) {
            found.add(path);
        }
        for mirror in &facts.mirrors {
            found.add(&mirror.path);
            mirror.esp.iter().for_each(|esp| found.add(esp));
            if facts.kind == Some(LoaderName::Grub) {
                found.mirrors.extend(RelPath::parse(mirror.path.as_bytes()));
            }
            found.disks.extend(mirror.devices.iter().filter(|disk| *disk != "nodev").cloned());
        }
        if facts.kind == Some(LoaderName::InitScript) {
            found.add(INIT);
        }
        let limine = facts.limine.filter(|limine| limine.bios == Some(true));
        let disk = limine.and_then(|limine| limine.bios_device);
        found.disks.extend(disk.filter(|disk| disk != "nodev"));
        found
    }

    fn add(&mut self, path: &str) {
        match RelPath::parse(path.as_bytes()) {
            Ok(dir) if path != INIT && may_be(&dir) => {
                if !self.dirs.contains(&dir) {
                    self.dirs.push(dir);
                }
            }
            _ if self.other.iter().any(|other| other == path) => {}
            _ => self.other.push(path.to_owned()),
        }
    }

    /// What hinders: what cannot be saved.
    #[must_use]
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        let of = |path: &String| {
            if path == INIT {
                return Refusal::new(
                    "the boot loader of the configuration is /sbin/init (boot.loader.initScript)",
                    "The old system's initrd would start NixOS by it on the old root: no stage 1 \
                     of NixOS runs there, and nothing lustrates",
                    "boot.loader.initScript.enable = false; and a boot loader",
                );
            }
            Refusal::new(
                format!("the boot loader of the configuration writes to '{path}'"),
                "What is there cannot be saved as boot files are",
                "Let it write to a directory of its own, such as /boot, and build the system again",
            )
        };
        self.other.iter().map(of).collect()
    }
}

/// The group of the boot loader; `None` where it is not known.
fn boot_loader(spec: &[u8]) -> Option<BootLoader> {
    let configuration = bootspec::parse(spec).ok()?.lustrate?.configuration?;
    facts::read(&configuration).ok()?.boot_loader
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Written {
        let path = format!("{}/tests/nix/facts/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let configuration = std::fs::read_to_string(path).expect("facts");
        let spec = format!(
            r#"{{"org.nixos.bootspec.v1": {{}}, "org.nixos-lustrate.v1": {{"version": "0.1.0",
            "stage1": "systemd", "configuration": {configuration}}}}}"#
        );
        Written::by(boot_loader(spec.as_bytes()).expect("a boot loader"))
    }

    #[test]
    fn all_places_of_each_boot_loader_are_known() {
        let shown =
            |paths: &[RelPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        for (name, dirs, mirrors, disks) in [
            ("plain", "boot", "boot", ""),
            ("grub-mirrored", "boot boot-fallback efi1", "boot boot-fallback", "/dev/sda /dev/sdb"),
            ("grub-removable", "boot boot/efi", "boot", ""),
            ("systemd-boot-xbootldr", "boot efi", "", ""),
            ("refind", "boot", "", ""),
            ("limine", "boot", "", ""),
            ("raspberry-pi", "boot", "", ""),
            ("no-loader", "", "", ""),
        ] {
            let found = of(name);
            assert_eq!(shown(&found.dirs), dirs, "{name}");
            assert_eq!(shown(&found.mirrors), mirrors, "{name}");
            assert_eq!(found.disks.join(" "), disks, "{name}");
            assert!(found.refusals().is_empty(), "{name}");
        }
        assert_eq!(of("limine-bios").disks.len(), 1);
    }

    #[test]
    fn what_cannot_be_saved_is_refused() {
        let said = |found: &Written| {
            found.refusals().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert!(said(&of("init-script")).contains("boot.loader.initScript"));
        let mut found = Written::default();
        for path in ["/", "/nix/boot", "/etc", "../x"] {
            found.add(path);
        }
        assert_eq!((found.dirs.len(), found.other.len()), (0, 4));
        assert!(said(&found).contains("writes to '/nix/boot'"));
    }
}
