//! Files and trees, by (open directory, single name), written so that a power
//! cut leaves the old or the new one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice};
use nix::sys::stat::{Mode, UtimensatFlags};
use nix::sys::time::TimeSpec;
use sha2::{Digest, Sha256};

use super::step::Result;
use crate::error::{OpError, Stop};
use crate::fs::disk::{Dir, Disk};
use crate::fs::name::Name;
use crate::fs::remove::{Halt, Manner};
use crate::fs::sys::{self, Kind, Links, Stat, errno};
use crate::fs::tree::Tree;
use crate::term::progress::Progress;

/// What a file's content hashes to.
pub(crate) type Hash = [u8; 32];

const CHUNK: usize = 1 << 20;

const PREFIX: &[u8] = b".nixos-lustrate-";

/// Whether a name is one that [`temporary`] gives.
#[must_use]
pub(crate) fn is_temporary(name: &Name) -> bool {
    name.as_bytes().starts_with(PREFIX)
}

/// A name for a file that is not complete yet, or on its way out.
#[must_use]
pub(crate) fn temporary(name: &Name) -> Name {
    let room = crate::fs::name::NAME_MAX - PREFIX.len();
    let end = &name.as_bytes()[..name.as_bytes().len().min(room)];
    Name::new(&[PREFIX, end].concat()).unwrap_or(Name::literal(".nixos-lustrate-"))
}

/// An error that names the file.
pub(crate) fn failed<'a>(
    disk: &'a Disk,
    op: &'static str,
    dir: &'a Dir,
    name: Option<&'a Name>,
) -> impl Fn(Errno) -> Stop + use<'a> {
    move |errno| OpError::new(op, disk.show(dir, name), errno).into()
}

/// A record that cannot be written as JSON.
#[must_use]
pub(crate) fn not_json(error: &serde_json::Error) -> Stop {
    Stop::wrong(
        format!("what is done cannot be recorded: {error}"),
        "It could not be undone",
        "Report this, with the line above",
    )
}

/// A record that cannot be understood.
#[must_use]
pub(crate) fn damaged(disk: &Disk, dir: &Dir, name: &Name) -> Stop {
    Stop::wrong(
        format!("{} is damaged", disk.show(dir, Some(name))),
        "What is to be undone would have been guessed",
        "Bring it back from a backup",
    )
}

/// Writes a file of our own in one step, replacing what has the name.
pub(crate) fn put(disk: &Disk, dir: &Dir, name: &Name, content: &[u8]) -> Result<()> {
    let part = temporary(name);
    disk.remove_file(dir, &part)?;
    disk.make_file(dir, &part, content)?;
    disk.replace((dir, &part), (dir, name))?;
    Ok(disk.sync(dir)?)
}

/// The directory that holds a path, which is not the root.
pub(crate) fn parent(disk: &Disk, root: &Dir, path: &[Name]) -> Result<Option<(Dir, Name)>> {
    let Some((last, parents)) = path.split_last() else { return Ok(None) };
    let dir = disk.open(root, parents)?;
    Ok(dir.map(|dir| (dir, last.clone())))
}

/// The content of a file, by its real path; `None` when there is none.
pub(crate) fn read(disk: &Disk, root: &Dir, path: &[Name], max: usize) -> Result<Option<Vec<u8>>> {
    match parent(disk, root, path)? {
        Some((dir, name)) => Ok(disk.read(&dir, &name, max)?),
        None => Ok(None),
    }
}

/// Opens a regular file for reading.
///
/// # Errors
/// Any failure of openat2(2).
pub(crate) fn open(disk: &Disk, dir: &Dir, name: &Name) -> Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let opened = sys::open_beneath(dir, name.as_bytes(), flags, Links::Refuse);
    opened.map(File::from).map_err(failed(disk, "open", dir, Some(name)))
}

/// Reads a file to its end; each piece goes to `take`.
fn each_chunk(
    mut file: &File,
    watch: &Progress,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<std::result::Result<(), Errno>> {
    let mut buffer = vec![0; CHUNK];
    loop {
        watch.pause()?;
        let length = match file.read(&mut buffer) {
            Ok(0) => return Ok(Ok(())),
            Ok(length) => length,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Ok(Err(errno(&e))),
        };
        let chunk = buffer.get(..length).unwrap_or_default();
        if let Err(e) = take(chunk) {
            return Ok(Err(errno(&e)));
        }
        watch.add(chunk.len());
    }
}

/// Where a file is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Wherever the kernel has it.
    Cache,
    /// The disk, as far as the kernel can be asked to: what was just written is
    /// read back.
    Disk,
    /// It is not read: only what the directory says counts.
    Nowhere,
}

