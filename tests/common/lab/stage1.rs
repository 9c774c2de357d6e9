//! A stage 1, described; the two kinds of initrd are made from it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::kernel::Kernel;
use super::layout::Layout;
use super::module::Options;
use super::{busybox, systemd};

/// Debian's static busybox.
pub const BUSYBOX: &str = "/bin/busybox";

/// The two kinds that NixOS has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Systemd,
    Busybox,
}

/// How the lustration is wired into a systemd stage 1.
#[derive(Clone, Debug)]
pub enum Wiring {
    /// `initrd/nixos-lustrate.service` and the drop-in of the NixOS module.
    Ours,
    /// Another unit instead, started by `initrd-root-fs.target`.
    Unit(&'static str),
    /// Not at all: a stage 1 that knows nothing of us.
    None,
}

/// What becomes an initrd.
#[derive(Clone, Debug)]
pub struct Stage1 {
    pub kind: Kind,
    pub layout: Layout,
    pub wiring: Wiring,
    /// `/bin/nixos-lustrate`.
    pub program: Vec<u8>,
    pub options: Options,
    /// Notes for stage 2 what the program does, which takes longer than it does.
    pub observed: bool,
    /// On failure a shell on the console; without, a report and power off.
    pub shell: bool,
}

impl Stage1 {
    pub fn new(kind: Kind, layout: Layout) -> Self {
        Self {
            kind,
            layout,
            wiring: Wiring::Ours,
            program: program(),
            options: Options::default(),
            observed: true,
            shell: false,
        }
    }

    /// Writes the initrd.
    pub fn write(&self, kernel: &Kernel, place: &Path) {
        let bytes = match self.kind {
            Kind::Systemd => systemd::initrd(kernel, self),
            Kind::Busybox => busybox::initrd(kernel, self),
        };
        fs::write(place, bytes).expect("the initrd can be written");
    }
}

/// The initrd build of this project, or what `LUSTRATE_INITRD_BINARY` names.
pub fn program() -> Vec<u8> {
    let path = env::var_os("LUSTRATE_INITRD_BINARY").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/static/nixos-lustrate-initrd"),
        PathBuf::from,
    );
    fs::read(&path).unwrap_or_else(|error| {
        panic!("Failed to read '{}': {error}; run tests/build-static", path.display())
    })
}
