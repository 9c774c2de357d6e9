//! The live machine: mounts, devices, network, firmware, keys. Only read; where from,
//! [`sources`] says, so that a directory of files is a machine, too.
//!
//! Uses: engine, error, fs.

pub(crate) mod boot;
pub(crate) mod crypt;
pub(crate) mod devices;
pub(crate) mod files;
pub(crate) mod fstab;
pub(crate) mod hibernation;
pub(crate) mod identity;
pub(crate) mod keys;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod sources;
pub(crate) mod stack;
pub(crate) mod statics;
pub(crate) mod superblock;
pub(crate) mod uses;
