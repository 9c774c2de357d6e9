//! How each system call can fail.

use crate::common::strace::Call;

/// On a disk that fails, or on a file system with errors, read-only by now.
const DISK: &[&str] = &["EIO", "EROFS"];
const FULL: &[&str] = &["ENOSPC", "EDQUOT"];
const FORBIDDEN: &[&str] = &["EPERM", "EACCES"];
const SHORT: &[&str] = &["ENOMEM", "EINTR"];

/// The errors that a call can end with, beyond what the tree itself decides.
pub fn of(call: &Call) -> Vec<&'static str> {
    let lists: &[&[&str]] = match call.name.as_str() {
        // With O_CREAT it can be out of space.
        "openat" if call.line.contains("O_CREAT") => {
            &[DISK, FULL, FORBIDDEN, SHORT, &["EMFILE", "ENFILE", "ENAMETOOLONG", "EINVAL"]]
        }
        "openat" => &[&["EIO"], FORBIDDEN, SHORT, &["EMFILE", "ENFILE"]],
        "openat2" => {
            let more = &["EMFILE", "ENFILE", "ENAMETOOLONG", "ELOOP", "EXDEV", "EAGAIN", "ENOSYS"];
            &[&["EIO"], FORBIDDEN, SHORT, more]
        }
        "statx" | "newfstatat" | "fstat" | "readlinkat" | "readlink" | "faccessat2" => {
            &[&["EIO", "ENAMETOOLONG", "EACCES", "ENOSYS"], SHORT]
        }
        "read" | "getdents64" | "lseek" | "fstatfs" | "statfs" | "pread64" => &[&["EIO"], SHORT],
        "fallocate" | "ftruncate" => {
            &[DISK, FULL, &["EINTR", "EOPNOTSUPP", "ENOSYS", "EPERM", "EFBIG"]]
        }
        "write" => &[DISK, FULL, SHORT, &["EPERM", "EFBIG"]],
        "fsync" | "syncfs" | "fdatasync" | "close" => &[DISK, FULL, &["EINTR"]],
        "renameat2" => &[
            DISK,
            FULL,
            FORBIDDEN,
            SHORT,
            &["EBUSY", "EXDEV", "EINVAL", "ENOSYS", "ENAMETOOLONG", "ELOOP", "EMLINK", "EOVERFLOW"],
        ],
        "mkdirat" | "symlinkat" | "mknodat" => {
            &[DISK, FULL, FORBIDDEN, SHORT, &["EMLINK", "ENAMETOOLONG", "EINVAL"]]
        }
        "unlinkat" => &[DISK, FULL, FORBIDDEN, SHORT, &["EBUSY"]],
        "ioctl" => {
            &[DISK, FULL, FORBIDDEN, SHORT, &["ENOTTY", "EOPNOTSUPP", "EINVAL", "ENOSYS", "EBUSY"]]
        }
        "fchown" | "fchownat" | "fchmod" | "utimensat" => {
            &[DISK, FULL, FORBIDDEN, SHORT, &["EINVAL"]]
        }
        "flistxattr" | "fgetxattr" => &[&["EIO", "ENOMEM", "ERANGE", "E2BIG"]],
        "fsetxattr" | "fremovexattr" => {
            &[DISK, FULL, FORBIDDEN, &["ENOMEM", "EOPNOTSUPP", "ERANGE", "EINVAL"]]
        }
        "flock" => &[&["EINTR", "ENOLCK", "EAGAIN", "ENOSYS", "EOPNOTSUPP"]],
        "fcntl" => &[&["EMFILE", "EINVAL"]],
        "brk" | "mmap" | "mremap" => &[&["ENOMEM"]],
        "getrandom" => &[&["EINTR", "ENOSYS", "EAGAIN"]],
        // These do not fail, or nobody asks whether they did.
        "geteuid" | "umask" | "prlimit64" | "munmap" | "mprotect" | "madvise" | "sigaltstack"
        | "exit_group" | "futex" | "rt_sigaction" | "rt_sigprocmask" | "gettid"
        | "clock_gettime" => &[],
        name => panic!("how can {name} fail? {}", call.line),
    };
    lists.concat()
}
