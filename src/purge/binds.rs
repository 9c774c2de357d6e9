//! File systems that are mounted *from* a directory below the root: bind
//! mounts, and btrfs subvolumes with a mount point of their own. To remove an
//! old root would remove what is seen there. Pure.

use crate::fs::mounts::unescape;
use crate::fs::name::RelPath;

/// A directory of the root that is mounted elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    /// The directory, relative to the root.
    pub source: RelPath,
    /// Where it is mounted, as the kernel shows it.
    pub point: Vec<u8>,
}

struct Line<'a> {
    device: &'a [u8],
    /// The directory of the file system that is mounted.
    root: Vec<u8>,
    point: Vec<u8>,
}

/// What is mounted from below `root`, an absolute path as the kernel shows it.
/// Format: `proc_pid_mountinfo(5)`.
#[must_use]
pub(crate) fn from_below(mountinfo: &[u8], root: &[u8]) -> Vec<Bind> {
    let lines = mountinfo.split(|&b| b == b'\n').filter_map(parse).collect::<Vec<_>>();
    // The root's own mount: the deepest above it, and of several the last.
    let holds = |line: &&Line<'_>| below(root, &line.point).is_some();
    let Some(own) = lines.iter().filter(holds).max_by_key(|line| line.point.len()) else {
        return Vec::new();
    };
    let base = match below(root, &own.point) {
        Some(rest) if !rest.is_empty() => {
            [own.root.strip_suffix(b"/").unwrap_or(&own.root), b"/", rest].concat()
        }
        _ => own.root.clone(),
    };
    let same = lines.iter().filter(|line| line.device == own.device);
    same.filter_map(|line| {
        let source = RelPath::parse(below(&line.root, &base)?).ok()?;
        Some(Bind { source, point: line.point.clone() })
    })
    .collect()
}

fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut fields = line.split(|&b| b == b' ').skip(2);
    let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Line { device, root: unescape(root), point: unescape(point) })
}

/// `path` relative to `top`, if it is at or below it.
fn below<'a>(path: &'a [u8], top: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(top.strip_suffix(b"/").unwrap_or(top))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(mountinfo: &[u8], root: &str) -> Vec<String> {
        let binds = from_below(mountinfo, root.as_bytes());
        let text = |b: &Bind| format!("{} at {}", b.source, String::from_utf8_lossy(&b.point));
        binds.iter().map(text).collect()
    }

    #[test]
    fn binds_from_below_the_root_are_found() {
        let info = b"21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
            22 21 8:1 /old-root/home /home rw - ext4 /dev/sda1 rw\n\
            23 21 8:1 /old-root/a\\040b /srv/x\\040y rw - ext4 /dev/sda1 rw\n\
            24 21 8:2 /old-root/var /var rw - ext4 /dev/sdb1 rw\n";
        assert_eq!(shown(info, "/"), ["old-root/home at /home", "old-root/a b at /srv/x y"]);
        assert_eq!(shown(info, "/old-root"), ["home at /home", "a b at /srv/x y"]);
    }

    #[test]
    fn a_root_that_is_a_subvolume_is_looked_at_from_the_pool() {
        let info = b"21 1 0:30 /@ / rw - btrfs /dev/sda1 rw\n\
            22 21 0:30 /@home /home rw - btrfs /dev/sda1 rw\n\
            23 21 0:30 / /mnt rw - btrfs /dev/sda1 rw\n\
            24 21 0:30 /@/old-root/var/lib/machines /machines rw - btrfs /dev/sda1 rw\n";
        assert_eq!(shown(info, "/"), ["old-root/var/lib/machines at /machines"]);
        let below_pool = ["@ at /", "@home at /home", "@/old-root/var/lib/machines at /machines"];
        assert_eq!(shown(info, "/mnt"), below_pool);
        assert_eq!(shown(info, "/mnt/@"), ["old-root/var/lib/machines at /machines"]);
    }

    #[test]
    fn of_mounts_on_top_of_each_other_the_last_counts() {
        let info = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            22 21 8:2 / /mnt rw - ext4 /dev/sdb1 rw\n\
            23 22 8:3 / /mnt rw - ext4 /dev/sdc1 rw\n\
            24 21 8:2 /old-root/x /x rw - ext4 /dev/sdb1 rw\n\
            25 21 8:3 /old-root/y /y rw - ext4 /dev/sdc1 rw\n";
        assert_eq!(shown(info, "/mnt"), ["old-root/y at /y"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(info in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_below(&info, b"/sysroot");
        }
    }
}
