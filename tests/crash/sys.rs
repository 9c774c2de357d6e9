//! A kernel that lacks something, and a last word when the process ends.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::path::Path;

use crate::common::sys::c_path;

/// What a kernel or a file system may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// `renameat2` with any flag is `EINVAL`, as on file systems without them.
    RenameFlags,
    /// `openat2` is `ENOSYS`, as before Linux 5.6.
    Openat2,
}

const ALLOW: libc::sock_filter = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);

#[allow(clippy::cast_possible_truncation)] // the codes are small
const fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Goes on when the word is `k`, and over `skip` statements otherwise.
const fn unless(k: u32, skip: u8) -> libc::sock_filter {
    let jump = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k);
    libc::sock_filter { jf: skip, ..jump }
}

/// Goes over the next statement when the word is `k`.
const fn skip_if(k: u32) -> libc::sock_filter {
    let jump = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k);
    libc::sock_filter { jt: 1, ..jump }
}

/// Loads a word of `struct seccomp_data`: the number of the call is at 0, its
/// arguments are at 16, 24 and so on, the low word first.
const fn load(at: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at)
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).expect("a system call's number")
}

fn errno(error: c_int) -> libc::sock_filter {
    let errno = u32::try_from(error).expect("an errno");
    statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno)
}

/// Takes something away from the calling thread and all that it starts, for good.
pub fn give_up(lack: Lack) -> io::Result<()> {
    const { assert!(cfg!(target_endian = "little"), "the low word of an argument comes first") };
    let mut filter = match lack {
        Lack::RenameFlags => vec![
            load(0),
            unless(number(libc::SYS_renameat2), 3),
            load(16 + 4 * 8),
            skip_if(0),
            errno(libc::EINVAL),
            ALLOW,
        ],
        Lack::Openat2 => {
            vec![load(0), unless(number(libc::SYS_openat2), 1), errno(libc::ENOSYS), ALLOW]
        }
    };
    let len = u16::try_from(filter.len()).expect("a short filter");
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: a program and its length, which the kernel copies.
    let done =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Renames unless there is something of the new name.
pub fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (c_path(from), c_path(to));
    // SAFETY: two C strings that outlive the call.
    let done = unsafe {
        let at = libc::AT_FDCWD;
        let flags = libc::RENAME_NOREPLACE;
        libc::syscall(libc::SYS_renameat2, at, from.as_ptr(), at, to.as_ptr(), flags)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Calls `last` when the process ends, however the tests went.
pub fn at_exit(last: extern "C" fn()) {
    // SAFETY: a function without arguments that does not unwind.
    unsafe { libc::atexit(last) };
}
