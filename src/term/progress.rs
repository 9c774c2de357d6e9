//! What goes between a long task and the person: how far it is, on a terminal only,
//! and Ctrl-C, which stops it where it can be taken up again.

use std::cell::{Cell, RefCell};
use std::io::{Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default};

use super::console::takes_escapes;
use super::text::WIDTH;
use crate::error::{OpError, Refusal, Stop};
use crate::fs::remove::{self, Halt};
use crate::fs::sys::errno;
use crate::fs::sys::supervisor::is_ignored;

/// How often the line on the terminal changes.
const EVERY: Duration = Duration::from_millis(200);
/// A line of the full width may put the cursor into the next.
const ROOM: usize = WIDTH - 1;

/// Progress and interruption.
#[derive(Debug)]
pub(crate) struct Progress {
    interrupted: Arc<AtomicBool>,
    /// Ctrl-C was pressed since it was asked.
    pressed: Arc<AtomicBool>,
    terminal: bool,
    shielded: Cell<bool>,
    task: RefCell<Option<Task>>,
    total: Cell<usize>,
}

#[derive(Debug)]
struct Task {
    what: String,
    unit: Unit,
    done: usize,
    all: Option<usize>,
    told: Instant,
    shown: bool,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes, shown in MiB.
    Bytes,
    /// Files.
    Files,
    /// Entries of directories that were removed.
    Entries,
}

/// What a second Ctrl-C does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Second {
    /// It ends the program.
    Ends,
    /// Nothing more than the first.
    Waits,
}

