//! Where the configurations of boot loaders are, below `/boot` or an ESP.

/// Single files.
pub(crate) const FILES: [&str; 8] = [
    "grub/grub.cfg",
    "EFI/refind/refind.conf",
    "EFI/BOOT/refind.conf",
    "extlinux/extlinux.conf",
    "limine/limine.conf",
    "EFI/limine/limine.conf",
    "limine.conf",
    "syslinux/syslinux.cfg",
];

/// Directories that have one for each entry, and how the names of those end.
pub(crate) const FOLDERS: [(&str, &[u8]); 2] = [("loader/entries", b".conf"), ("EFI/Linux", IMAGE)];

/// How the name of a unified kernel image ends.
const IMAGE: &[u8] = b".efi";

fn ends(name: &[u8], ends: &[&[u8]]) -> bool {
    let name = name.to_ascii_lowercase(); // on vfat they are the same
    ends.iter().any(|end| name.ends_with(end))
}

/// Whether a file is text that says what is booted.
#[must_use]
pub(crate) fn is_text(name: &[u8]) -> bool {
    ends(name, &[b".cfg", b".conf"])
}

/// Whether a file is a program of the firmware, a unified kernel image perhaps.
#[must_use]
pub(crate) fn is_image(name: &[u8]) -> bool {
    ends(name, &[IMAGE])
}
