//! What the terminal can show.

use std::io::IsTerminal;

/// Whether a stream is a terminal that understands escape sequences. One that
/// calls itself dumb (a serial console, an editor) would show them.
pub fn takes_escapes(stream: &impl IsTerminal) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !dumb && stream.is_terminal()
}
