//! What a console can show: text in 80 columns, broken at spaces, so that no word,
//! and no path in it, is cut in two; colours and the like only where they work.

use std::io::IsTerminal;

use super::text::WIDTH;

/// Breaks the lines of a text; what goes on below is indented. A word that is
/// longer than a line has one for itself.
#[must_use]
pub fn folded(text: &str, indent: usize) -> String {
    let mut folded = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        one(&mut folded, line, indent);
    }
    folded
}

/// The same where somebody reads it; elsewhere programs do, line by line.
#[must_use]
pub fn shown_on(stream: &impl IsTerminal, text: String, indent: usize) -> String {
    if stream.is_terminal() { folded(&text, indent) } else { text }
}

/// Whether a stream is a terminal that understands escape sequences. One that
/// calls itself dumb (a serial console, an editor) would show them.
pub fn takes_escapes(stream: &impl IsTerminal) -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !dumb && stream.is_terminal()
}

fn one(folded: &mut String, line: &str, indent: usize) {
    let mut used = 0;
    let mut start = true;
    for word in line.split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if !start && length > 0 && used + length > WIDTH {
            folded.truncate(folded.trim_end_matches(' ').len());
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        }
        folded.push_str(word);
        used += word.trim_end_matches('\n').chars().count();
        // What a line begins with, such as its own indentation, is not broken off.
        start = start && length == 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_console() {
        let text =
            "  begins with some words ".to_owned() + &"a word or two ".repeat(30) + "\nend\n";
        let shown = folded(&text, 4);
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        assert!(shown.starts_with("  begins with") && shown.ends_with("\nend\n"), "{shown}");
        assert!(shown.contains("\n    a word") || shown.contains("\n    or two"), "{shown}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(&text));
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        for text in ["", "one", "one\n\n two\n", &format!("{}\n", "x".repeat(80))] {
            assert_eq!(folded(text, 2), text);
        }
        let path = "/x".repeat(60);
        assert_eq!(
            folded(&format!("Failed to open '{path}'"), 2),
            format!("Failed to open\n  '{path}'")
        );
    }
}
