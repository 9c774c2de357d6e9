//! `purge`: what goes, what stays, and that nothing else is touched, whatever
//! the tree and wherever it is interrupted.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod choice;
mod kill;
mod large;
mod links;
mod locks;
mod mounts;
mod older;
mod refusals;
mod running;
mod scene;
mod subvolumes;
mod table;
mod terminal;
mod uses;
