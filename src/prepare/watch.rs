//! What goes between a long step and the person: how far it is, on a terminal
//! only, and Ctrl-C, which stops it where it can be taken up again.

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::step::Result;
use crate::error::Stop;
use crate::term::console::takes_escapes;

/// How often the line on the terminal changes.
const EVERY: Duration = Duration::from_millis(200);

/// Progress and interruption.
#[derive(Debug)]
pub struct Watch {
    interrupted: Arc<AtomicBool>,
    terminal: bool,
    shielded: Cell<bool>,
    task: Cell<Option<Task>>,
}

#[derive(Debug, Clone, Copy)]
struct Task {
    what: &'static str,
    unit: Unit,
    done: usize,
    all: Option<usize>,
    shown: Option<Instant>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown in MiB.
    Bytes,
    /// Files.
    Files,
}

impl Watch {
    /// Nothing is caught yet.
    #[must_use]
    pub fn new() -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        let terminal = takes_escapes(&std::io::stderr());
        Self { interrupted, terminal, shielded: Cell::new(false), task: Cell::new(None) }
    }

    /// Catches what asks a program to end from here on: Ctrl-C, `SIGTERM`, and the
    /// end of a terminal or an SSH session. What is ignored (nohup(1)) stays so.
    pub fn catch(&self) {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            if crate::fs::sys::supervisor::is_ignored(signal) {
                continue;
            }
            // Without it the signal ends the program, which is safe too.
            let _ = signal_hook::flag::register(signal, Arc::clone(&self.interrupted));
        }
    }

    /// Whether somebody wants to stop.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Stops when somebody wants to.
    ///
    /// # Errors
    /// [`Stop`] when so.
    pub fn pause(&self) -> Result<()> {
        if self.interrupted() && !self.shielded.get() {
            self.end();
            return Err(Stop::changed("interrupted".to_owned()));
        }
        Ok(())
    }

    /// While it is set nothing is stopped: between two boot loaders it is quicker
    /// to go on than to come back.
    pub fn shield(&self, on: bool) {
        self.shielded.set(on);
    }

    /// A long task begins.
    pub fn begin(&self, what: &'static str, unit: Unit, all: Option<usize>) {
        self.task.set(Some(Task { what, unit, done: 0, all, shown: None }));
    }

    /// So much more of it is done.
    pub fn add(&self, more: usize) {
        let Some(mut task) = self.task.get() else { return };
        task.done += more;
        let due = task.shown.is_none_or(|at| at.elapsed() >= EVERY);
        if self.terminal && due {
            task.shown = Some(Instant::now());
            let _ = write!(std::io::stderr(), "\r  {}\x1b[K", task.line());
        }
        self.task.set(Some(task));
    }

    /// It is done.
    pub fn end(&self) {
        if self.task.take().is_some_and(|task| task.shown.is_some()) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Task {
    fn line(&self) -> String {
        let amount = |n: usize| match self.unit {
            Unit::Bytes => format!("{} MiB", n >> 20),
            Unit::Files => format!("{n} files"),
        };
        match self.all {
            Some(all) => format!("{}: {} of {}", self.what, amount(self.done), amount(all)),
            None => format!("{}: {}", self.what, amount(self.done)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let task =
            |unit, done, all| Task { what: "Copying /boot", unit, done, all, shown: None }.line();
        assert_eq!(task(Unit::Bytes, 3 << 20, Some(9 << 20)), "Copying /boot: 3 MiB of 9 MiB");
        assert_eq!(task(Unit::Files, 12, None), "Copying /boot: 12 files");
    }
}
