//! One question, answered by y or N.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

use crate::error::Refusal;

/// Refuses when there is nobody to ask; `see` says how to find out what would be done.
///
/// # Errors
/// A refusal when standard input is no terminal.
pub(crate) fn somebody(see: &'static str) -> Result<(), Refusal> {
    if stdin().is_terminal() {
        return Ok(());
    }
    Err(Refusal::new(
        "standard input is no terminal, and --yes was not given",
        "Nobody could have been asked",
        see,
    ))
}

/// Asks once, for a command.
///
/// # Errors
/// A refusal for any other answer than yes.
pub(crate) fn confirm(question: &str, verb: &str) -> Result<(), Refusal> {
    let mut err = stderr();
    let mut answer = String::new();
    let asked = write!(err, "\n{question} [y/N] ").and_then(|()| err.flush());
    // What cannot be asked or read is no yes.
    let read = asked.and_then(|()| stdin().lock().read_line(&mut answer));
    let answer = answer.trim().to_ascii_lowercase();
    if read.is_ok() && (answer == "y" || answer == "yes") {
        return Ok(());
    }
    Err(Refusal::new(
        "the answer was not yes",
        "Nothing is done without it",
        format!("To be asked again: nixos-lustrate {verb}"),
    ))
}
