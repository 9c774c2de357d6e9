//! Every system call of the program, and the only `unsafe` code.
//!
//! Each wrapper takes an open directory first and then a single [`Name`], adds
//! `CLOEXEC` and never follows a link. What `nix` offers is used; `renameat2`
//! and `statx` are called by number, since `nix` has them for glibc only or
//! not at all. Errors are the bare [`Errno`]; [`crate::fs::disk`] adds the path.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

use crate::fs::name::{Name, RelPath};

#[cfg(feature = "full")]
pub(crate) mod loops;
mod memory;
#[cfg(feature = "full")]
mod older;
#[cfg(feature = "full")]
pub(crate) mod removal;
pub(crate) mod space;
#[cfg(feature = "full")]
pub(crate) mod supervisor;

pub use memory::Allocator;
pub(crate) use memory::release;
pub use space::Space;

/// A `Result` with the bare error number.
pub type Result<T> = nix::Result<T>;

/// The error number of what the standard library says; it has none of its own
/// errors here but those of a system call.
#[cfg(feature = "full")]
pub(crate) fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// What kind of file an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device node, FIFO or socket.
    Special,
}

/// What statx(2) says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with set-id and sticky bits.
    pub mode: u32,
    /// The owner's user id.
    pub uid: u32,
    /// The owner's group id.
    pub gid: u32,
    /// The inode number.
    pub inode: u64,
    /// The device; btrfs subvolumes have one each.
    pub device: (u32, u32),
    /// The mount (Linux 5.8 and later).
    pub mount: Option<NonZeroU64>,
    /// [`IMMUTABLE`] and [`APPEND`], where the file system has them.
    pub flags: u32,
    /// Last access, in seconds and nanoseconds.
    pub accessed: (i64, u32),
    /// Last modification, in seconds and nanoseconds.
    pub modified: (i64, u32),
}

/// `FS_IMMUTABLE_FL` of `linux/fs.h`: no rename, no change.
pub const IMMUTABLE: u32 = 0x10;
/// `FS_APPEND_FL`: files only grow, directories only gain entries.
pub const APPEND: u32 = 0x20;
/// `FS_PROJINHERIT_FL`: a file of another project cannot be moved in (`EXDEV`).
pub const PROJECT: u32 = 0x2000_0000;
/// `FS_CASEFOLD_FL`: names that differ in case only are the same.
pub const CASEFOLD: u32 = 0x4000_0000;

