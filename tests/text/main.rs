//! What people read, held to the program: its messages, the manual page, and
//! README.md.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod diagnostics;
mod extract;
mod messages;
mod picture;
mod readme;
mod samples;
mod source;
mod syntax;
mod typed;
