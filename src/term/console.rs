//! What a stream can show: folded lines where a person reads them, colours and the
//! like where they work.

use std::io::IsTerminal;

use super::text::folded;

/// A text, folded where somebody reads it; elsewhere programs do, line by line.
#[must_use]
pub fn shown_on(stream: &impl IsTerminal, text: String, indent: usize) -> String {
    if stream.is_terminal() { folded(&text, indent) } else { text }
}

/// Whether a stream is a terminal that understands escape sequences. One that
/// calls itself dumb (a serial console, an editor) would show them.
pub(crate) fn takes_escapes(stream: &impl IsTerminal) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !dumb && stream.is_terminal()
}
