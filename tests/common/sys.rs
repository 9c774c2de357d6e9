//! System calls that the standard library lacks; the only `unsafe` of the
//! test support. Paths are bytes; no wrapper follows a link in the last
//! component unless its name says so.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_int, c_long, c_uint, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};

pub mod seccomp;
pub mod terminal;

pub fn c_path(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).expect("no NUL in a path")
}

fn check<T: Into<i64> + Copy>(returned: T) -> io::Result<T> {
    if returned.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

pub fn effective_user() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}

/// A private copy of the mount namespace (and of cwd, root and umask) for the
/// calling thread alone. Threads and processes that it starts inherit it.
pub fn unshare_mounts() -> io::Result<()> {
    // SAFETY: changes only the calling thread's namespaces.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) }).map(drop)
}

pub fn chroot(path: &Path) -> io::Result<()> {
    // SAFETY: the path is a C string that outlives the call.
    check(unsafe { libc::chroot(c_path(path).as_ptr()) })?;
    std::env::set_current_dir("/")
}

pub fn mount(source: &Path, target: &Path, fs: &str, flags: c_ulong, data: &str) -> io::Result<()> {
    let (source, target) = (c_path(source), c_path(target));
    let (fs, data) = (c_path(fs), c_path(data));
    // SAFETY: all four are C strings that outlive the call.
    check(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), fs.as_ptr(), flags, data.as_ptr().cast())
    })
    .map(drop)
}

pub fn unmount(target: &Path, flags: c_int) -> io::Result<()> {
    // SAFETY: the path is a C string that outlives the call.
    check(unsafe { libc::umount2(c_path(target).as_ptr(), flags | libc::UMOUNT_NOFOLLOW) })
        .map(drop)
}

/// A file in memory: gone when nothing has it open, even after SIGKILL.
pub fn memory_file(name: &CStr, size: u64) -> io::Result<File> {
    // SAFETY: the name is a C string; the descriptor returned is owned by nobody else.
    let file = unsafe {
        let fd = check(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC))?;
        File::from(OwnedFd::from_raw_fd(fd))
    };
    file.set_len(size)?;
    Ok(file)
}

/// The next offset at or after `from` that has data (`SEEK_DATA`) or is a
/// hole (`SEEK_HOLE`); `None` beyond the last.
pub fn seek_extent(file: &File, from: u64, whence: c_int) -> io::Result<Option<u64>> {
    // SAFETY: takes and returns numbers.
    let at = unsafe { libc::lseek(file.as_raw_fd(), i64::try_from(from).expect("offset"), whence) };
    match check(at) {
        Ok(at) => Ok(Some(u64::try_from(at).expect("not negative"))),
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The number of a loop device that was free a moment ago.
pub fn free_loop_device(control: &File) -> io::Result<c_int> {
    // SAFETY: this request takes no argument.
    check(unsafe { libc::ioctl(control.as_raw_fd(), 0x4C82) })
}

/// Attaches `backing` and lets the device go with its last user (autoclear).
pub fn configure_loop_device(device: &File, backing: &File) -> io::Result<()> {
    // struct loop_config: fd at 0, block size at 4, struct loop_info64 at 8,
    // whose lo_flags is at 52; 304 bytes in all.
    const LO_FLAGS_AUTOCLEAR: u32 = 4;
    let mut config = [0u8; 304];
    config[0..4].copy_from_slice(&backing.as_raw_fd().to_ne_bytes());
    config[60..64].copy_from_slice(&LO_FLAGS_AUTOCLEAR.to_ne_bytes());
    // SAFETY: the buffer has the size and layout that the request reads.
    check(unsafe { libc::ioctl(device.as_raw_fd(), 0x4C0A, config.as_ptr()) }).map(drop)
}

pub fn statx(at: RawFd, name: &[u8]) -> io::Result<libc::statx> {
    let name = CString::new(name).expect("no NUL in a name");
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH;
    let mask = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;
    let mut buffer = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the buffer is a zeroed statx, of which any bit pattern is valid.
    unsafe {
        check(libc::statx(at, name.as_ptr(), flags, mask, buffer.as_mut_ptr()))?;
        Ok(buffer.assume_init())
    }
}

pub fn open_at(at: RawFd, name: &[u8], flags: c_int) -> io::Result<File> {
    let name = CString::new(name).expect("no NUL in a name");
    // SAFETY: the name outlives the call; the descriptor is owned by nobody else.
    unsafe {
        let fd =
            check(libc::openat(at, name.as_ptr(), flags | libc::O_CLOEXEC | libc::O_NOFOLLOW))?;
        Ok(File::from(OwnedFd::from_raw_fd(fd)))
    }
}

pub fn sync_file_system(file: &File) -> io::Result<()> {
    // SAFETY: takes a descriptor only.
    check(unsafe { libc::syncfs(file.as_raw_fd()) }).map(drop)
}

/// Asks for the size first: most inodes have no xattrs at all.
fn sized(mut call: impl FnMut(*mut c_void, usize) -> isize) -> io::Result<Vec<u8>> {
    let size = |n: isize| check(n as i64).map(|n| usize::try_from(n).expect("not negative"));
    let mut buffer = vec![0u8; size(call(std::ptr::null_mut(), 0))?];
    let length = size(call(buffer.as_mut_ptr().cast(), buffer.len()))?;
    buffer.truncate(length);
    Ok(buffer)
}

pub fn xattr_names(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let path = c_path(path);
    // SAFETY: `sized` gives a buffer and its size.
    let list = sized(|p, n| unsafe { libc::llistxattr(path.as_ptr(), p.cast(), n) })?;
    Ok(list.split(|b| *b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect())
}

pub fn xattr(path: &Path, name: &[u8]) -> io::Result<Vec<u8>> {
    let (path, name) = (c_path(path), CString::new(name).expect("no NUL in a name"));
    // SAFETY: as above.
    sized(|p, n| unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), p, n) })
}

