//! Text for a console of 80 columns: folded lines, columns, counts.

use std::fmt::Write;

/// The width of the narrowest console that there is.
pub const WIDTH: usize = 80;

/// A thing, and in a second column what is said of it.
#[must_use]
pub fn line(what: &str, why: &str) -> String {
    format!("{what:<26} {why}")
}

/// Names in columns, read downwards like those of ls(1).
#[must_use]
pub fn columns<T: ToString>(names: &[T]) -> Vec<String> {
    let shown: Vec<String> = names.iter().map(ToString::to_string).collect();
    let widest = shown.iter().map(|n| n.chars().count()).max().unwrap_or(0) + 2;
    let columns = ((WIDTH - 2) / widest.max(1)).max(1);
    let rows = shown.len().div_ceil(columns);
    let row = |at: usize| {
        let cells = shown.iter().skip(at).step_by(rows.max(1));
        let cells = cells.map(|n| format!("{n}{}", " ".repeat(widest - n.chars().count())));
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..rows).map(row).collect()
}

/// A title with indented lines, unless there are none.
pub fn section(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "\n{title}:");
        for line in lines {
            fold(text, "  ", line.trim_end(), 4);
        }
    }
}

/// Appends a line, broken at spaces: what goes before it is not broken off, what
/// goes on below is indented, and a word that is longer than a line, a path
/// perhaps, has one for itself and is never cut.
pub fn fold(text: &mut String, before: &str, line: &str, indent: usize) {
    text.push_str(before);
    let mut used = before.chars().count();
    for (at, word) in line.split_inclusive(' ').enumerate() {
        let length = word.trim_end().chars().count();
        if at > 0 && length > 0 && used + length > WIDTH {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            used = indent;
        }
        text.push_str(word);
        used += word.chars().count();
    }
    text.push('\n');
}

/// The same for each line of a text; the indentation of its own stays.
#[must_use]
pub fn folded(lines: &str, indent: usize) -> String {
    let mut text = String::with_capacity(lines.len());
    for line in lines.lines() {
        let words = line.trim_start();
        fold(&mut text, &line[..line.len() - words.len()], words, indent);
    }
    if !lines.ends_with('\n') {
        text.pop();
    }
    text
}

/// A number with its noun.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
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
        for text in ["", "one", "Go on? [y/N] ", "one\n\n two\n", &format!("{}\n", "x".repeat(80))]
        {
            assert_eq!(folded(text, 2), text);
        }
        let path = "/x".repeat(60);
        assert_eq!(
            folded(&format!("Failed to open '{path}'"), 2),
            format!("Failed to open\n  '{path}'")
        );
    }
}
