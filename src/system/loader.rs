//! Which boot loader a closure installs, and where, by the scripts that its
//! `switch-to-configuration` calls.

use std::path::{Path, PathBuf};

use crate::machine::files::{Files, Result};
use crate::system::closure::Closure;

/// The kinds that nixpkgs installs, and those widely used besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoaderKind {
    /// `boot.loader.systemd-boot`.
    SystemdBoot,
    /// `boot.loader.grub`.
    Grub,
    /// `boot.loader.generic-extlinux-compatible`.
    Extlinux,
    /// lanzaboote.
    Lanzaboote,
    /// `boot.loader.limine`.
    Limine,
    /// `boot.loader.refind`.
    Refind,
    /// `boot.loader.initScript`: only `/sbin/init` is written.
    InitScript,
    /// `boot.loader.external`, or one that is not known here.
    Other,
    /// None: `switch-to-configuration boot` does nothing.
    None,
}

impl LoaderKind {
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
            Self::Other => "an unknown boot loader",
            Self::None => "no boot loader",
        }
    }

    /// Whether UEFI is the only firmware that it works with.
    #[must_use]
    pub(crate) fn needs_uefi(self) -> bool {
        matches!(self, Self::SystemdBoot | Self::Lanzaboote | Self::Refind)
    }
}

/// The boot loader of a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loader {
    /// The kind.
    pub kind: LoaderKind,
    /// The script that installs it.
    pub script: Option<PathBuf>,
    /// Where the configuration expects the ESP.
    pub esp: Option<PathBuf>,
    /// Where kernels go.
    pub boot: Option<PathBuf>,
    /// GRUB: the disks whose boot sector it goes to; not `nodev`.
    pub devices: Vec<String>,
    /// GRUB: it is installed for UEFI.
    pub efi: bool,
    /// Its version, where that is known.
    pub version: Option<String>,
}

impl Loader {
    /// Reads it; `None` when the closure has no `switch-to-configuration`.
    pub(crate) fn of(files: &Files, closure: &Closure) -> Result<Option<Self>> {
        let Some(switch) = &closure.switch else { return Ok(None) };
        let Some(switch) = files.read(switch)? else { return Ok(None) };
        let switch = String::from_utf8_lossy(&switch);
        let Some((kind, script)) = installer(&switch) else {
            let kind =
                if mentions_installer(&switch) { LoaderKind::Other } else { LoaderKind::None };
            return Ok(Some(Self::bare(kind)));
        };
        let mut loader = Self::bare(kind);
        // The script, and the store paths in it: a configuration, or a program
        // in Python that has the paths as constants.
        let mut texts = Vec::new();
        if let Some(text) = files.text(&script)? {
            for path in store_paths(&text) {
                let name = base_name(path);
                if name.ends_with("grub-config.xml") || name.contains("systemd-boot") {
                    let inner = Path::new(path);
                    let builder = inner.join("bin/systemd-boot");
                    texts.extend(files.text(inner)?.or(files.text(builder)?));
                }
            }
            texts.insert(0, text);
        }
        for text in &texts {
            loader.take(text);
        }
        loader.script = Some(script);
        Ok(Some(loader))
    }

    fn bare(kind: LoaderKind) -> Self {
        let (esp, boot, version) = (None, None, None);
        Self { kind, script: None, esp, boot, devices: Vec::new(), efi: false, version }
    }

    /// What a text of the installer says, in XML or as constants of Python.
    fn take(&mut self, text: &str) {
        let path = |value: Option<&str>| value.filter(|v| v.starts_with('/')).map(PathBuf::from);
        let esp = xml(text, "efiSysMountPoint").or_else(|| python(text, "EFI_SYS_MOUNT_POINT"));
        let boot = xml(text, "bootPath").or_else(|| python(text, "BOOT_MOUNT_POINT"));
        self.esp = self.esp.take().or_else(|| path(esp));
        self.boot = self.boot.take().or_else(|| path(boot));
        self.efi |= xml(text, "grubTargetEfi").is_some_and(|target| !target.is_empty());
        let version = xml(text, "fullVersion").filter(|v| !v.is_empty());
        self.version = self.version.take().or_else(|| version.map(str::to_owned));
        let disks = xml_list(text, "devices").into_iter().filter(|d| d != "nodev");
        self.devices.extend(disks);
    }
}

