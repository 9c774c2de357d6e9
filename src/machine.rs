//! The live machine: mounts, devices, network, firmware. Only read; where from,
//! [`sources`] says, so that a directory of files is a machine, too. Uses `fs`
//! and `system::fstab`.

pub mod boot;
pub mod devices;
pub mod files;
pub mod fstab;
pub mod hibernation;
pub mod identity;
pub mod mounts;
pub mod network;
pub mod sources;
pub mod stack;
pub mod statics;
pub mod superblock;
