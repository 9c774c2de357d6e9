//! `/proc/self/mountinfo`: the mount points below the root.
//!
//! Pure. A directory that holds a mount point deeper down can be renamed, and
//! the mount goes with it (that is how `/var/log` ended up below `/old-root`),
//! so the list is needed before anything moves. Format: `proc_pid_mountinfo(5)`.

use crate::fs::name::RelPath;

/// A mounted file system below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where, relative to the root.
    pub point: RelPath,
    /// The file-system type, for the message.
    pub fs_type: String,
}

/// The mounts below `root`, an absolute path as the kernel shows it.
///
/// Lines that are no mountinfo lines cannot come from the kernel; they are
/// passed over.
#[must_use]
pub fn below(mountinfo: &[u8], root: &[u8]) -> Vec<Mount> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let found = mountinfo.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.split(|&b| b == b' ');
        let point = unescape(fields.nth(4)?);
        let fs_type = fields.skip_while(|f| *f != b"-").nth(1)?;
        let point = RelPath::parse(point.strip_prefix(root)?.strip_prefix(b"/")?).ok()?;
        Some(Mount { point, fs_type: String::from_utf8_lossy(fs_type).into_owned() })
    });
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in found {
        if mounts.iter().all(|known| known.point != mount.point) {
            mounts.push(mount);
        }
    }
    mounts
}

/// Whether the mount with this id is an overlay that copies a directory up on
/// rename (`redirect_dir=on`); `None` when it is no overlay.
#[must_use]
pub fn overlay_redirects(mountinfo: &[u8], id: u64) -> Option<bool> {
    mountinfo.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b' ');
        let found: u64 = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let mut rest = fields.skip_while(|f| *f != b"-").skip(1);
        let (fs_type, options) = (rest.next()?, rest.nth(1)?);
        (found == id && fs_type == b"overlay")
            .then(|| options.split(|&b| b == b',').any(|o| o == b"redirect_dir=on"))
    })
}

/// What is mounted on a path, as findmnt(8) shows it: the source, and in brackets
/// the directory of it that a bind mount shows.
#[cfg(feature = "full")]
#[must_use]
pub(crate) fn mounted_on(mountinfo: &[u8], point: &[u8]) -> Option<Vec<u8>> {
    // Of several on top of each other, the last.
    mountinfo.split(|&b| b == b'\n').rev().find_map(|line| {
        let mut fields = line.split(|&b| b == b' ').skip(3);
        let (directory, at) = (unescape(fields.next()?), unescape(fields.next()?));
        let source = unescape(fields.skip_while(|f| *f != b"-").nth(2)?);
        let directory =
            if directory == b"/" { Vec::new() } else { [b"[", &*directory, b"]"].concat() };
        (at == point).then(|| [source, directory].concat())
    })
}

/// Undoes the kernel's octal escapes (`\040` for a space; `fs/seq_file.c`).
pub(crate) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = |b: u8| (b'0'..=b'7').contains(&b).then(|| u32::from(b - b'0'));
        rest = tail;
        if let (b'\\', [a, b, c, after @ ..]) = (first, tail) {
            let value = octal(*a).zip(octal(*b)).zip(octal(*c));
            let value = value.map(|((a, b), c)| a * 64 + b * 8 + c);
            if let Some(byte) = value.and_then(|v| u8::try_from(v).ok()) {
                bytes.push(byte);
                rest = after;
                continue;
            }
        }
        bytes.push(first);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INFO: &[u8] = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        22 21 8:2 / /sysroot rw - ext4 /dev/sda2 rw\n\
        23 22 8:3 / /sysroot/var/log rw shared:9 master:1 - xfs /dev/sda3 rw\n\
        24 22 0:5 / /sysroot/a\\040b\\134 rw - tmpfs tmpfs rw\n\
        25 21 0:6 / /sysrootx/y rw - tmpfs tmpfs rw\n\
        26 21 0:7 / /ov rw - overlay overlay rw,lowerdir=/l,redirect_dir=on\n\
        27 21 0:8 / /ov2 rw - overlay overlay rw,lowerdir=/l\n";

    #[test]
    fn mounts_below_the_root_are_found_and_unescaped() {
        let found = below(INFO, b"/sysroot");
        let shown: Vec<_> = found.iter().map(|m| format!("{} {}", m.point, m.fs_type)).collect();
        assert_eq!(shown, ["var/log xfs", "a b\\\\ tmpfs"]);
        assert_eq!(below(INFO, b"/").len(), 6);
        assert_eq!(below(INFO, b"/sysroot/var/log"), []);
    }

    #[test]
    fn an_overlay_says_whether_it_redirects() {
        assert_eq!(overlay_redirects(INFO, 26), Some(true));
        assert_eq!(overlay_redirects(INFO, 27), Some(false));
        assert_eq!(overlay_redirects(INFO, 22), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(info in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = below(&info, b"/sysroot");
            let _ = overlay_redirects(&info, 1);
        }

        #[test]
        fn unescape_undoes_the_kernels_escape(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut escaped = Vec::new();
            for &b in &name {
                if matches!(b, b' ' | b'\t' | b'\n' | b'\\') {
                    escaped.extend(format!("\\{b:03o}").bytes());
                } else {
                    escaped.push(b);
                }
            }
            prop_assert_eq!(unescape(&escaped), name);
        }
    }
}