/// The script that `switch-to-configuration` calls, by the name of its path.
fn installer(switch: &str) -> Option<(LoaderKind, PathBuf)> {
    store_paths(switch).into_iter().find_map(|path| {
        let name = base_name(path);
        let kind = match name {
            _ if name.contains("install-grub") => LoaderKind::Grub,
            _ if name.contains("lanzaboote") || name.contains("lzbt") => LoaderKind::Lanzaboote,
            _ if name.contains("systemd-boot") => LoaderKind::SystemdBoot,
            _ if name.contains("extlinux") => LoaderKind::Extlinux,
            _ if name.contains("limine") => LoaderKind::Limine,
            _ if name.contains("refind") => LoaderKind::Refind,
            _ if name.contains("init-script-builder") => LoaderKind::InitScript,
            _ => return None,
        };
        Some((kind, PathBuf::from(path)))
    })
}

/// An `INSTALL_BOOTLOADER` that is set, to something that has another name.
fn mentions_installer(switch: &str) -> bool {
    let after =
        switch.split("INSTALL_BOOTLOADER=").nth(1).or(switch.split("installBootLoader").nth(1));
    let value = after.map(|rest| rest.lines().next().unwrap_or(rest));
    value.is_some_and(|line| line.contains("/nix/store/") && !line.contains("no-bootloader"))
}

/// The store paths in a text, with what follows them up to a quote or space.
fn store_paths(text: &str) -> Vec<&str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "+-._?=/".contains(c));
    let starts = text.match_indices("/nix/store/");
    let paths = starts.map(|(at, _)| text[at..].split(ends).next().unwrap_or_default());
    paths.filter(|path| path.len() > "/nix/store/".len() + 33).collect()
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `<attr name="NAME"><string value="…" />` as `builtins.toXML` writes it.
fn xml<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.split(&format!("<attr name=\"{name}\">")).nth(1)?.trim_start();
    rest.strip_prefix("<string value=\"")?.split('"').next()
}

fn xml_list(text: &str, name: &str) -> Vec<String> {
    let rest = text.split(&format!("<attr name=\"{name}\">")).nth(1);
    let list = rest.and_then(|rest| rest.split("</attr>").next()).unwrap_or_default();
    let values = list.split("<string value=\"").skip(1);
    values.filter_map(|value| value.split('"').next()).map(str::to_owned).collect()
}

/// `NAME = "…"` or `NAME = Path("…")`.
fn python<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.split(&format!("{name} = ")).nth(1)?;
    rest.strip_prefix("Path(").unwrap_or(rest).strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdfghijklmnpqrsvwxyz";

    #[test]
    fn the_installer_is_known_by_its_name() {
        for (name, kind) in [
            ("install-grub.sh", LoaderKind::Grub),
            ("install-systemd-boot.sh", LoaderKind::SystemdBoot),
            ("extlinux-conf-builder.sh", LoaderKind::Extlinux),
        ] {
            let path = format!("/nix/store/{HASH}-{name}");
            let text = format!("export INSTALL_BOOTLOADER='{path} -t 5'\n");
            assert_eq!(installer(&text), Some((kind, path.into())));
        }
        let other = format!("export INSTALL_BOOTLOADER='/nix/store/{HASH}-mine'\n");
        assert!(installer(&other).is_none() && mentions_installer(&other));
        assert!(!mentions_installer("export INSTALL_BOOTLOADER='/bin/true'"));
    }

    #[test]
    fn places_are_read_from_xml_and_python() {
        let mut grub = Loader::bare(LoaderKind::Grub);
        grub.take(
            "<attr name=\"bootPath\"><string value=\"/boot\" /></attr>\
             <attr name=\"devices\">\n<list>\n<string value=\"/dev/sda\" />\
             <string value=\"nodev\" /></list></attr>\
             <attr name=\"efiSysMountPoint\">\n <string value=\"/efi\" /></attr>\
             <attr name=\"grubTargetEfi\"><string value=\"x86_64-efi\" /></attr>",
        );
        assert_eq!(grub.esp.as_deref(), Some(Path::new("/efi")));
        assert_eq!((grub.devices.as_slice(), grub.efi), (&["/dev/sda".to_owned()][..], true));
        let mut systemd = Loader::bare(LoaderKind::SystemdBoot);
        systemd.take("EFI_SYS_MOUNT_POINT = Path(\"/boot\")\nBOOT_MOUNT_POINT = \"/xboot\"\n");
        assert_eq!(systemd.esp.as_deref(), Some(Path::new("/boot")));
        assert_eq!(systemd.boot.as_deref(), Some(Path::new("/xboot")));
    }
}