pub fn set_xattr(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let (path, name) = (c_path(path), c_path(name));
    // SAFETY: strings and value outlive the call.
    check(unsafe {
        libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    })
    .map(drop)
}

pub fn make_node(path: &Path, mode: u32, device: u64) -> io::Result<()> {
    // SAFETY: the path is a C string that outlives the call.
    check(unsafe { libc::mknod(c_path(path).as_ptr(), mode, device) }).map(drop)
}

/// Sets the mtime (and atime) of the path itself, also of a link.
pub fn set_mtime(path: &Path, seconds: i64) -> io::Result<()> {
    let time = libc::timespec { tv_sec: seconds, tv_nsec: 123_456_000 };
    let (path, times) = (c_path(path), [time, time]);
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: string and times outlive the call.
    check(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), flags) })
        .map(drop)
}

/// An ioctl that reads or writes the `N` bytes of `argument`.
fn ioctl<const N: usize>(file: &File, request: c_ulong, argument: &mut [u8; N]) -> io::Result<()> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // musl takes an int
    let request = request as libc::Ioctl;
    // SAFETY: each caller passes a buffer of the size that its request encodes.
    check(unsafe { libc::ioctl(file.as_raw_fd(), request, argument.as_mut_ptr()) }).map(drop)
}

/// Inode flags as `lsattr` shows them (`FS_IOC_GETFLAGS`).
pub fn inode_flags(file: &File) -> io::Result<u32> {
    let mut value = [0u8; size_of::<c_long>()];
    ioctl(file, 0x8008_6601, &mut value)?;
    Ok(u32::from_ne_bytes(value[..4].try_into().expect("four bytes")))
}

pub fn set_inode_flags(file: &File, flags: u32) -> io::Result<()> {
    let mut value = [0u8; size_of::<c_long>()];
    value[..4].copy_from_slice(&flags.to_ne_bytes());
    ioctl(file, 0x4008_6602, &mut value)
}

/// `struct fsxattr` (`FS_IOC_FSGETXATTR`): xflags at 0, project id at 12.
pub fn extended_flags(file: &File) -> io::Result<[u8; 28]> {
    let mut value = [0u8; 28];
    ioctl(file, 0x801c_581f, &mut value).map(|()| value)
}

pub fn set_extended_flags(file: &File, mut value: [u8; 28]) -> io::Result<()> {
    ioctl(file, 0x401c_5820, &mut value)
}

/// The id of the btrfs subvolume that a directory is in (`INO_LOOKUP` with
/// tree 0 answers with the descriptor's own tree).
pub fn btrfs_tree(directory: &File) -> io::Result<u64> {
    let mut value = [0u8; 4096];
    value[8..16].copy_from_slice(&256u64.to_ne_bytes());
    ioctl(directory, 0xd000_9412, &mut value)?;
    Ok(u64::from_ne_bytes(value[..8].try_into().expect("eight bytes")))
}

/// The flags of a btrfs subvolume; 2 is read-only.
pub fn btrfs_subvolume_flags(directory: &File) -> io::Result<u64> {
    let mut value = [0u8; 8];
    ioctl(directory, 0x8008_9419, &mut value).map(|()| u64::from_ne_bytes(value))
}

