//! `check`: every check fires on a machine that gives it reason to, and on none
//! other; and the whole program from outside.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod boot;
mod closure;
mod fstab;
mod good;
mod initrd;
mod login;
mod machine;
mod network;
mod nix;
mod program;
mod root;
mod separate;
mod storage;
