//! The steps of `prepare`, in their order. The marker comes first and leaves
//! last (P1); the boot loader comes last and is put back first.

pub(crate) mod boot_loader;
pub(crate) mod host_keys;
pub(crate) mod marker;
pub(crate) mod owners;
pub(crate) mod resolv;
pub(crate) mod save;

use super::notes::AnyKey;
use super::site::Site;
use super::step::Step;
use super::{boot_code, efi, ours, saving};

/// All of them.
pub(crate) const ALL: [&dyn Step<Site>; 6] = [
    &marker::Marker,
    &owners::Owners,
    &resolv::Resolv,
    &host_keys::Keys,
    &save::Save,
    &boot_loader::BootLoader,
];

/// All that they put aside: looked at when the state is opened.
pub(crate) const KEYS: [&dyn AnyKey; 9] = [
    &marker::BEFORE,
    &owners::PASSES,
    &resolv::REPLACED,
    &host_keys::MODES,
    &saving::SAVED,
    &efi::BEFORE,
    &boot_loader::MADE_CURRENT,
    &ours::NAMED,
    &boot_code::CODES,
];
