//! Boot loaders: where their configurations are, how they read, and what in them is
//! NixOS's. Pure.
//!
//! Uses: error, fs.

pub(crate) mod configurations;
pub(crate) mod disk;
pub(crate) mod distributions;
pub(crate) mod entries;
pub(crate) mod firmware;
pub(crate) mod nixos;
