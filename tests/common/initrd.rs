//! Runs the program as an initrd does: a root of its own in memory, with
//! `/etc/initrd-release`, `/proc/cmdline` as given, `/dev/kmsg` to read
//! afterwards, and the root under test at `/sysroot`.
//!
//! All of it is in a mount namespace of a thread that ends with the run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::command::{Ended, LIMIT, binary, run_limited};
use super::{isolation, sys};

/// What an initrd is to be like.
#[derive(Clone, Debug)]
pub struct Initrd {
    pub command_line: Vec<u8>,
    /// Files to add or replace: path in the initrd, content.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// A tool, with arguments, in front of the program: `strace`, for one.
    pub wrapper: Vec<OsString>,
}

impl Default for Initrd {
    fn default() -> Self {
        Self {
            command_line: b"quiet root=/dev/vda\n".to_vec(),
            files: vec![("etc/initrd-release".into(), b"ID=nixos\nNAME=NixOS\n".to_vec())],
            wrapper: Vec::new(),
        }
    }
}

/// How it ended, and what it wrote to `/dev/kmsg`.
#[derive(Clone, Debug)]
pub struct InitrdEnded {
    pub ended: Ended,
    pub kmsg: Vec<u8>,
}

impl Initrd {
    pub fn with_command_line(line: &str) -> Self {
        Self { command_line: format!("{line}\n").into_bytes(), ..Self::default() }
    }

    #[must_use]
    pub fn file(mut self, path: &str, content: &[u8]) -> Self {
        self.files.push((path.into(), content.to_vec()));
        self
    }

    /// Runs the program with `root` at `/sysroot`.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        root: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> InitrdEnded {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned()).collect::<Vec<_>>();
        let home = isolation::new_directory();
        // The thread inherits this one's mounts; its own, and its chroot, end with it.
        let ended = std::thread::scope(|scope| {
            let run = || {
                isolation::enter();
                self.build(&home, root);
                sys::chroot(&home).expect("a root of its own");
                let mut command = program_in(&self.wrapper);
                run_limited(command.args(&arguments), LIMIT)
            };
            let name = std::thread::current().name().map_or("initrd".into(), str::to_owned);
            let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, run);
            match thread.expect("a thread").join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        let kmsg = fs::read(home.join("kmsg")).expect("what was logged");
        fs::remove_dir_all(&home).expect("the end of the initrd");
        InitrdEnded { ended, kmsg }
    }

    /// Files in `home` outlive the namespace, among them the log; the binds end
    /// with it.
    fn build(&self, home: &Path, root: &Path) {
        let log = home.join("kmsg");
        fs::write(&log, b"").expect("a log");
        let line = home.join("cmdline");
        fs::write(&line, &self.command_line).expect("a command line");
        for name in ["bin", "dev", "etc", "proc", "run", "sysroot", "tmp", "program"] {
            fs::create_dir(home.join(name)).expect("a directory");
        }
        bind(root, &home.join("sysroot"));
        bind(Path::new("/proc"), &home.join("proc"));
        bind(&line, &home.join("proc/cmdline"));
        for (name, source) in [("kmsg", log.as_path()), ("null", Path::new("/dev/null"))] {
            fs::write(home.join("dev").join(name), b"").expect("a mount point");
            bind(source, &home.join("dev").join(name));
        }
        bind(binary().parent().expect("a directory"), &home.join("program"));
        lend_libraries(home);
        for (path, content) in &self.files {
            let path = home.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
    }
}

/// The host's libraries and tools, for a program that is not static.
fn lend_libraries(home: &Path) {
    for name in ["usr", "lib", "lib64", "bin", "nix"] {
        let (host, here) = (Path::new("/").join(name), home.join(name));
        match fs::symlink_metadata(&host) {
            Ok(found) if found.is_symlink() => {
                let _ = fs::remove_dir(&here);
                symlink(fs::read_link(&host).expect("a link"), here).expect("a link");
            }
            Ok(found) if found.is_dir() => {
                fs::create_dir_all(&here).expect("a directory");
                bind(&host, &here);
            }
            _ => {}
        }
    }
}

fn bind(from: &Path, to: &Path) {
    sys::mount(from, to, "none", libc::MS_BIND | libc::MS_REC, "")
        .unwrap_or_else(|e| panic!("bind {} at {}: {e}", from.display(), to.display()));
}

fn program_in(wrapper: &[OsString]) -> std::process::Command {
    let file = binary().file_name().expect("a name").to_owned();
    let path = Path::new("/program").join(file);
    let [tool, arguments @ ..] = wrapper else {
        let mut command = std::process::Command::new(path);
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        return command;
    };
    let mut command = std::process::Command::new(tool);
    command.args(arguments).arg(path).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    command
}
