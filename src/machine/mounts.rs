//! What is mounted at the root and below it, as a machine's owner sees it: by
//! place, the last of those that lie on top of each other.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fs::mounts::{Line, Table, unescape};
use crate::machine::files::{Result, failed};
use crate::machine::sources::Sources;

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Where, as seen inside the root: the root itself is `/`.
    pub point: PathBuf,
    /// Which directory of the file system: for btrfs, the subvolume.
    pub directory: PathBuf,
    /// The device's numbers; the major one is 0 where there is no single device.
    pub device: (u32, u32),
    /// The type.
    pub fs_type: String,
    /// What is mounted, mostly a path in `/dev`.
    pub source: String,
    /// The options, of the mount and of the file system.
    pub options: Vec<String>,
}

impl Mounted {
    fn new(point: PathBuf, line: &Line<'_>) -> Option<Self> {
        let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
        let (major, minor) = std::str::from_utf8(line.device).ok()?.split_once(':')?;
        Some(Self {
            point,
            directory: OsStr::from_bytes(&line.root).into(),
            device: (major.parse().ok()?, minor.parse().ok()?),
            fs_type: text(&line.fs_type()),
            source: text(&line.source()),
            options: line.options().map(|option| text(&unescape(option))).collect(),
        })
    }

    /// Whether an option is set.
    #[must_use]
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }

    /// The btrfs subvolume, without a leading `/`; empty for the top level.
    #[must_use]
    pub(crate) fn subvolume(&self) -> Option<String> {
        let directory = self.directory.strip_prefix("/").unwrap_or(&self.directory);
        (self.fs_type == "btrfs").then(|| crate::machine::files::show(directory))
    }

    /// Whether its files are on a disk, or on a server: not made by the kernel.
    #[must_use]
    pub(crate) fn is_storage(&self) -> bool {
        const VIRTUAL: [&str; 28] = [
            "autofs",
            "binfmt_misc",
            "bpf",
            "cgroup",
            "cgroup2",
            "configfs",
            "debugfs",
            "devpts",
            "devtmpfs",
            "efivarfs",
            "fuse.gvfsd-fuse",
            "fuse.lxcfs",
            "fuse.portal",
            "fusectl",
            "hugetlbfs",
            "mqueue",
            "nsfs",
            "nfsd",
            "overlay",
            "proc",
            "pstore",
            "ramfs",
            "rpc_pipefs",
            "securityfs",
            "squashfs",
            "sysfs",
            "tmpfs",
            "tracefs",
        ];
        !VIRTUAL.contains(&self.fs_type.as_str())
    }
}

/// The mounts of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounts(Vec<Mounted>);

impl Mounts {
    /// Reads those at and below the root.
    pub(crate) fn read(sources: &Sources) -> Result<Self> {
        let path = sources.proc.join("self/mountinfo");
        let table = std::fs::read(&path).map_err(|e| failed("read", &path, &e))?;
        if sources.running {
            return Ok(Self::parse(&table, Path::new("/")));
        }
        let root = &sources.root;
        let real = root.canonicalize().map_err(|e| failed("look at", root, &e))?;
        Ok(Self::parse(&table, &real))
    }

    /// Those of a mount table that are at or below `root`; pure.
    #[must_use]
    pub(crate) fn parse(table: &[u8], root: &Path) -> Self {
        let table = Table::new(table, root.as_os_str().as_bytes(), None);
        // A root that is a plain directory is on the file system around it.
        let home = table.home().and_then(|line| Mounted::new("/".into(), line));
        let mut mounts: Vec<Mounted> = home.into_iter().collect();
        for (point, line) in table.below() {
            let point = Path::new("/").join(OsStr::from_bytes(&point.to_bytes()));
            mounts.retain(|mount| mount.point != point);
            mounts.extend(Mounted::new(point, line));
        }
        Self(mounts)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mounted> {
        self.0.iter()
    }

    /// What is mounted at a path.
    #[must_use]
    pub(crate) fn at(&self, point: impl AsRef<Path>) -> Option<&Mounted> {
        self.0.iter().find(|m| m.point == point.as_ref())
    }

    /// That of the root.
    #[must_use]
    pub(crate) fn root(&self) -> Option<&Mounted> {
        self.at("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        22 21 0:30 /@ /mnt rw - btrfs /dev/sda2 rw,subvolid=256,subvol=/@\n\
        23 22 8:3 / /mnt/boot rw - autofs systemd-1 rw\n\
        24 22 8:3 / /mnt/boot rw,nosuid shared:9 - vfat /dev/sda3 ro\n\
        25 21 0:6 / /mntx rw - tmpfs tmpfs rw\nno line\n";

    #[test]
    fn mounts_are_seen_from_inside_the_root() {
        let mounts = Mounts::parse(TABLE, Path::new("/mnt"));
        let points: Vec<_> = mounts.iter().map(|m| (m.point.clone(), m.fs_type.as_str())).collect();
        assert_eq!(points, [("/".into(), "btrfs"), ("/boot".into(), "vfat")]);
        assert_eq!(mounts.root().and_then(Mounted::subvolume).as_deref(), Some("@"));
        assert!(mounts.at("/boot").is_some_and(|m| m.has("nosuid") && m.has("ro")));
    }

    #[test]
    fn what_another_mount_hides_is_not_seen() {
        let table = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            22 21 8:2 / /mnt rw - ext4 /dev/sdb1 rw\n\
            23 22 8:3 / /mnt/boot rw - vfat /dev/sdb2 rw\n\
            24 22 8:4 / /mnt rw - xfs /dev/a\\040b rw,x=\\054\n";
        let mounts = Mounts::parse(table, Path::new("/mnt"));
        let shown: Vec<_> = mounts.iter().map(|m| (m.point.clone(), m.source.as_str())).collect();
        assert_eq!(shown, [("/".into(), "/dev/a b")]);
        assert!(mounts.root().is_some_and(|m| m.has("x=,")));
    }

    #[test]
    fn a_root_that_is_a_directory_is_on_the_file_system_around_it() {
        let mounts = Mounts::parse(TABLE, Path::new("/srv/root"));
        assert_eq!(mounts.iter().count(), 1);
        assert_eq!(mounts.root().map(|m| m.source.as_str()), Some("/dev/sda1"));
        assert_eq!(Mounts::parse(TABLE, Path::new("/")).iter().count(), 4);
    }
}