/// Opens the directory that a user named; links in the path count.
pub(crate) fn open_root(path: &OsStr) -> Result<OwnedFd> {
    openat(AT_FDCWD, path, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// A private copy of the mount of `/`, without what is mounted below it
/// (`open_tree`, Linux 5.2): the bare root file system of a running system.
pub(crate) fn clone_root() -> Result<OwnedFd> {
    // SAFETY: a NUL-terminated constant path; the result is checked.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC,
        )
    };
    let fd = i32::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: a descriptor that was just opened and is owned by nobody else.
    let tree = unsafe { OwnedFd::from_raw_fd(fd) };
    // What open_tree gives is an O_PATH descriptor, which cannot be listed.
    openat(tree.as_fd(), OsStr::new("."), OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// How [`open_beneath`] treats symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// `ELOOP` on any of them.
    Refuse,
    /// Followed, with `dir` as the root directory: none leads out of it.
    InRoot,
}

/// Opens the directory or file `path` below `dir`; `flags` adds to `O_CLOEXEC`.
pub(crate) fn open_beneath(
    dir: impl AsFd,
    path: &[u8],
    flags: OFlag,
    links: Links,
) -> Result<OwnedFd> {
    open_below(dir.as_fd(), path, flags, links)
}

fn open_below(dir: BorrowedFd<'_>, path: &[u8], flags: OFlag, links: Links) -> Result<OwnedFd> {
    let resolve = match links {
        Links::Refuse => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
        Links::InRoot => ResolveFlag::RESOLVE_IN_ROOT,
    };
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let how = OpenHow::new().flags(flags).resolve(resolve | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let path = OsStr::from_bytes(path);
    match openat2(dir, path, how) {
        Err(Errno::ENOSYS) if links == Links::Refuse => walk_beneath(dir, path, flags),
        opened => opened,
    }
}

/// The same on kernels before 5.6, one component after the other.
fn walk_beneath(dir: BorrowedFd<'_>, path: &OsStr, flags: OFlag) -> Result<OwnedFd> {
    if path == "." {
        return openat(dir, path, flags, Mode::empty());
    }
    let mut names = path.as_bytes().split(|&b| b == b'/').filter(|n| !n.is_empty()).peekable();
    let mut at = openat(dir, OsStr::new("."), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    while let Some(name) = names.next() {
        if matches!(name, b"." | b"..") {
            return Err(Errno::EXDEV); // as RESOLVE_BENEATH says
        }
        let how = match names.peek() {
            Some(_) => OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            None => flags,
        };
        at = openat(at.as_fd(), OsStr::from_bytes(name), how | OFlag::O_NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

/// What `name` in `dir` is, or `dir` itself without a name. Links are not followed.
pub(crate) fn stat(dir: impl AsFd, name: Option<&Name>) -> Result<Stat> {
    Ok(stat_at(dir.as_fd(), name)?.0)
}

/// The same, and the size in bytes.
fn stat_at(dir: BorrowedFd<'_>, name: Option<&Name>) -> Result<(Stat, u64)> {
    let flags = libc::AT_SYMLINK_NOFOLLOW
        | libc::AT_NO_AUTOMOUNT
        | if name.is_none() { libc::AT_EMPTY_PATH } else { 0 };
    let mask = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    let path = name.map_or(OsStr::new(""), Name::as_os_str);
    let answer = path.with_nix_path(|path| {
        // SAFETY: a live descriptor, a NUL-terminated path, and room for the answer.
        Errno::result(unsafe {
            libc::syscall(
                libc::SYS_statx,
                dir.as_raw_fd(),
                path.as_ptr(),
                flags,
                mask,
                found.as_mut_ptr(),
            )
        })
    })?;
    #[cfg(feature = "full")]
    if older::lacks_statx(&answer) {
        return Ok((older::stat(dir, name)?, u64::MAX));
    }
    answer?;
    // SAFETY: zeroes are a valid statx, and the kernel has filled it in.
    let found = unsafe { found.assume_init() };
    let attribute = |bit: i32, flag: u32| {
        let bit = u64::from(bit.unsigned_abs());
        if found.stx_attributes & found.stx_attributes_mask & bit == 0 { 0 } else { flag }
    };
    let stat = Stat {
        kind: match u32::from(found.stx_mode) & libc::S_IFMT {
            libc::S_IFDIR => Kind::Dir,
            libc::S_IFREG => Kind::File,
            libc::S_IFLNK => Kind::Link,
            _ => Kind::Special,
        },
        mode: u32::from(found.stx_mode) & 0o7777,
        uid: found.stx_uid,
        gid: found.stx_gid,
        inode: found.stx_ino,
        device: (found.stx_dev_major, found.stx_dev_minor),
        mount: NonZeroU64::new(found.stx_mnt_id)
            .filter(|_| found.stx_mask & libc::STATX_MNT_ID != 0),
        flags: attribute(libc::STATX_ATTR_IMMUTABLE, IMMUTABLE)
            | attribute(libc::STATX_ATTR_APPEND, APPEND),
        accessed: (found.stx_atime.tv_sec, found.stx_atime.tv_nsec),
        modified: (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
    };
    Ok((stat, found.stx_size))
}

/// The names in a directory, but for `.` and `..`. Not by readdir(3): musl's asks
/// for 2 KiB at a time.
pub(crate) fn list(dir: BorrowedFd<'_>) -> Result<Vec<Name>> {
    /// What `struct linux_dirent64` has before the name.
    const HEAD: usize = 19;
    let dir = openat(dir, OsStr::new("."), OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let (mut names, mut buffer) = (Vec::new(), [0u8; 1 << 14]);
    loop {
        let (at, room) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: a live descriptor, and a buffer with its length.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), at, room) };
        let read = usize::try_from(Errno::result(read)?).unwrap_or(0);
        let mut entries = buffer.get(..read).unwrap_or_default();
        while let Some(&[low, high]) = entries.get(16..18) {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let Some((entry, others)) = entries.split_at_checked(length) else { break };
            let name = entry.get(HEAD..).unwrap_or_default();
            let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
            match &name[..end] {
                b"." | b".." => {}
                name => names.push(Name::new(name).map_err(|_| Errno::EBADMSG)?),
            }
            entries = others;
        }
        if read == 0 {
            return Ok(names);
        }
    }
}

/// At most `max` + 1 bytes of a regular file; `EINVAL` for anything else.
pub(crate) fn read(dir: impl AsFd, path: &[u8], links: Links, max: usize) -> Result<Vec<u8>> {
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    let file = open_beneath(dir, path, OFlag::O_NONBLOCK, links)?;
    let (found, size) = stat_at(file.as_fd(), None)?;
    if found.kind != Kind::File {
        return Err(Errno::EINVAL);
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let whole = |length| length > max || (size > 0 && length >= size);
    read_until(&file, |content| whole(content.len())).map(|mut content| {
        content.truncate(max.saturating_add(1));
        content
    })
}

/// What a link says. Its length is not asked first: no link is longer than a page.
pub(crate) fn read_link(dir: impl AsFd, name: &Name) -> Result<Vec<u8>> {
    name.as_os_str().with_nix_path(|name| link_at(dir.as_fd().as_raw_fd(), name))?
}

/// What a link of `/proc` says.
pub(crate) fn read_proc_link(path: &str) -> Result<Vec<u8>> {
    path.with_nix_path(|path| link_at(libc::AT_FDCWD, path))?
}

fn link_at(dir: i32, path: &CStr) -> Result<Vec<u8>> {
    let mut target = [0u8; 4096];
    let buffer = target.as_mut_ptr().cast();
    // SAFETY: a live descriptor, a NUL-terminated path, and a buffer of that length.
    let length =
        Errno::result(unsafe { libc::readlinkat(dir, path.as_ptr(), buffer, target.len()) })?;
    Ok(target.iter().take(usize::try_from(length).unwrap_or(0)).copied().collect())
}

/// Reads a file that is one line, like `/proc/cmdline`, with no more calls than
/// it takes: this is on the way of every boot.
pub(crate) fn read_line(path: &str) -> Result<Vec<u8>> {
    let file = open_path(path, OFlag::O_RDONLY)?;
    read_until(&file, |line| line.last() == Some(&b'\n'))
}

/// Reads a whole file of `/proc`.
pub(crate) fn read_proc(path: &str) -> Result<Vec<u8>> {
    let file = open_path(path, OFlag::O_RDONLY)?;
    read_until(&file, |_| false)
}

fn open_path(path: &str, flags: OFlag) -> Result<OwnedFd> {
    openat(AT_FDCWD, OsStr::new(path), flags | OFlag::O_CLOEXEC, Mode::empty())
}

fn read_until(file: &OwnedFd, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    let (mut content, mut buffer) = (Vec::new(), [0u8; 4096]);
    while !enough(&content) {
        match nix::unistd::read(file, &mut buffer) {
            Ok(0) => break,
            Ok(length) => content.extend(buffer.iter().take(length)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(content)
}

/// Writes all of it; a record of `/dev/kmsg` in one call.
pub(crate) fn write_all(file: impl AsFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(file.as_fd(), bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether something has that path.
pub(crate) fn exists(path: &str) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::F_OK).is_ok()
}

/// Opens a device, the kernel log or the console, to write to it.
pub(crate) fn open_device(path: &str) -> Result<OwnedFd> {
    open_path(path, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NOCTTY)
}

/// Makes an empty regular file that was not there.
pub(crate) fn make_file(dir: impl AsFd, name: &Name) -> Result<OwnedFd> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IROTH;
    openat(dir.as_fd(), name.as_os_str(), flags, mode)
}

/// From here on new files and directories have these bits masked, whatever the
/// process was started with.
pub(crate) fn use_umask(mask: libc::mode_t) {
    // SAFETY: always succeeds.
    unsafe { libc::umask(mask) };
}

/// Makes room for the descriptors that an exchange needs at a time. By number:
/// musl's setrlimit(3) first stops all threads.
pub(crate) fn allow_descriptors(needed: u64) -> Result<()> {
    let call = |new: *const libc::rlimit64, old: *mut libc::rlimit64| {
        // SAFETY: each is null or a live struct; 0 is this process.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, new, old)
        })
    };
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    call(std::ptr::null(), &raw mut limit)?;
    if limit.rlim_cur >= needed {
        return Ok(());
    }
    limit = libc::rlimit64 { rlim_cur: needed, rlim_max: limit.rlim_max.max(needed) };
    call(&raw const limit, std::ptr::null_mut()).map(drop)
}

/// Writes the content of a new file, to the disk. One without content has none
/// that a power cut could leave out.
pub(crate) fn fill_file(file: &OwnedFd, content: &[u8]) -> Result<()> {
    if content.is_empty() {
        return Ok(());
    }
    write_all(file, content)?;
    // All that came before it first: btrfs lets an fsync overtake renames, and
    // after a power cut a part of them would have happened.
    nix::unistd::syncfs(file)?;
    nix::unistd::fsync(file)
}

/// How [`rename`] treats what has the new name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// `EEXIST`, decided by the kernel (`RENAME_NOREPLACE`).
    Nothing,
    /// The two change places (`RENAME_EXCHANGE`).
    Exchange,
    /// It is replaced, as rename(2) does.
    Replace,
}

/// renameat2(2), from (directory, name) to (directory, name).
pub(crate) fn rename(
    from: impl AsFd,
    old: &Name,
    to: impl AsFd,
    new: &Name,
    onto: Onto,
) -> Result<()> {
    rename_at((from.as_fd(), old), (to.as_fd(), new), onto)
}

fn rename_at(
    (from, old): (BorrowedFd<'_>, &Name),
    (to, new): (BorrowedFd<'_>, &Name),
    onto: Onto,
) -> Result<()> {
    let flags = match onto {
        Onto::Nothing => libc::RENAME_NOREPLACE,
        Onto::Exchange => libc::RENAME_EXCHANGE,
        Onto::Replace => 0,
    };
    let done = old.as_os_str().with_nix_path(|old| {
        new.as_os_str().with_nix_path(|new| {
            // SAFETY: two live descriptors and two NUL-terminated paths.
            let call = |old: &CStr, new: &CStr| unsafe {
                libc::syscall(
                    libc::SYS_renameat2,
                    from.as_raw_fd(),
                    old.as_ptr(),
                    to.as_raw_fd(),
                    new.as_ptr(),
                    flags,
                )
            };
            Errno::result(call(old, new))
        })
    });
    match done?? {
        // Without a flag the older call does.
        Err(Errno::ENOSYS) if onto == Onto::Replace => {
            nix::fcntl::renameat(from, old.as_os_str(), to, new.as_os_str())
        }
        done => done.map(drop),
    }
}

/// Gives `to` the extended attributes of `from` (ACLs, labels), and no others:
/// a new directory may have inherited an ACL. What could not be read, set or
/// removed comes back. `E2BIG` above 64 KiB of names, which any owner of a
/// directory can bring about.
pub(crate) fn copy_xattrs(from: impl AsFd, to: impl AsFd) -> Result<Vec<String>> {
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    let names = match xattr_names(from) {
        Err(Errno::EOPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut failed = Vec::new();
    let there = xattr_names(to).unwrap_or_else(|errno| {
        failed.push(format!("* ({})", errno.desc()));
        Vec::new()
    });
    let mut note = |text: &CString, done: Result<i32>| {
        if done.is_err() {
            failed.push(text.to_string_lossy().into_owned());
        }
    };
    for text in there.iter().filter(|name| !names.contains(name)) {
        // SAFETY: a live descriptor and a NUL-terminated name.
        note(text, Errno::result(unsafe { libc::fremovexattr(to, text.as_ptr()) }));
    }
    for text in names {
        // SAFETY: as above, and a buffer with its length, or none with 0.
        let value =
            buffered(|at, len| unsafe { libc::fgetxattr(from, text.as_ptr(), at.cast(), len) });
        // SAFETY: a live descriptor, a NUL-terminated name, a value and its length.
        let set = value.and_then(|value| unsafe {
            let (at, length) = (value.as_ptr().cast(), value.len());
            Errno::result(libc::fsetxattr(to, text.as_ptr(), at, length, 0))
        });
        note(&text, set);
    }
    Ok(failed)
}

fn xattr_names(file: i32) -> Result<Vec<CString>> {
    // SAFETY: a live descriptor, and a buffer with its length, or none with 0.
    let names = buffered(|at, len| unsafe { libc::flistxattr(file, at.cast(), len) })?;
    // XFS lists its ACLs a second time, under names that cannot be set.
    let real = |n: &&[u8]| !n.is_empty() && !n.starts_with(b"trusted.SGI_ACL_");
    let names = names.split(|&b| b == 0).filter(real);
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

/// Calls twice: for the length, then for the bytes.
fn buffered(call: impl Fn(*mut u8, usize) -> isize) -> Result<Vec<u8>> {
    let length = usize::try_from(Errno::result(call(std::ptr::null_mut(), 0))?).unwrap_or(0);
    let mut bytes = vec![0; length];
    if length > 0 {
        let filled = Errno::result(call(bytes.as_mut_ptr(), length))?;
        bytes.truncate(usize::try_from(filled).unwrap_or(0));
    }
    Ok(bytes)
}

nix::ioctl_read_bad!(
    /// `FS_IOC_GETFLAGS`.
    get_inode_flags,
    nix::request_code_read!(b'f', 1, size_of::<libc::c_long>()),
    libc::c_int
);
nix::ioctl_write_ptr_bad!(
    /// `FS_IOC_SETFLAGS`.
    set_inode_flags,
    nix::request_code_write!(b'f', 2, size_of::<libc::c_long>()),
    libc::c_int
);

/// The inode flags of an open file or directory (`FS_IOC_GETFLAGS`).
pub(crate) fn inode_flags(file: impl AsFd) -> Result<u32> {
    let mut flags = 0;
    // SAFETY: a live descriptor; the kernel writes an int (`fs/file_attr.c`).
    unsafe { get_inode_flags(file.as_fd().as_raw_fd(), &raw mut flags) }?;
    Ok(flags.cast_unsigned())
}

/// Sets the inode flags of an open file or directory (`FS_IOC_SETFLAGS`).
pub(crate) fn set_flags(file: impl AsFd, flags: u32) -> Result<()> {
    let flags = flags.cast_signed();
    // SAFETY: a live descriptor; the kernel reads an int.
    unsafe { set_inode_flags(file.as_fd().as_raw_fd(), &raw const flags) }.map(drop)
}

/// Leaves what is mounted at these paths of a root, in a mount namespace of this
/// process alone: for all others it stays, and goes with the directory that it is
/// on. The root is opened anew: the one of before is in the other namespace.
pub(crate) fn leave_mounts<'a>(
    root: &OsStr,
    paths: impl Iterator<Item = &'a RelPath>,
) -> Result<OwnedFd> {
    let (from, private) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: constant strings and null pointers.
    unsafe {
        Errno::result(libc::unshare(libc::CLONE_NEWNS))?;
        Errno::result(libc::mount(from, c"/".as_ptr(), from, private, from.cast()))?;
    }
    let root = open_root(root)?;
    for path in paths {
        let base = format!("/proc/self/fd/{}/", root.as_raw_fd());
        let path = [base.as_bytes(), &path.to_bytes()].concat();
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        let flags = libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW;
        // One may be mounted over another.
        // SAFETY: a NUL-terminated path.
        while Errno::result(unsafe { libc::umount2(path.as_ptr(), flags) }).is_ok() {}
    }
    Ok(root)
}
