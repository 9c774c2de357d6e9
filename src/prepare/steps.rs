//! The steps of `prepare`, in their order. The marker comes first and leaves
//! last (P1); the boot loader comes last and is put back first.

pub mod boot_loader;
pub mod host_keys;
pub mod marker;
pub mod owners;
pub mod resolv;
pub mod save;

use super::notes::Known;
use super::site::Site;
use super::step::Step;
use super::{efi, ours, saving};

/// All of them.
pub const ALL: [&dyn Step<Site>; 6] = [
    &marker::Marker,
    &owners::Owners,
    &resolv::Resolv,
    &host_keys::Keys,
    &save::Save,
    &boot_loader::Loader,
];

/// All that they put aside: looked at when the state is opened.
pub const KEYS: [&dyn Known; 8] = [
    &marker::BEFORE,
    &owners::PASSES,
    &resolv::REPLACED,
    &host_keys::MODES,
    &saving::SAVED,
    &efi::BEFORE,
    &boot_loader::MADE_CURRENT,
    &ours::NAMED,
];
