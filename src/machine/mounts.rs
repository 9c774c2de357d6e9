//! What is mounted at the root and below it, by `/proc/self/mountinfo`
//! (`proc_pid_mountinfo(5)`).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::fs::mounts::unescape;
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
        let all: Vec<Mounted> = table.split(|&b| b == b'\n').filter_map(line).collect();
        // A root that is a plain directory is on the file system around it.
        let around = all.iter().filter(|m| root.starts_with(&m.point));
        let around = around.enumerate().max_by_key(|(at, m)| (m.point.components().count(), *at));
        let mut mounts: Vec<Mounted> = Vec::new();
        for mount in around.map(|(_, mount)| mount).into_iter().chain(&all) {
            let inside = match mount.point.strip_prefix(root) {
                Ok(inside) => Path::new("/").join(inside),
                Err(_) if mounts.is_empty() => PathBuf::from("/"),
                Err(_) => continue,
            };
            // The last one mounted at a place is what is seen there.
            mounts.retain(|m| m.point != inside);
            mounts.push(Mounted { point: inside, ..mount.clone() });
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

fn line(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|&b| b == b' ');
    let path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescape(field)));
    let text = |field: &[u8]| String::from_utf8_lossy(&unescape(field)).into_owned();
    let device = text(fields.nth(2)?);
    let (major, minor) = device.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let (directory, point) = (path(fields.next()?), path(fields.next()?));
    let own = text(fields.next()?);
    let mut rest = fields.skip_while(|f| *f != b"-").skip(1);
    let (fs_type, source) = (text(rest.next()?), text(rest.next()?));
    let options = rest.next().map(text).unwrap_or_default();
    let options = own.split(',').chain(options.split(',')).map(str::to_owned).collect();
    debug_assert!(point.as_os_str().as_bytes().first() == Some(&b'/'));
    Some(Mounted { point, directory, device, fs_type, source, options })
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
    fn a_root_that_is_a_directory_is_on_the_file_system_around_it() {
        let mounts = Mounts::parse(TABLE, Path::new("/srv/root"));
        assert_eq!(mounts.iter().count(), 1);
        assert_eq!(mounts.root().map(|m| m.source.as_str()), Some("/dev/sda1"));
        assert_eq!(Mounts::parse(TABLE, Path::new("/")).iter().count(), 4);
    }
}