pub fn set_btrfs_subvolume_flags(directory: &File, flags: u64) -> io::Result<()> {
    ioctl(directory, 0x4008_941a, &mut flags.to_ne_bytes())
}

/// Makes a btrfs subvolume `name` in `parent` (`struct btrfs_ioctl_vol_args`).
pub fn make_btrfs_subvolume(parent: &File, name: &[u8]) -> io::Result<()> {
    let mut value = [0u8; 4096];
    value[8..8 + name.len()].copy_from_slice(name);
    ioctl(parent, 0x5000_940e, &mut value)
}

/// Kills a process group that this process started.
pub fn kill_group(leader: u32) -> io::Result<()> {
    let leader = libc::pid_t::try_from(leader).expect("a process id");
    assert!(leader > 1, "not a process group of ours");
    // SAFETY: takes numbers only.
    check(unsafe { libc::kill(-leader, libc::SIGKILL) }).map(drop)
}

/// `major` and `minor` as one device number.
pub fn device(major: c_uint, minor: c_uint) -> u64 {
    libc::makedev(major, minor)
}

/// renameat2(2) and nothing else: what a C program would do.
pub fn rename(from: RawFd, old: &CStr, to: RawFd, new: &CStr, flags: c_uint) -> io::Result<()> {
    // SAFETY: both names are C strings that outlive the call.
    check(unsafe {
        libc::syscall(libc::SYS_renameat2, from, old.as_ptr(), to, new.as_ptr(), flags)
    })
    .map(drop)
}

/// Renames unless there is something of the new name.
pub fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    let at = libc::AT_FDCWD;
    rename(at, &c_path(from), at, &c_path(to), libc::RENAME_NOREPLACE)
}

/// Nanoseconds of a clock that all processes share.
pub fn clock() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills in the struct that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let number = |n: i64| u64::try_from(n).expect("not negative");
    number(now.tv_sec) * 1_000_000_000 + number(now.tv_nsec)
}

fn page_faults(usage: &libc::rusage) -> u64 {
    u64::try_from(usage.ru_minflt + usage.ru_majflt).expect("not negative")
}

/// Whether what a program asks to have on the disk is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncs {
    Done,
    /// The kernel answers "done" to sync, syncfs, fsync and fdatasync, and does
    /// nothing (a seccomp filter, so that also a static program is served).
    LeftOut,
}

/// Lets a command note, right before its exec, the time and how many page faults
/// were none of its program's: two numbers in `note`.
pub fn before_exec(command: &mut std::process::Command, note: File, syncs: Syncs) {
    use std::os::unix::fs::FileExt;
    use std::os::unix::process::CommandExt;
    let prepare = move || {
        if syncs == Syncs::LeftOut {
            seccomp::leave_out_syncs()?;
        }
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: fills in the struct that it is given.
        let usage = unsafe {
            check(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()))?;
            usage.assume_init()
        };
        note.write_all_at(&page_faults(&usage).to_ne_bytes(), 8)?;
        note.write_all_at(&clock().to_ne_bytes(), 0)
    };
    // SAFETY: system calls only; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
}

/// Waits for a child: its wait status, and what it used.
fn wait(child: u32) -> io::Result<(c_int, libc::rusage)> {
    let child = libc::pid_t::try_from(child).expect("a process id");
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: fills in the number and the struct that it is given.
    unsafe {
        check(libc::wait4(child, &raw mut status, 0, usage.as_mut_ptr()))?;
        Ok((status, usage.assume_init()))
    }
}

/// Waits for a child: its wait status, the time, and its page faults.
pub fn wait_with_usage(child: u32) -> io::Result<(c_int, u64, u64)> {
    let (status, usage) = wait(child)?;
    Ok((status, clock(), page_faults(&usage)))
}

/// Waits for a child: how it ended, and its largest resident set in KiB.
pub fn wait_with_memory(child: &Child) -> io::Result<(ExitStatus, i64)> {
    let (status, usage) = wait(child.id())?;
    Ok((ExitStatus::from_raw(status), usage.ru_maxrss))
}

/// Sends SIGINT, as Ctrl-C does.
pub fn interrupt(child: &Child) -> io::Result<()> {
    let child = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: takes numbers only.
    check(unsafe { libc::kill(child, libc::SIGINT) }).map(drop)
}

/// Calls `last` when the process ends, however the tests went.
pub fn at_exit(last: extern "C" fn()) {
    // SAFETY: a function without arguments that does not unwind.
    unsafe { libc::atexit(last) };
}
