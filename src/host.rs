//! The machine that is to become NixOS, and the system that was built for it,
//! as their files tell. Readers only: each says what it found, or what it could
//! not read and why; [`crate::check`] and `prepare` judge that.

pub mod boot;
pub mod bootspec;
pub mod closure;
pub mod cpio;
pub mod devices;
pub mod elf;
pub mod files;
pub mod fstab;
pub mod hibernation;
pub mod initrd;
pub mod keepers;
pub mod loader;
pub mod mounts;
pub mod network;
pub mod nixdb;
pub mod sources;
pub mod sqlite;
pub mod stack;
pub mod statics;
pub mod superblock;
pub mod users;
