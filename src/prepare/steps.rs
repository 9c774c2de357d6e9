//! The steps of `prepare`, in their order. The marker comes first and leaves
//! last (P1); the boot loader comes last and is put back first.

pub mod keys;
pub mod loader;
pub mod marker;
pub mod owners;
pub mod resolv;
pub mod save;

use super::site::Site;
use super::step::Step;

/// All of them.
pub const ALL: [&dyn Step<Site>; 6] =
    [&marker::Marker, &owners::Owners, &resolv::Resolv, &keys::Keys, &save::Save, &loader::Loader];

/// What a step is, for a person.
#[must_use]
pub fn title(name: &str) -> &'static str {
    match name {
        marker::NAME => "marker files /etc/NIXOS and /etc/NIXOS_LUSTRATE",
        owners::NAME => "owner of /nix",
        resolv::NAME => "plain /etc/resolv.conf",
        keys::NAME => "modes of the SSH host keys",
        save::NAME => "boot files saved",
        loader::NAME => "boot loader of NixOS",
        _ => "a step",
    }
}
