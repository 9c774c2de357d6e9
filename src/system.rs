//! The NixOS that was built: its closure, what Nix's database knows of it, its
//! initrd, users and boot loader. Only read.
//!
//! Uses: error, fs, machine.

pub(crate) mod bootspec;
pub(crate) mod closure;
pub(crate) mod cpio;
pub(crate) mod elf;
pub(crate) mod initrd;
pub(crate) mod loader;
pub(crate) mod nixdb;
pub(crate) mod sqlite;
pub(crate) mod users;
