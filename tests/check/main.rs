//! `check`: every check fires on a machine that gives it reason to, and on none
//! other; and the whole program from outside.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod closure;
mod initrd;
mod machine;
mod program;
