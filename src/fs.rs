//! The file system: single names in open directories, links, mounts. What the
//! engine may ask of it is in [`tree`]; the system calls, and the only unsafe
//! code, are in [`sys`].
//!
//! Uses: error.

pub mod disk;
pub(crate) mod lock;
pub mod mounts;
pub mod name;
#[cfg(feature = "full")]
pub(crate) mod processes;
#[cfg(feature = "full")]
pub(crate) mod remove;
pub(crate) mod swaps;
pub mod sys;
pub mod tree;
pub mod walk;
