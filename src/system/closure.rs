//! The system that was built: what the profile leads to, and its parts.

use std::path::{Path, PathBuf};

use crate::machine::files::{Files, Result};
use crate::system::bootspec::{self, Bootspec};

/// Where the manual's procedure puts it.
pub(crate) const PROFILE: &str = "/nix/var/nix/profiles/system";

/// A built system, all paths as seen inside the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closure {
    /// As it was asked for: a profile, or a store path.
    pub asked: PathBuf,
    /// Its store path.
    pub top: PathBuf,
    /// `nixos-version`.
    pub version: Option<String>,
    /// The program that stage 1 starts.
    pub init: Option<PathBuf>,
    /// The kernel's file.
    pub kernel: Option<PathBuf>,
    /// The initrd's file.
    pub initrd: Option<PathBuf>,
    /// `bin/switch-to-configuration`.
    pub switch: Option<PathBuf>,
    /// `etc/fstab`.
    pub fstab: Option<PathBuf>,
    /// `boot.json`; `None` when there is none, and an error says what is wrong.
    pub bootspec: Option<std::result::Result<Bootspec, String>>,
    /// `prepare-root`, which only systemd stage 1 has (nixpkgs, top-level.nix).
    pub prepare_root: bool,
}

/// Why there is no built system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Nothing has that name.
    Missing,
    /// A link that leads to nothing: where to.
    Dangling(PathBuf),
    /// It is not below `/nix/store`: what it is.
    Outside(PathBuf),
}

impl Closure {
    /// Finds it.
    pub(crate) fn find(files: &Files, asked: &Path) -> Result<std::result::Result<Self, Absent>> {
        let Some(top) = files.real(asked)? else {
            return Ok(Err(match files.link(asked)? {
                Some(target) => Absent::Dangling(target),
                None => Absent::Missing,
            }));
        };
        if !top.starts_with("/nix/store") || top.components().count() != 4 {
            return Ok(Err(Absent::Outside(top)));
        }
        let part = |name: &str| files.real(top.join(name));
        let spec = files.read(top.join("boot.json"))?;
        let version = files.text(top.join("nixos-version"))?;
        Ok(Ok(Self {
            asked: asked.to_owned(),
            version: version.map(|v| v.trim().to_owned()),
            init: part("init")?,
            kernel: part("kernel")?,
            initrd: part("initrd")?,
            switch: part("bin/switch-to-configuration")?,
            fstab: part("etc/fstab")?,
            bootspec: spec.as_deref().map(bootspec::parse),
            prepare_root: part("prepare-root")?.is_some(),
            top,
        }))
    }

    /// The bootspec, when it is good.
    #[must_use]
    pub(crate) fn spec(&self) -> Option<&Bootspec> {
        self.bootspec.as_ref()?.as_ref().ok()
    }

    /// The parts without which there is no boot, or no boot loader, that are
    /// not there.
    #[must_use]
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let parts = [
            ("init", self.init.is_some()),
            ("kernel", self.kernel.is_some()),
            ("initrd", self.initrd.is_some()),
            ("bin/switch-to-configuration", self.switch.is_some()),
            ("etc/fstab", self.fstab.is_some()),
        ];
        parts.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect()
    }
}
