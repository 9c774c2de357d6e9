//! The names on the disk. Others rely on them: change none.

use crate::fs::name::{Name, literal};

/// Where the running distribution, and then NixOS, has its configuration.
pub const ETC: Name = literal!("etc");
/// The Nix store; never touched.
pub(crate) const NIX: Name = literal!("nix");
/// Boot files; never touched, but for the exchange with [`BOOT_BAK`] on revert.
pub const BOOT: Name = literal!("boot");
/// Where `prepare` saves the boot files of the old distribution.
pub(crate) const BOOT_BAK: Name = literal!("boot.bak");

/// The marker, in `etc` or in the upper directory of NixOS's etc overlay.
pub const MARKER: Name = literal!("NIXOS_LUSTRATE");
/// The same, not complete yet.
pub(crate) const MARKER_PART: Name = literal!("NIXOS_LUSTRATE.part");
/// The one that asked for a lustration, in an old `etc` that nothing can leave.
pub(crate) const MARKER_SAVED: Name = literal!("NIXOS_LUSTRATE.saved");
/// What tells `nixos-enter` and `nixos-rebuild` that a root holds NixOS.
pub const NIXOS: Name = literal!("NIXOS");
/// In `etc`: the flags of an immutable root, until the intent holds them.
pub(crate) const FLAGS_NOTE: Name = literal!("NIXOS_LUSTRATE.flags");
/// The same, not complete yet.
pub(crate) const FLAGS_PART: Name = literal!("NIXOS_LUSTRATE.flags.part");
/// The directory of NixOS's etc overlay (nixpkgs, nixos/modules/system/etc).
pub(crate) const RW_ETC: Name = literal!(".rw-etc");
/// The writable layer in it.
pub const UPPER: Name = literal!("upper");

/// The old population, once its lustration is done.
pub const OLD_ROOT: Name = literal!("old-root");
/// The staging directory: the same while an exchange is in progress.
pub const OLD_ROOT_TMP: Name = literal!("old-root.tmp");
/// What NixOS had written, once the revert is done.
pub(crate) const NIXOS_ROOT: Name = literal!("nixos-root");
/// The same while a revert is in progress.
pub(crate) const NIXOS_ROOT_TMP: Name = literal!("nixos-root.tmp");

/// With a time behind it: an old root that is being removed. No entry of a
/// population, but an exchange takes it for one: it then is in the next old root.
#[cfg(feature = "full")]
pub(crate) const PURGED: Name = literal!("old-root.purge");

/// Our own directory in the staging directory, later in the old root.
pub(crate) const LUSTRATE: Name = literal!(".lustrate");
/// In [`LUSTRATE`]: the intent.
pub(crate) const INTENT: Name = literal!("intent");
/// In [`LUSTRATE`]: the record.
pub(crate) const RECORD: Name = literal!("record");
/// In [`LUSTRATE`]: an intent or record that is not complete yet.
pub(crate) const PART: Name = literal!("part");
/// In [`LUSTRATE`]: the new population while a lustration is in progress.
pub(crate) const NEW: Name = literal!("new");
/// In [`LUSTRATE`]: the new population until the intent is on the disk; and after
/// a lustration the empty directory that a revert needs.
pub(crate) const DRAFT: Name = literal!("draft");
/// In [`LUSTRATE`]: a directory or link that is being made.
pub(crate) const MAKING: Name = literal!("making");
/// In [`LUSTRATE`]: space that is given back when there is none.
pub(crate) const RESERVE: Name = literal!("reserve");
/// In [`LUSTRATE`], with a number behind it: an empty file that waits.
pub(crate) const SPARE: Name = literal!("spare");
/// In [`LUSTRATE`]: what an interrupted stock lustration had copied back.
pub(crate) const COPIES: Name = literal!("copies");
/// In [`LUSTRATE`]: what of the old population could not go back to the root.
pub const LEFT: Name = literal!("left");
/// In [`LUSTRATE`]: the marker that asked for the lustration, put aside.
pub(crate) const SAVED_MARKER: Name = literal!("marker");
/// In [`LUSTRATE`]: the one from the etc overlay.
pub(crate) const UPPER_MARKER: Name = literal!("marker-upper");

/// Whether `name` is `base`, or one of those that [`Name::numbered`] makes of it.
#[must_use]
pub(crate) fn is_numbered(name: &Name, base: &Name) -> bool {
    match name.as_bytes().strip_prefix(base.as_bytes()) {
        Some([]) => true,
        Some([b'-', digits @ ..]) => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether `name` may be moved at all, whatever an intent says (I2).
#[must_use]
pub fn is_reserved(name: &Name) -> bool {
    let reserved = [NIX, BOOT, OLD_ROOT_TMP, NIXOS_ROOT_TMP, LUSTRATE];
    reserved.contains(name)
}
