//! Boot loaders: where their configurations are, how they read, and what in them is
//! NixOS's. Pure.

pub mod configurations;
pub mod entries;
pub mod nixos;
