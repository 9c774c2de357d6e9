//! From Debian to NixOS and back, on one machine: a real Debian with its own boot
//! loader under QEMU, a system built by the real Nix, and the program as a user
//! has it.
//!
//! `tests/run takeover` builds what is needed and runs this; README.md beside it
//! has more.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::expect_used, reason = "a test that cannot go on ends")]

#[path = "../common/mod.rs"]
mod common;
mod computer;
mod debian;
mod golden;
#[path = "../common/lab/mod.rs"]
mod lab;
mod loader;
mod rescue;
mod scenarios;
mod system;
mod transcript;
