//! Where boot files are: `/boot`, with whatever is mounted on or below it, `/efi`
//! where an ESP is mounted there, what else is mounted and may hold boot files, what
//! the boot loader of the system is written to, and what was saved before.

use nix::sys::statfs::{MSDOS_SUPER_MAGIC, fstatfs};

use super::durable::failed;
use super::step::Result;
use crate::engine::names::BOOT;
use crate::error::Stop;
use crate::fs::disk::{Dir, Disk};
use crate::fs::mounts::Mount;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::{Kind, Stat};
use crate::fs::tree::Tree;

const EFI: Name = Name::literal("efi");

const FAT: [&str; 2] = ["vfat", "msdos"];
const DISK: [&str; 7] = ["ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs", "zfs"];
/// Below the top of a file system with boot files.
const HOLDS: [(&[Name], Name); 5] = [
    (&[Name::literal("grub")], Name::literal("grub.cfg")),
    (&[Name::literal("grub2")], Name::literal("grub.cfg")),
    (&[Name::literal("loader")], Name::literal("entries")),
    (&[Name::literal("extlinux")], Name::literal("extlinux.conf")),
    (&[], Name::literal("EFI")),
];

/// With what is put behind it, still the name of a file.
const LONGEST: usize = 200;

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
    /// Where in the root.
    pub path: RelPath,
    /// The same as one name, with which the names of what is saved of it begin.
    pub flat: String,
    /// The name of what is saved of it.
    pub saved: Name,
    /// What it is.
    pub kept: Kept,
    /// It is an ESP, which others may share.
    pub esp: bool,
    /// Mount points below it.
    pub nested: Vec<RelPath>,
}

impl Place {
    /// The name of its notes.
    #[must_use]
    pub(crate) fn key(&self) -> String {
        self.path.to_string()
    }

    /// A path in it, as one in the root.
    #[must_use]
    pub(crate) fn below(&self, path: &[Name]) -> Vec<Name> {
        [self.path.names(), path].concat()
    }
}

/// What there is besides `/boot` and what is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The places of which something is saved.
    pub saved: Vec<RelPath>,
    /// What the boot loader of the system is written to.
    pub written: Vec<RelPath>,
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

/// A path as one name: as it is, where it is an entry of the root.
#[must_use]
pub(crate) fn flat(path: &RelPath) -> String {
    path.to_string().replace('%', "%25").replace('/', "%2F")
}

/// The name of what is saved of a place.
#[must_use]
pub(crate) fn saved_name(flat: &str) -> Option<Name> {
    (flat.len() <= LONGEST).then(|| Name::new(format!("{flat}.bak").as_bytes()).ok()).flatten()
}

/// Finds them.
///
/// # Errors
/// When one is no directory, cannot be looked at, or holds another of which
/// something is saved.
pub(crate) fn places(
    disk: &Disk,
    root: &Dir,
    mounts: &[Mount],
    known: &Known,
) -> Result<Vec<Place>> {
    let efi = RelPath::from(EFI);
    let efi = Some(efi).filter(|efi| mounts.iter().any(|mount| mount.point == *efi));
    let first = [RelPath::from(BOOT)].into_iter().chain(efi).chain(known.saved.iter().cloned());
    let mut others = known.written.clone();
    for mount in mounts {
        if may_boot(disk, root, mount)? {
            others.push(mount.point.clone());
        }
    }
    // What holds another comes before it.
    others.sort_by_key(|path| path.names().len());
    let mut found: Vec<Place> = Vec::new();
    for path in first.chain(others) {
        if found.iter().any(|place| place.path.covers(&path)) {
            continue;
        }
        let place = place(disk, root, mounts, &path)?;
        if let Some(inner) = found.iter().find(|inner| place.path.covers(&inner.path)) {
            let (inner, shown) = (&inner.path, &place.path);
            return Err(Stop::wrong(
                format!("boot files in /{inner} are saved by themselves, and now in /{shown} too"),
                "They would have been put back twice, and not as the same",
                "Cancel first; unmount what was mounted there since",
            ));
        }
        found.push(place);
    }
    Ok(found)
}

