//! A report as text, in 80 columns; colour only on a terminal.

use super::{Colour, Finding, Level, Report};
use crate::term::console::takes_escapes;
use crate::term::text::{count, fold};

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
    said(&mut text, "root", INDENT, &format!("{} ({system})", report.root));
    if let Some(closure) = &report.closure {
        let version = closure.version.as_deref().unwrap_or("version unknown");
        said(&mut text, "system", INDENT, &format!("{} ({version})", closure.top.display()));
    }
    text.push('\n');
    for finding in &report.findings {
        one(&mut text, finding, colour);
    }
    text.push('\n');
    for line in last(report) {
        said(&mut text, "", 0, &line);
    }
    text
}

fn one(text: &mut String, finding: &Finding, colour: Colour) {
    let start = text.len();
    let unchecked = if finding.checked { "" } else { " unchecked" };
    let found = sentence(&finding.found);
    let word = finding.level.word();
    said(text, word, INDENT, &format!("{}{unchecked}: {found}", finding.id));
    if colour == Colour::Ansi {
        let code = match finding.level {
            Level::Ok => 32,
            Level::Warning => 33,
            Level::Blocker => 31,
        };
        text.replace_range(start..start + word.len(), &format!("\x1b[{code}m{word}\x1b[0m"));
    }
    if let Some(consequence) = &finding.consequence {
        said(text, "", INDENT, &sentence(consequence));
    }
    for line in finding.fix.iter().flat_map(|fix| fix.lines()) {
        said(text, "", INDENT, line);
    }
}

/// With its full stop.
fn sentence(text: &str) -> String {
    if text.ends_with(['.', ':', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// The counts, and what to do next.
fn last(report: &Report) -> Vec<String> {
    let [ok, warnings, blockers] =
        [Level::Ok, Level::Warning, Level::Blocker].map(|level| report.count(level));
    let unchecked = report.findings.iter().filter(|f| !f.checked).count();
    let numbers = format!(
        "{ok} ok, {}, {}{}.",
        count(warnings, "warning", "warnings"),
        count(blockers, "blocker", "blockers"),
        if unchecked == 0 { String::new() } else { format!(" ({unchecked} unchecked)") }
    );
    let next = match (report.blocks(), warnings) {
        (true, _) => {
            "Fix what blocks, rebuild the system if its configuration changed, and check again."
        }
        (false, 0) => "Next: nixos-lustrate prepare",
        (false, _) => "Read the warnings; when none of them matters: nixos-lustrate prepare",
    };
    vec![format!("{numbers} {next}")]
}

/// A word in its column, then text; leading spaces, as lines of a configuration
/// have them, stay.
fn said(text: &mut String, word: &str, indent: usize, rest: &str) {
    let body = rest.trim_start();
    let indent = indent + rest.len() - body.len();
    fold(text, &format!("{word:indent$}"), body, indent);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::text::WIDTH;

    fn report(findings: Vec<Finding>) -> Report {
        let root = "/".to_owned();
        Report { root, distribution: None, closure: None, keep: Vec::new(), findings }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let long = "a word or two ".repeat(30);
        let bad = Finding::blocker("profile", long.trim(), long.trim(), "fix\n  { x = 1; }");
        let shown = report(vec![bad, Finding::ok("space", "fine")]).to_text(Colour::None);
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        assert!(shown.contains("\nblocker  profile: a word") && shown.contains("\n           { x"));
        assert!(shown.contains("\nok       space: fine.\n"), "{shown}");
        assert!(shown.contains("1 ok, 0 warnings, 1 blocker. Fix what blocks"), "{shown}");
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
