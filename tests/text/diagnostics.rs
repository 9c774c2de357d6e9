//! The section DIAGNOSTICS of nixos-lustrate(8): each message that stops somebody
//! is in it, and it has none that the program does not say.

use std::collections::BTreeSet;
use std::fs;

use crate::extract::{Kind, Message, is_filled_in, messages};
use crate::samples::sample;
use crate::source::{checkout, sources};

/// Whether a message stops somebody, or says what did.
fn stops(message: &Message) -> bool {
    let reasons = ["src/engine/intent/parse.rs", "src/engine/keeplist.rs", "src/error.rs"];
    match message.kind {
        Kind::Refusal | Kind::Stop | Kind::Blocker | Kind::Usage => true,
        Kind::Format => reasons.contains(&message.path.as_str()),
        Kind::Other => message.path == "src/engine/survey/journal.rs",
        _ => false,
    }
}

/// What was found, with dots for what is filled in.
fn titles() -> Vec<(String, String)> {
    let (mut titles, mut seen) = (Vec::new(), BTreeSet::new());
    for message in messages(&sources()).iter().filter(|message| stops(message)) {
        for text in message.parts[0].iter().filter(|text| !is_filled_in(text)) {
            let title = title(&message.path, text);
            // What others are put into; the section begins with those.
            let wraps = title.starts_with("refused: ") || title.starts_with("stopped part-way: ");
            if title.contains(char::is_alphabetic) && !wraps && seen.insert(title.clone()) {
                titles.push((message.path.clone(), title));
            }
        }
    }
    titles
}

/// The first sentence of a message. Names of files that are fixed stay.
fn title(path: &str, text: &str) -> String {
    let mut title = String::new();
    for piece in text.lines().next().unwrap_or_default().split_inclusive('⟩') {
        let (fixed, name) = piece.split_once('⟨').unwrap_or((piece, ""));
        title += fixed;
        let name = name.trim_end_matches('⟩');
        let is_constant = name.contains(char::is_uppercase) && !name.contains(char::is_lowercase);
        title += match sample(path, name).filter(|_| is_constant) {
            Some(constant) => constant,
            None if piece.contains('⟨') => "...",
            None => "",
        };
    }
    let ends = title.match_indices(". ").map(|(at, _)| at).find(|at| !title[..*at].ends_with('.'));
    title.truncate(ends.unwrap_or(title.len()));
    title
}

/// The items of the section.
fn items() -> Vec<String> {
    let page = fs::read_to_string(checkout().join("src/man/nixos-lustrate.8")).expect("the page");
    let section = page.split(".Sh DIAGNOSTICS\n").nth(1).expect("the section");
    let section = section.split("\n.Sh ").next().unwrap_or_default();
    let items = section.lines().filter_map(|line| line.strip_prefix(".It "));
    let text = |item: &str| item.trim_matches('"').replace("\\(dq", "\"").replace("\\e", "\\");
    items.map(text).collect()
}

#[test]
fn the_manual_has_each_message_that_stops_somebody() {
    let items = items();
    let missing: Vec<_> = titles().into_iter().filter(|(_, t)| !items.contains(t)).collect();
    let missing: Vec<_> = missing.iter().map(|(path, title)| format!("{path}: {title}")).collect();
    let missing = missing.join("\n");
    assert!(missing.is_empty(), "not among DIAGNOSTICS:\n{missing}");
}

#[test]
fn the_manual_has_no_message_that_is_not_said() {
    let titles: BTreeSet<String> = titles().into_iter().map(|(_, title)| title).collect();
    let items = items();
    let gone: Vec<_> = items.iter().filter(|item| !titles.contains(*item)).collect();
    assert!(gone.is_empty(), "the program does not say: {gone:#?}");
    let distinct: BTreeSet<_> = items.iter().collect();
    assert_eq!(distinct.len(), items.len(), "an item is there twice");
}
