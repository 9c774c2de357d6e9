//! A report as text, in 80 columns; colour only on a terminal.

use std::fmt::Write;

use super::{Colour, Finding, Level, Report};
use crate::term::console::takes_escapes;

const WIDTH: usize = 80;
/// The longest level and a space.
const INDENT: usize = 9;

/// Whether the standard output takes colours (<https://no-color.org>).
pub(crate) fn colour() -> Colour {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !no_color && takes_escapes(&std::io::stdout()) { Colour::Ansi } else { Colour::None }
}

pub(super) fn text(report: &Report, colour: Colour) -> String {
    let mut text = String::new();
    let system = report.distribution.as_deref().unwrap_or("no os-release");
    folded(&mut text, "root", INDENT, &format!("{} ({system})", report.root));
    if let Some(closure) = &report.closure {
        let version = closure.version.as_deref().unwrap_or("version unknown");
        folded(&mut text, "system", INDENT, &format!("{} ({version})", closure.top.display()));
    }
    text.push('\n');
    for finding in &report.findings {
        one(&mut text, finding, colour);
    }
    text.push('\n');
    for line in last(report) {
        folded(&mut text, "", 0, &line);
    }
    text
}

fn one(text: &mut String, finding: &Finding, colour: Colour) {
    let start = text.len();
    let unchecked = if finding.checked { "" } else { " unchecked" };
    let found = sentence(&finding.found);
    let word = finding.level.word();
    folded(text, word, INDENT, &format!("{}{unchecked}: {found}", finding.id));
    if colour == Colour::Ansi {
        let code = match finding.level {
            Level::Ok => 32,
            Level::Warning => 33,
            Level::Blocker => 31,
        };
        text.replace_range(start..start + word.len(), &format!("\x1b[{code}m{word}\x1b[0m"));
    }
    if let Some(consequence) = &finding.consequence {
        folded(text, "", INDENT, &sentence(consequence));
    }
    for line in finding.mend.iter().flat_map(|mend| mend.lines()) {
        folded(text, "", INDENT, line);
    }
}

/// With its full stop.
fn sentence(text: &str) -> String {
    if text.ends_with(['.', ':', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// The counts, and what to do next.
fn last(report: &Report) -> Vec<String> {
    let count = |level| report.count(level);
    let unchecked = report.findings.iter().filter(|f| !f.checked).count();
    let numbers = format!(
        "{} ok, {}, {}{}.",
        count(Level::Ok),
        plural(count(Level::Warning), "warning"),
        plural(count(Level::Blocker), "blocker"),
        if unchecked == 0 { String::new() } else { format!(" ({unchecked} unchecked)") }
    );
    let next = match (report.blocks(), count(Level::Warning)) {
        (true, _) => {
            "Mend what blocks, rebuild the system if its configuration changed, and check again."
        }
        (false, 0) => "Next: nixos-lustrate prepare",
        (false, _) => "Read the warnings; when none of them matters: nixos-lustrate prepare",
    };
    vec![format!("{numbers} {next}")]
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// A word, then text that is broken at spaces and indented. A word that is
/// longer than a line, such as a store path, has a line for itself.
fn folded(text: &mut String, word: &str, indent: usize, rest: &str) {
    let _ = write!(text, "{word:indent$}");
    let mut used = indent;
    // Leading spaces of a line of configuration stay.
    let body = rest.trim_start();
    let lead = rest.len() - body.len();
    let _ = write!(text, "{:lead$}", "");
    used += lead;
    let mut fresh = true;
    for word in body.split(' ') {
        let length = word.chars().count();
        if !fresh && used + 1 + length > WIDTH {
            let _ = write!(text, "\n{:1$}", "", indent + lead);
            used = indent + lead;
            fresh = true;
        }
        if !fresh {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
        fresh = false;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        let root = "/".to_owned();
        Report { root, distribution: None, closure: None, keep: Vec::new(), findings }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let long = "a word or two ".repeat(30);
        let bad = Finding::blocker("profile", long.trim(), long.trim(), "mend\n  { x = 1; }");
        let shown = report(vec![bad, Finding::ok("space", "fine")]).to_text(Colour::None);
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        assert!(shown.contains("\nblocker  profile: a word") && shown.contains("\n           { x"));
        assert!(shown.contains("\nok       space: fine.\n"), "{shown}");
        assert!(shown.contains("1 ok, 0 warnings, 1 blocker. Mend what blocks"), "{shown}");
    }

    #[test]
    fn the_next_step_depends_on_what_was_found() {
        let end = |findings| report(findings).to_text(Colour::None);
        assert!(end(vec![]).ends_with("Next: nixos-lustrate prepare\n"));
        let unchecked = Finding::unchecked("plan", "no root", "Run it as root");
        let shown = end(vec![unchecked]);
        assert!(shown.contains("warning  plan unchecked: no root.\n         Run it as root\n"));
        assert!(
            shown.contains("1 warning, 0 blockers (1 unchecked). Read the warnings"),
            "{shown}"
        );
    }

    #[test]
    fn colour_changes_nothing_but_the_word() {
        let findings = vec![Finding::ok("cpu", "fine")];
        let coloured = report(findings.clone()).to_text(Colour::Ansi);
        let plain = report(findings).to_text(Colour::None);
        assert!(coloured.contains("\x1b[32mok\x1b[0m       cpu: fine."));
        assert_eq!(coloured.replace("\x1b[32m", "").replace("\x1b[0m", ""), plain);
    }
}
