//! `prepare` and `cancel` as a black box, on real file systems, with a system
//! whose `switch-to-configuration` behaves, fails, lies or dies.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod boot;
mod boot_code;
mod cancel;
mod circumstances;
mod clear_esp;
mod installer;
mod kill;
mod lose;
mod machine;
mod next;
mod nix;
mod places;
mod refusals;
mod steps;
mod trace;
