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
            folded(text, line);
        }
    }
}

/// A line with its continuation indented, broken at spaces.
pub fn folded(text: &mut String, line: &str) {
    let mut used = 0;
    for word in line.split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if used == 0 {
            text.push_str("  ");
            used = 2;
        } else if used + length > WIDTH {
            text.truncate(text.trim_end_matches(' ').len());
            text.push_str("\n    ");
            used = 4;
        }
        text.push_str(word);
        used += word.chars().count();
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// A number with its noun.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
