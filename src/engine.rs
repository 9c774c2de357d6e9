//! The lustration: an exchange of populations by single renames.
//!
//! [`run`] has `run` and `revert` on any [`crate::fs::tree::Tree`], in four steps:
//!
//! 1. [`survey::look`] tells from a few names whether anything is asked for or in
//!    progress.
//! 2. [`survey::survey`] reads the facts: entries, keep-list, mounts, flags, and
//!    the intent or record of an earlier run.
//! 3. [`plan::plan`] judges them, purely: a [`plan::Plan`] with an
//!    [`intent::Intent`], or every reason to refuse.
//! 4. [`exchange`] writes the intent and carries it out: keepers are collected,
//!    entries displaced, `etc` exchanged, the new population installed, and one
//!    rename commits. Killed anywhere, the same steps take up what is there.
//!
//! What came out is a value: [`report`] and [`json`] make text of it, and who
//! called it prints, logs, reboots. [`environment`] and [`root`] are what it knows
//! of the running system.
//!
//! Uses: error, fs, term.

pub mod environment;
pub mod exchange;
pub mod facts;
pub mod intent;
#[cfg(feature = "full")]
pub(crate) mod json;
pub mod keeplist;
pub mod names;
pub mod osrelease;
pub mod plan;
pub(crate) mod report;
pub(crate) mod root;
pub mod run;
pub mod state;
pub(crate) mod survey;
pub mod time;
