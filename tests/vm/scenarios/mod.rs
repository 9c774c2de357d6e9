//! What must hold in a boot, one file for each matter.

/// A test for each kind of stage 1, named after the property.
macro_rules! in_both {
    ($name:ident) => {
        mod $name {
            use crate::lab::stage1::Kind;

            #[test]
            fn systemd() {
                super::$name(Kind::Systemd);
            }

            #[test]
            fn busybox() {
                super::$name(Kind::Busybox);
            }
        }
    };
}

mod again;
mod etc_overlay;
mod every_boot;
mod failing;
mod file_systems;
mod guard;
mod harness;
mod marker;
mod power;
mod races;
mod refused;
mod words;

use crate::lab::disk::{Content, Disk};
use crate::lab::layout::{Fs, Nix};
use crate::lab::population::{KEEP, Population};

/// A disk with this population and `/nix`, ext4.
fn disk(population: Population) -> Disk {
    Disk::new(Content { fs: Fs::Ext4, nix: Nix::Root, population })
}

/// A Debian whose lustration is asked for.
fn scheduled() -> Disk {
    let disk = disk(Population::Debian);
    disk.schedule(&KEEP);
    disk
}
