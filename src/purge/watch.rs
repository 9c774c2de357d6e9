//! Looks after a purge at work: interrupts, and, on a terminal, how far it is.

use std::io::{Write, stderr};
use std::time::{Duration, Instant};

use crate::fs::remove::{Halt, Progress};
use crate::term::console::takes_escapes;

/// A terminal line is written no more often than this.
const PAUSE: Duration = Duration::from_millis(200);
const WIDTH: usize = 79;

/// What is told of a purge.
#[derive(Debug)]
pub(super) struct Watch {
    /// Entries that were removed, in all.
    pub(super) total: u64,
    /// Entries of what is being removed now.
    here: u64,
    what: String,
    told: Instant,
    terminal: bool,
    shown: bool,
}

impl Progress for Watch {
    fn may_go_on(&self) -> Result<(), Halt> {
        if crate::fs::sys::removal::interrupted() { Err(Halt::Interrupted) } else { Ok(()) }
    }

    fn removed(&mut self) {
        self.here += 1;
        self.total += 1;
        if self.terminal && self.told.elapsed() >= PAUSE {
            self.tell();
        }
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        let terminal = takes_escapes(&stderr()) && log::max_level() >= log::LevelFilter::Info;
        let (what, told) = (String::new(), Instant::now());
        Self { total: 0, here: 0, what, told, terminal, shown: false }
    }

    /// Something else is being removed now.
    pub(super) fn begin(&mut self, what: String) {
        self.what = what;
        self.here = 0;
    }

    pub(super) fn here(&self) -> u64 {
        self.here
    }

    fn tell(&mut self) {
        let mut text = format!("{}: {} entries removed", self.what, self.here);
        // Of a long path, the end: the number is behind it.
        let over = text.chars().count().saturating_sub(WIDTH);
        if over > 0 {
            text = "...".chars().chain(text.chars().skip(over + 3)).collect();
        }
        // A line that cannot be shown is not missed.
        let _ = write!(stderr(), "\r{text:<WIDTH$}");
        self.told = Instant::now();
        self.shown = true;
    }

    /// Takes the line away, before something else is written.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(stderr(), "\r{:<WIDTH$}\r", "");
        }
    }
}
