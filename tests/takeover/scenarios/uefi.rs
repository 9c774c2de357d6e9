//! The same on a machine with UEFI: GRUB of Debian, systemd-boot of NixOS, and an
//! ESP at `/boot/efi`, while `/boot` is a directory of the root.

use super::back::{assert_debian_is_back, cancel_in_rescue, revert_in_rescue};
use super::story::becomes_nixos;
use crate::common::manifest::Manifest;
use crate::debian::Variant;
use crate::golden::lustrated;
use crate::lab::check::assert_reverted;
use crate::scenarios::story::KEPT;

#[test]
fn a_debian_with_an_esp_becomes_nixos_and_debian_again() {
    becomes_nixos(Variant::Uefi);
    let station = lustrated(Variant::Uefi);
    let computer = station.computer.copy();
    revert_in_rescue(&computer);
    // The saved boot files came back with the old population, as /boot.
    let after = computer.manifest();
    let id = |manifest: &Manifest, path| manifest.get(path).map(|node| node.id);
    assert_eq!(id(&after, b"boot"), id(&station.before, b"boot.bak"));
    assert_eq!(id(&after, b"boot.bak"), id(&station.before, b"boot"));
    let others = |manifest: &Manifest| manifest.without(b"boot").without(b"boot.bak");
    assert_reverted(&others(&station.before), &others(&after), &KEPT);

    cancel_in_rescue(&computer);
    // systemd-boot is gone from the ESP, and the firmware goes on to the next entry.
    assert_debian_is_back(&computer, &station.before);
}
