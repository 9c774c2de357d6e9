//! The lines on standard output: one for each step, and the two announcements
//! of the time in which neither system boots (P2).

use std::io::Write;

use super::step::News;
use crate::term::console::shown_on;

/// The column of the words and two spaces.
const INDENT: usize = 11;

/// Prints; somebody who has closed the pipe does not stop a step.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(shown_on(&out, text.to_owned(), 0).as_bytes()).and_then(|()| out.flush());
}

/// One line for a step.
pub(crate) fn news(news: News<'_>) {
    match news {
        News::Begins(step) => say(&line("begins", step)),
        News::Done(step) => say(&line("done", step)),
        News::Skipped(step, why) => say(&line("skipped", &format!("{step}: {why}"))),
        News::Undoing(_) => {}
        News::Undone(step, rest) => {
            let mut text = line("undone", step);
            for sentence in rest {
                text.push_str(&line("", sentence));
            }
            say(&text);
        }
    }
}

/// A line with its first word in a column of its own.
#[must_use]
pub(crate) fn line(word: &str, rest: &str) -> String {
    shown_on(&std::io::stdout(), format!("{word:<9}  {rest}\n"), INDENT)
}

/// The beginning of the time in which neither system may boot.
pub(crate) fn window_opens(root: &str) {
    let root = if root == "/" { String::new() } else { format!(" --root {root}") };
    say(&format!(
        "\nFrom here until \"A system boots again\" the machine may not boot.\n\
         If it is interrupted: nixos-lustrate prepare{root}\n\
         or, from a rescue system with the root and its /boot mounted:\n\
         nixos-lustrate cancel --root DIR\n\n"
    ));
}

/// Its end.
pub(crate) fn window_closes() {
    say("\nA system boots again.\n\n");
}
