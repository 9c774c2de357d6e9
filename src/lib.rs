//! The library behind the `nixos-lustrate` program.
pub mod cmdline;
pub mod disk;
pub mod error;
pub mod exchange;
pub mod intent;
pub mod keeplist;
pub mod mountinfo;
pub mod name;
pub mod names;
pub mod osrelease;
pub mod sys;
pub mod time;
pub mod tree;