impl Progress {
    /// Nothing is caught yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        let told = log::max_level() >= log::LevelFilter::Info;
        Self {
            interrupted: Arc::new(AtomicBool::new(false)),
            pressed: Arc::new(AtomicBool::new(false)),
            terminal: told && takes_escapes(&stderr()),
            shielded: Cell::new(false),
            task: RefCell::new(None),
            total: Cell::new(0),
        }
    }

    /// Catches what asks a program to end from here on: Ctrl-C, `SIGTERM`, and the
    /// end of a terminal or an SSH session. What is ignored (nohup(1)) stays so.
    ///
    /// # Errors
    /// A refusal when it cannot: nobody could stop it then.
    pub(crate) fn catch(&self, second: Second) -> Result<(), Refusal> {
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            if is_ignored(signal) {
                continue;
            }
            let flag = || Arc::clone(&self.interrupted);
            // Before the flag is set: it asks for the one before.
            let caught = match second {
                Second::Ends => register_conditional_default(signal, flag()).map(drop),
                Second::Waits => Ok(()),
            };
            let pressed = || match signal {
                SIGINT => register(signal, Arc::clone(&self.pressed)).map(drop),
                _ => Ok(()),
            };
            caught
                .and_then(|()| register(signal, flag()).map(drop))
                .and_then(|()| pressed())
                .map_err(|error| OpError::new("catch", "interrupts", errno(&error)))?;
        }
        Ok(())
    }

    /// Whether somebody wants to stop.
    #[must_use]
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Whether Ctrl-C was pressed since this was asked.
    pub(crate) fn pressed(&self) -> bool {
        self.pressed.swap(false, Ordering::Relaxed)
    }

    /// What was asked for until now has been done, or is of no use any more.
    pub(crate) fn forget(&self) {
        self.interrupted.store(false, Ordering::Relaxed);
        self.pressed();
    }

    /// Stops when somebody wants to.
    ///
    /// # Errors
    /// [`Stop`] when so.
    pub(crate) fn pause(&self) -> Result<(), Stop> {
        if self.interrupted() && !self.shielded.get() {
            self.end();
            return Err(Stop::interrupted());
        }
        Ok(())
    }

    /// While it is set nothing is stopped: between two boot loaders it is quicker
    /// to go on than to come back.
    pub(crate) fn shield(&self, on: bool) {
        self.shielded.set(on);
    }

    /// A long task begins.
    pub(crate) fn begin(&self, what: impl Into<String>, unit: Unit, all: Option<usize>) {
        let (what, told) = (what.into(), Instant::now());
        self.task.replace(Some(Task { what, unit, done: 0, all, told, shown: false }));
    }

    /// So much more of it is done.
    pub(crate) fn add(&self, more: usize) {
        self.total.set(self.total.get() + more);
        if let Some(task) = self.task.borrow_mut().as_mut() {
            task.done += more;
            if self.terminal && task.told.elapsed() >= EVERY {
                // A line that cannot be shown is not missed.
                let _ = write!(stderr(), "\r{:<ROOM$}", task.line());
                (task.told, task.shown) = (Instant::now(), true);
            }
        }
    }

    /// It is done, or something else is going to be written: the line goes. How much
    /// of it was done.
    pub(crate) fn end(&self) -> usize {
        let Some(task) = self.task.take() else { return 0 };
        if task.shown {
            let _ = write!(stderr(), "\r{:<ROOM$}\r", "");
        }
        task.done
    }

    /// How much was done in all tasks.
    #[must_use]
    pub(crate) fn total(&self) -> usize {
        self.total.get()
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl remove::Progress for &Progress {
    fn may_go_on(&self) -> Result<(), Halt> {
        self.pause().map_err(|_| Halt::Interrupted)
    }

    fn removed(&mut self) {
        self.add(1);
    }
}

impl Task {
    fn line(&self) -> String {
        let amount = |n: usize| match self.unit {
            Unit::Bytes => format!("{} MiB", n >> 20),
            Unit::Files => format!("{n} files"),
            Unit::Entries => format!("{n} entries removed"),
        };
        let text = match self.all {
            Some(all) => format!("  {}: {} of {}", self.what, amount(self.done), amount(all)),
            None => format!("  {}: {}", self.what, amount(self.done)),
        };
        // Of a long path, the end: the number is behind it.
        match text.chars().count().saturating_sub(ROOM) {
            0 => text,
            over => "...".chars().chain(text.chars().skip(over + 3)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let line = |what: &str, unit, done, all| {
            let (what, told) = (what.to_owned(), Instant::now());
            Task { what, unit, done, all, told, shown: false }.line()
        };
        let copying = line("Copying /boot", Unit::Bytes, 3 << 20, Some(9 << 20));
        assert_eq!(copying, "  Copying /boot: 3 MiB of 9 MiB");
        assert_eq!(line("Reading", Unit::Files, 12, None), "  Reading: 12 files");
        let long = line(&"/x".repeat(100), Unit::Entries, 12, None);
        assert_eq!(long.chars().count(), ROOM);
        assert!(long.starts_with("...") && long.ends_with("x: 12 entries removed"), "{long}");
    }

    #[test]
    fn a_signal_stops_it_but_where_it_is_shielded() {
        let progress = Progress::new();
        progress.catch(Second::Waits).expect("caught");
        assert!(progress.pause().is_ok());
        signal_hook::low_level::raise(SIGTERM).expect("a signal");
        progress.shield(true);
        assert!(progress.pause().is_ok() && progress.interrupted());
        progress.shield(false);
        assert_eq!(progress.pause(), Err(Stop::interrupted()));
        progress.forget();
        assert!(progress.pause().is_ok() && !progress.pressed());
        signal_hook::low_level::raise(SIGINT).expect("a signal");
        assert!(progress.interrupted() && progress.pressed() && !progress.pressed());
    }
    /// The test is its own second program, which ends.
    #[test]
    fn a_second_signal_ends_it_where_that_was_asked_for() {
        use std::os::unix::process::ExitStatusExt;
        let raise = || signal_hook::low_level::raise(SIGTERM).expect("a signal");
        if std::env::var_os("RAISE_TWICE").is_some() {
            let progress = Progress::new();
            progress.catch(Second::Ends).expect("caught");
            raise();
            assert!(progress.interrupted());
            raise();
            return;
        }
        let mut program = std::process::Command::new(std::env::current_exe().expect("a path"));
        let name = module_path!().split_once("::").map_or("", |(_, module)| module);
        program.args([
            "--exact",
            &format!("{name}::a_second_signal_ends_it_where_that_was_asked_for"),
        ]);
        program.env("RAISE_TWICE", "yes").stdout(std::process::Stdio::null());
        let ended = program.status().expect("it runs");
        assert_eq!(ended.signal(), Some(SIGTERM), "{ended}");
    }
}
