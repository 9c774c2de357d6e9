//! The NixOS that was built: its closure, what Nix's database knows of it, and
//! what its configuration says of itself. Only read.
//!
//! Uses: error, fs, machine.

pub(crate) mod bootspec;
pub(crate) mod closure;
pub(crate) mod elf;
pub(crate) mod facts;
pub(crate) mod nixdb;
pub(crate) mod sqlite;
pub(crate) mod sshd_config;
