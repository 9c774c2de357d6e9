//! nixos-lustrate: install NixOS in place.
//!
//! A lustration is an exchange of populations: what is in a root file system
//! goes to `/old-root`, and what is kept, by not being touched, is the new root.
//!
//! The floors of the house, from the top. An import goes down, never up, and never
//! in a circle; `tests/house` has the table of who may use whom.

// What people type, and what a boot starts.
pub mod cli;
pub mod stage1;
mod status;

#[cfg(feature = "full")]
pub mod check;
#[cfg(feature = "full")]
mod prepare;
#[cfg(feature = "full")]
mod purge;

// What they know.
#[cfg(feature = "full")]
mod bootloader;
#[cfg(feature = "full")]
mod machine;
#[cfg(feature = "full")]
mod system;

// The lustration.
pub mod engine;

// Tools of the house.
pub mod error;
pub mod fs;
pub mod kmsg_logger;
pub mod term;
