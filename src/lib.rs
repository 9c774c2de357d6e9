//! nixos-lustrate: install NixOS in place.
//!
//! A lustration is an exchange of populations: what is in a root file system
//! goes to `/old-root`, and what is kept, by not being touched, is the new root.
//! The engine is in [`exchange`]; what it may do is judged in [`plan`], from the
//! facts that [`survey`] reads; [`commands`] puts the three together.

pub mod app;
#[cfg(feature = "full")]
pub mod check;
#[cfg(feature = "full")]
pub mod cli;
pub mod cmdline;
pub mod commands;
#[cfg(feature = "full")]
pub mod console;
pub mod disk;
pub mod environment;
pub mod error;
pub mod exchange;
pub mod facts;
pub mod guard;
#[cfg(feature = "full")]
pub mod host;
pub mod intent;
#[cfg(feature = "full")]
pub mod json;
pub mod keeplist;
pub mod kmsg_logger;
pub mod mountinfo;
pub mod name;
pub mod names;
pub mod options;
pub mod osrelease;
pub mod plan;
#[cfg(feature = "full")]
pub mod prepare;
#[cfg(feature = "full")]
pub mod purge;
#[cfg(feature = "full")]
mod remove;
pub mod report;
pub mod resolve;
pub mod status;
pub mod survey;
pub mod sys;
pub mod time;
pub mod tree;
