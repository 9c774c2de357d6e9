//! Filters for system calls, on the calling thread and all that it starts, for good.

use std::ffi::{c_int, c_long};
use std::io;

use super::check;

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

/// Goes over `jt` statements when the word is `k`, and over `jf` otherwise.
const fn jump(k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    let jump = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k);
    libc::sock_filter { jt, jf, ..jump }
}

/// Loads a word of `struct seccomp_data`: the number of the call is at 0, its
/// arguments are at 16, 24 and so on, the low word first.
const fn load(at: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at)
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).expect("a system call's number")
}

/// Answers with an error; with 0, that it was done.
fn answer(errno: c_int) -> libc::sock_filter {
    let errno = u32::try_from(errno).expect("an errno");
    statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno)
}

/// Allocates nothing: it is used between fork and exec.
fn apply(program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).expect("a short filter");
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: a program and its length, which the kernel copies.
    check(unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    })
    .map(drop)
}

/// Takes something away.
pub fn give_up(lack: Lack) -> io::Result<()> {
    const { assert!(cfg!(target_endian = "little"), "the low word of an argument comes first") };
    match lack {
        Lack::RenameFlags => apply(&[
            load(0),
            jump(number(libc::SYS_renameat2), 0, 3),
            load(16 + 4 * 8),
            jump(0, 1, 0),
            answer(libc::EINVAL),
            ALLOW,
        ]),
        Lack::Openat2 => {
            apply(&[load(0), jump(number(libc::SYS_openat2), 0, 1), answer(libc::ENOSYS), ALLOW])
        }
    }
}

/// Answers "done" to sync, syncfs, fsync and fdatasync, and does nothing.
pub fn leave_out_syncs() -> io::Result<()> {
    let program = [
        load(0),
        jump(number(libc::SYS_sync), 4, 0),
        jump(number(libc::SYS_syncfs), 3, 0),
        jump(number(libc::SYS_fsync), 2, 0),
        jump(number(libc::SYS_fdatasync), 1, 0),
        ALLOW,
        answer(0),
    ];
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    apply(&program)
}
