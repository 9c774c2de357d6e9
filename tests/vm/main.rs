//! The binary in a boot: both stage 1s of NixOS under QEMU, without KVM.
//!
//! `tests/run vm` builds what is needed and runs this. It wants root, Debian's
//! packages (tests/setup vm) and a few minutes; README.md beside it has more.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::expect_used, reason = "a test that cannot go on ends")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lab/mod.rs"]
mod lab;
mod scenarios;