/// The hash of a file's content.
///
/// # Errors
/// Any failure of openat2(2) or read(2).
pub(crate) fn hash(
    disk: &Disk,
    dir: &Dir,
    name: &Name,
    from: From,
    watch: &Progress,
) -> Result<Hash> {
    let file = open(disk, dir, name)?;
    if from == From::Disk {
        let dropped = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
        let _ = nix::fcntl::posix_fadvise(&file, 0, 0, dropped);
    }
    let mut hash = Sha256::new();
    let read = each_chunk(&file, watch, |chunk| {
        hash.update(chunk);
        Ok(())
    })?;
    read.map_err(failed(disk, "read", dir, Some(name)))?;
    Ok(hash.finalize().into())
}

/// Copies a regular file with owner, mode, attributes and times to a name that
/// was free, onto the disk.
pub(crate) fn copy(
    disk: &Disk,
    from: (&Dir, &Name),
    to: (&Dir, &Name),
    like: &Stat,
    watch: &Progress,
) -> Result<()> {
    let source = open(disk, from.0, from.1)?;
    let wrong = failed(disk, "write", to.0, Some(to.1));
    let mut target = std::fs::File::from(sys::make_file(to.0, to.1).map_err(&wrong)?);
    each_chunk(&source, watch, |chunk| target.write_all(chunk))?.map_err(&wrong)?;
    dress(&target, &source, like).map_err(failed(disk, "set the owner of", to.0, Some(to.1)))?;
    nix::unistd::fsync(&target).map_err(wrong)
}

/// Owner, mode, attributes and times of an open file or directory.
///
/// # Errors
/// Any failure of a system call, but where the file system has no owners.
pub(crate) fn dress(
    target: impl std::os::fd::AsFd,
    source: impl std::os::fd::AsFd,
    like: &Stat,
) -> sys::Result<()> {
    tolerant(nix::unistd::fchown(&target, Some(like.uid.into()), Some(like.gid.into())))?;
    tolerant(nix::sys::stat::fchmod(&target, Mode::from_bits_truncate(like.mode)))?;
    match sys::copy_xattrs(source, &target) {
        Ok(_) | Err(Errno::EOPNOTSUPP) => {}
        Err(errno) => return Err(errno),
    }
    let (accessed, modified) = (time(like.accessed), time(like.modified));
    tolerant(nix::sys::stat::futimens(&target, &accessed, &modified))
}

/// vfat has neither owners nor modes, and says so with `EPERM`.
fn tolerant(result: sys::Result<()>) -> sys::Result<()> {
    match result {
        Err(Errno::EPERM | Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(()),
        result => result,
    }
}

fn time((seconds, nanoseconds): (i64, u32)) -> TimeSpec {
    TimeSpec::new(seconds, nanoseconds.into())
}

/// Owner, mode and modification time by name.
///
/// # Errors
/// Any failure of a system call, but where the file system has no owners.
pub(crate) fn set_metadata(disk: &Disk, dir: &Dir, name: &Name, like: &Stat) -> Result<()> {
    let wrong = failed(disk, "set owner and mode of", dir, Some(name));
    let os = name.as_os_str();
    let owner = (Some(like.uid.into()), Some(like.gid.into()));
    let flags = nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW;
    tolerant(nix::unistd::fchownat(dir, os, owner.0, owner.1, flags)).map_err(&wrong)?;
    if like.kind != Kind::Link {
        set_mode(disk, dir, name, like.mode)?;
    }
    let (accessed, modified) = (time(like.accessed), time(like.modified));
    let flags = UtimensatFlags::NoFollowSymlink;
    tolerant(nix::sys::stat::utimensat(dir, os, &accessed, &modified, flags)).map_err(wrong)
}

/// The permission bits of a file or directory, never of what a link leads to.
///
/// # Errors
/// Any failure of a system call, but where the file system has no modes.
pub(crate) fn set_mode(disk: &Disk, dir: &Dir, name: &Name, mode: u32) -> Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = sys::open_beneath(dir, name.as_bytes(), flags, Links::Refuse);
    let set = opened
        .and_then(|file| tolerant(nix::sys::stat::fchmod(&file, Mode::from_bits_truncate(mode))));
    set.map_err(failed(disk, "set the mode of", dir, Some(name)))
}

/// Removes a file or a tree. What is mounted in it, also a directory of the same
/// file system, stops that, and nothing in it is touched.
pub(crate) fn remove(disk: &Disk, dir: &Dir, name: &Name, watch: &Progress) -> Result<()> {
    let Some(stat) = disk.stat(dir, name)? else { return Ok(()) };
    let text = name.to_c_string();
    let halted = |halt: Halt| match halt {
        Halt::Interrupted => Stop::interrupted(),
        Halt::Failed(error) => error.into(),
        halt => halt.refusal("It stays, with what is in it").into(),
    };
    if stat.kind != Kind::Dir {
        return match disk.remove_file(dir, name) {
            Err(e) if e.errno() == Errno::EBUSY => {
                Err(halted(Halt::at("remove", dir.as_fd(), &text)(Errno::EBUSY)))
            }
            done => Ok(done?),
        };
    }
    let mut watch = watch;
    crate::fs::remove::remove(dir.as_fd(), &text, Manner::Respect, &mut watch).map_err(halted)
}
