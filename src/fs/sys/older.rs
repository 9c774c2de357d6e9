//! What a system without statx(2) tells: not a kernel that we support, but a
//! sandbox that knows only older calls.

use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, fstat, fstatat};

use super::{APPEND, IMMUTABLE, Kind, Links, Result, Stat, inode_flags, open_beneath};
use crate::fs::name::Name;

/// Whether this is such a system, by the first answer of statx(2). What one
/// call tells must be comparable with what another does: a later `ENOSYS` is an
/// error like any other.
pub(super) fn lacks_statx<T>(answer: &Result<T>) -> bool {
    static LACKS: OnceLock<bool> = OnceLock::new();
    let is_missing = matches!(answer, Err(Errno::ENOSYS));
    *LACKS.get_or_init(|| is_missing) && is_missing
}

/// As [`super::stat`], without the mount.
pub(super) fn stat(dir: impl AsFd, name: Option<&Name>) -> Result<Stat> {
    let found = match name {
        Some(name) => fstatat(&dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW),
        None => fstat(&dir),
    };
    let mut stat = translated(&found?);
    if matches!(stat.kind, Kind::Dir | Kind::File) {
        let how = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let flags = match name {
            Some(name) => open_beneath(&dir, name.as_bytes(), how, Links::Refuse)
                .and_then(|file| inode_flags(&file)),
            None => inode_flags(&dir),
        };
        stat.flags = match flags {
            Err(Errno::ENOTTY | Errno::EOPNOTSUPP) => 0,
            flags => flags? & (IMMUTABLE | APPEND),
        };
    }
    Ok(stat)
}

fn translated(found: &FileStat) -> Stat {
    let nanoseconds = |n: i64| u32::try_from(n).unwrap_or(0);
    let number = |n: libc::c_uint| n;
    Stat {
        kind: kind(found.st_mode),
        mode: found.st_mode & 0o7777,
        uid: found.st_uid,
        gid: found.st_gid,
        inode: found.st_ino,
        device: (number(libc::major(found.st_dev)), number(libc::minor(found.st_dev))),
        mount: None,
        flags: 0,
        accessed: (found.st_atime, nanoseconds(found.st_atime_nsec)),
        modified: (found.st_mtime, nanoseconds(found.st_mtime_nsec)),
    }
}

fn kind(mode: libc::mode_t) -> Kind {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => Kind::Dir,
        libc::S_IFREG => Kind::File,
        libc::S_IFLNK => Kind::Link,
        _ => Kind::Special,
    }
}
