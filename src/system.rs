//! The NixOS that was built: its closure, what Nix's database knows of it, its
//! initrd, users and boot loader. Only read.

pub mod bootspec;
pub mod closure;
pub mod cpio;
pub mod elf;
pub mod initrd;
pub mod loader;
pub mod nixdb;
pub mod sqlite;
pub mod users;
