//! A virtual machine: QEMU under TCG with a serial console, never waited for
//! without a limit.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::drive::Drive;
use super::slots::Slot;

/// A machine that runs. Dropping it cuts its power.
pub struct Machine {
    child: Child,
    stdin: ChildStdin,
    console: Arc<Console>,
    started: Instant,
    _slot: Slot,
}

#[derive(Default)]
struct Console {
    state: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    text: Vec<u8>,
    closed: bool,
}

/// Where the kernel comes from. Without one, from the boot loader that the
/// firmware finds on the first disk.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// QEMU loads it: kernel, initrd, command line.
    pub kernel: Option<(PathBuf, PathBuf, String)>,
    /// The firmware is OVMF, and has its variables in this file; else `SeaBIOS`.
    pub variables: Option<PathBuf>,
}

/// OVMF, of Debian's package ovmf.
const OVMF: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// Its variables before the first boot.
pub const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

impl Source {
    /// Mebibytes. What boots by a loader of its own is a whole distribution.
    fn memory(&self) -> &'static str {
        if self.kernel.is_some() && self.variables.is_none() { "512" } else { "768" }
    }

    fn arguments(&self) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let mut arguments = Vec::new();
        if let Some((kernel, initrd, append)) = &self.kernel {
            arguments.extend(["-kernel".to_owned(), text(kernel)]);
            arguments.extend(["-initrd".to_owned(), text(initrd)]);
            arguments.extend(["-append".to_owned(), append.clone()]);
        }
        if let Some(variables) = &self.variables {
            let flash = "if=pflash,format=raw";
            arguments.extend(["-drive".to_owned(), format!("{flash},readonly=on,file={OVMF}")]);
            arguments.extend(["-drive".to_owned(), format!("{flash},file={}", text(variables))]);
        }
        arguments
    }
}

/// What waiting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The pattern with this index was seen.
    Saw(usize),
    /// The machine is off.
    Off,
    /// Neither, in the time given.
    TimedOut,
}

impl Machine {
    /// Switches it on, as soon as fewer than two others run.
    pub fn start(source: &Source, drives: &[Drive<'_>]) -> Self {
        let slot = Slot::take();
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .args([
                "-accel",
                "tcg,thread=single",
                "-cpu",
                "max",
                "-smp",
                "2",
                "-m",
                source.memory(),
                "-M",
                "pc",
            ])
            .args(["-serial", "stdio"])
            .args(source.arguments());
        for (number, drive) in drives.iter().enumerate() {
            command.args(drive.arguments(number));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("qemu-system-x86_64 starts");
        let console = Arc::new(Console::default());
        let stdout = child.stdout.take().expect("a pipe was asked for");
        let stderr = child.stderr.take().expect("a pipe was asked for");
        let stdin = child.stdin.take().expect("a pipe was asked for");
        // QEMU's own complaints belong to what a failing scenario prints.
        follow(stderr, &console, Closes::No);
        follow(stdout, &console, Closes::Yes);
        Self { child, stdin, console, started: Instant::now(), _slot: slot }
    }

    /// Since it was switched on.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// All that the console has shown.
    pub fn console(&self) -> String {
        let seen = self.console.state.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen.text).replace('\r', "")
    }

    /// What it has shown after the first `skip` bytes.
    pub fn console_from(&self, skip: usize) -> String {
        let seen = self.console.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = seen.text.get(skip..).unwrap_or_default();
        String::from_utf8_lossy(text).replace('\r', "")
    }

    /// Waits for one of these texts anywhere on the console.
    pub fn wait_for(&self, patterns: &[&str], limit: Duration) -> Waited {
        self.wait_after(0, patterns, limit)
    }

    /// As `wait_for`, but only what comes after the first `skip` bytes counts.
    pub fn wait_after(&self, skip: usize, patterns: &[&str], limit: Duration) -> Waited {
        let end = Instant::now() + limit;
        let mut seen = self.console.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let text = seen.text.get(skip..).unwrap_or_default();
            let found = patterns.iter().position(|pattern| contains(text, pattern.as_bytes()));
            if let Some(index) = found {
                return Waited::Saw(index);
            }
            if seen.closed {
                return Waited::Off;
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return Waited::TimedOut;
            };
            seen = self
                .console
                .changed
                .wait_timeout(seen, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// How much the console has shown, for `wait_after`.
    pub fn position(&self) -> usize {
        self.console.state.lock().unwrap_or_else(PoisonError::into_inner).text.len()
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        // A machine that is off reads nothing; what is missing then shows.
        let _ = self.stdin.write_all(format!("{line}\n").as_bytes());
        let _ = self.stdin.flush();
    }

    /// Cuts the power: what the guest has not written yet is lost.
    pub fn cut_power(mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.wait_for(&[], Duration::from_secs(5));
        self.console()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the end of a stream means that the machine is off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closes {
    No,
    Yes,
}

fn follow(mut stream: impl Read + Send + 'static, console: &Arc<Console>, closes: Closes) {
    let console = Arc::clone(console);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            let mut seen = console.state.lock().unwrap_or_else(PoisonError::into_inner);
            seen.text.extend_from_slice(&buffer[..length]);
            console.changed.notify_all();
        }
        if closes == Closes::Yes {
            console.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
            console.changed.notify_all();
        }
    });
}

fn contains(text: &[u8], pattern: &[u8]) -> bool {
    text.windows(pattern.len()).any(|window| window == pattern)
}