/// Whether boot files may be on a mounted file system: on each FAT, and on another by
/// what it holds or where it is, since not every system says where it writes.
fn may_boot(disk: &Disk, root: &Dir, mount: &Mount) -> Result<bool> {
    let kind = mount.fs_type.as_str();
    if FAT.contains(&kind) {
        return Ok(true);
    }
    // Looking into another kind might mount it, or wait for a server.
    if !DISK.contains(&kind) {
        return Ok(false);
    }
    let name = mount.point.last().as_bytes().to_ascii_lowercase();
    let is_boot = name.windows(4).any(|part| part == b"boot");
    if is_boot || [&b"efi"[..], b"esp"].iter().any(|part| name.starts_with(part)) {
        return Ok(true);
    }
    let Some(dir) = disk.open(root, mount.point.names())? else { return Ok(false) };
    for (parents, name) in HOLDS {
        let Some(dir) = disk.open(&dir, parents)? else { continue };
        if disk.stat(&dir, &name)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How far a path can be followed.
enum Way {
    /// A directory.
    Whole(Dir),
    /// So many of its names lead to the first that is missing.
    Missing(usize),
}

fn follow(disk: &Disk, root: &Dir, path: &RelPath) -> Result<Way> {
    for length in 1..=path.names().len() {
        let (upper, _) = path.names().split_at(length);
        let Some((name, parents)) = upper.split_last() else { continue };
        let Some(dir) = disk.open(root, parents)? else { return Ok(Way::Missing(length)) };
        let opened = match disk.stat(&dir, name)? {
            None => return Ok(Way::Missing(length)),
            Some(stat) if stat.kind == Kind::Dir => disk.open(&dir, std::slice::from_ref(name))?,
            Some(_) => None,
        };
        match opened {
            Some(dir) if length == path.names().len() => return Ok(Way::Whole(dir)),
            Some(_) => {}
            None => {
                let shown = disk.show(&dir, Some(name));
                return Err(Stop::wrong(
                    format!("{shown} is no directory"),
                    "The boot loader would be written to where it leads",
                    "Make it a directory, or mount the file system there",
                ));
            }
        }
    }
    Ok(Way::Missing(1))
}

fn place(disk: &Disk, root: &Dir, mounts: &[Mount], path: &RelPath) -> Result<Place> {
    let mounted = mounts.iter().any(|mount| mount.point == *path);
    let nested = mounts.iter().filter(|m| path.covers(&m.point) && m.point != *path);
    let length = path.names().len();
    let nested = nested.filter_map(|m| RelPath::new(m.point.names()[length..].to_vec())).collect();
    let way = follow(disk, root, path)?;
    let (path, kept, esp) = match &way {
        // With it go the directories that are made for it.
        Way::Missing(length) => {
            let path = RelPath::new(path.names()[..*length].to_vec());
            (path.unwrap_or_else(|| RelPath::from(BOOT)), Kept::Missing, false)
        }
        Way::Whole(dir) if mounted => (path.clone(), Kept::Mount, is_esp(disk, dir)?),
        Way::Whole(_) => (path.clone(), Kept::Directory, false),
    };
    let flat = flat(&path);
    let saved = saved_name(&flat).ok_or_else(|| {
        Stop::wrong(
            format!("/{path} cannot be saved: its path is too long"),
            "The boot files in it would have been lost",
            "Mount it elsewhere, and build the system for that",
        )
    })?;
    Ok(Place { path, flat, saved, kept, esp, nested })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_name_of_its_own() {
        let flat = |path: &str| super::flat(&RelPath::parse(path.as_bytes()).expect("a path"));
        assert_eq!(flat("boot"), "boot");
        assert_eq!(flat("mnt/esp"), "mnt%2Fesp");
        assert_ne!(flat("mnt%2Fesp"), flat("mnt/esp"));
        let name = |flat: &str| saved_name(flat).map(|name| name.to_string());
        assert_eq!(name("mnt%2Fesp").as_deref(), Some("mnt%2Fesp.bak"));
        assert_eq!(name(&"x".repeat(LONGEST + 1)), None);
    }
}
