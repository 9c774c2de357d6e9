//! Where boot files are: `/boot`, with whatever is mounted on or below it, and
//! `/efi` where an ESP is mounted there.

use nix::sys::statfs::{MSDOS_SUPER_MAGIC, fstatfs};

use super::durable::failed;
use super::step::Result;
use crate::engine::names::{BOOT, BOOT_BAK};
use crate::error::Stop;
use crate::fs::disk::{Dir, Disk};
use crate::fs::mounts::Mount;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{Kind, Stat};
use crate::fs::tree::Tree;

const EFI: Name = Name::literal("efi");
const EFI_BAK: Name = Name::literal("efi.bak");

/// The places, each with the name of what is saved of it.
pub(crate) const PLACES: [(Name, Name); 2] = [(BOOT, BOOT_BAK), (EFI, EFI_BAK)];

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is not there.
    Missing,
    /// A directory of the root's file system.
    Directory,
    /// A file system of its own.
    Mount,
}

/// A directory with boot files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its name in the root.
    pub name: Name,
    /// The name in the root of what is saved of it.
    pub saved: Name,
    /// What it is.
    pub kept: Kept,
    /// It is an ESP, which others may share.
    pub esp: bool,
    /// Mount points below it.
    pub nested: Vec<RelPath>,
}

/// Whether a mounted file system is an ESP: one is vfat nearly always.
pub(crate) fn is_esp(disk: &Disk, dir: &Dir) -> Result<bool> {
    let upper = Name::literal("EFI");
    let is_dir = |stat: Stat| stat.kind == Kind::Dir;
    Ok(is_vfat(disk, dir)? || disk.stat(dir, &upper)?.is_some_and(is_dir))
}

/// Whether a directory is on vfat: without owners, and upper and lower case are
/// the same.
pub(crate) fn is_vfat(disk: &Disk, dir: &Dir) -> Result<bool> {
    let stat = fstatfs(dir).map_err(failed(disk, "look at", dir, None))?;
    Ok(stat.filesystem_type() == MSDOS_SUPER_MAGIC)
}

/// Finds them.
///
/// # Errors
/// When `boot` is no directory, or cannot be looked at.
pub(crate) fn places(disk: &Disk, root: &Dir, mounts: &[Mount]) -> Result<Vec<Place>> {
    let mut found = vec![place(disk, root, mounts, BOOT, BOOT_BAK)?];
    if mounts.iter().any(|mount| mount.point == RelPath::from(EFI)) {
        found.push(place(disk, root, mounts, EFI, EFI_BAK)?);
    }
    Ok(found)
}

fn place(disk: &Disk, root: &Dir, mounts: &[Mount], name: Name, saved: Name) -> Result<Place> {
    let at = RelPath::from(name.clone());
    let mounted = mounts.iter().any(|mount| mount.point == at);
    let nested = mounts.iter().filter(|m| at.covers(&m.point) && m.point != at);
    let nested = nested.filter_map(|m| RelPath::new(m.point.names()[1..].to_vec())).collect();
    let opened = disk.open(root, std::slice::from_ref(&name))?;
    let kept = match (disk.stat(root, &name)?, &opened) {
        (None, _) => Kept::Missing,
        (Some(stat), Some(_)) if stat.kind == Kind::Dir && mounted => Kept::Mount,
        (Some(stat), Some(_)) if stat.kind == Kind::Dir => Kept::Directory,
        _ => {
            let shown = disk.show(root, Some(&name));
            return Err(Stop::wrong(
                format!("{shown} is no directory"),
                "The boot loader would be written to where it leads",
                "Make it a directory, or mount the file system there",
            ));
        }
    };
    let esp = match opened.as_ref().filter(|_| mounted) {
        Some(dir) => is_esp(disk, dir)?,
        None => false,
    };
    Ok(Place { name, saved, kept, esp, nested })
}
