//! What a test says when the machine cannot do what it needs. A skipped test
//! must be seen, so the line goes to stderr past libtest's capture.

use std::fmt;
use std::io::Write;

/// Why a test, or a part of one, cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped(String);

impl Skipped {
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: {}", self.0)
    }
}

/// Whether the effective user is root.
pub fn is_root() -> bool {
    super::sys::effective_user() == 0
}

/// Prints the line, with the test's name, even when libtest captures output:
/// capture only catches the print macros, not a write to stderr itself.
pub fn say(skipped: &Skipped) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr().lock(), "{test}: {skipped}");
}
