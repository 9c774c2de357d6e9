//! Every line that the programs can print, in one file, messages.txt, to be read
//! as a whole; made from the source itself, so that a new message fails this test
//! until it is there: `MESSAGES=write cargo test --test text`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use nixos_lustrate::cli::grammar;
use nixos_lustrate::term::text::WIDTH;
use nixos_lustrate::term::text::folded;

use crate::extract::{Kind, Message, filled_in, messages};
use crate::samples::{sample, unused};
use crate::source::{checkout, sources};

/// Texts of more than a word that nobody is shown.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("Permission denied", "compared with"),
    ("\n\nFor more information", "cut off from what clap says"),
    ("error: ", "cut off from what clap says"),
    ("<attr name=\"⟨name⟩\">", "looked for in an XML file"),
    ("<string value=\"", "looked for in an XML file"),
    ("⟨name⟩ = ", "looked for in a script"),
    ("/32 host LOCAL", "looked for in /proc/net/fib_trie"),
    ("⟨stat.uid⟩ ⟨stat.gid⟩ ⟨stat.mode⟩ ⟨shared⟩ ⟨rest⟩", "a line of the record of owners"),
];

/// What shells read.
const SCRIPTS: &str = "src/cli/completions.rs";

/// Words of those who write the program, which nobody else needs to know: what a
/// user reads says `old system`, `being moved`, `half-way`.
const JARGON: &[&str] = &[
    "population",
    "populations",
    "displace",
    "displaced",
    "staging",
    "staged",
    "an exchange",
    "the exchange",
    "intent",
    "an intent",
    "journal",
    "errno",
    "fd",
    "file descriptor",
    "inode flags",
    "syscall",
    "system call",
    "engine",
    "preflight",
    "refusal",
    "pinned",
    "closure",
    "toplevel",
    "Err",
    "unwrap",
    "panic",
];

const TITLES: [(Kind, &str); 11] = [
    (Kind::Refusal, "Refusals: what was found, what would have happened, the fix"),
    (Kind::Stop, "Stops, part-way"),
    (Kind::Blocker, "check: what blocks"),
    (Kind::Warning, "Warnings, of check and of plans"),
    (Kind::Unchecked, "check: what could not be examined"),
    (Kind::Ok, "check: what is as it should be"),
    (Kind::Usage, "Wrong usage"),
    (Kind::Log, "Told at the beginning, at the end, and between"),
    (Kind::Format, "What others are put into, and reasons in them"),
    (Kind::Action, "What can fail"),
    (Kind::Other, "All else: plans, reports, steps, questions, parts of the above"),
];

/// The text with samples filled in.
fn filled(path: &str, text: &str) -> String {
    let mut pieces = text.split('⟨');
    let mut all = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('⟩').expect("a name ends");
        all.push_str(sample(path, name).unwrap_or(name));
        all.push_str(rest);
    }
    all
}

/// A message as it is printed, and its alternatives below.
fn shown(message: &Message) -> String {
    let parts: Vec<String> =
        message.parts.iter().map(|part| filled(&message.path, &part[0])).collect();
    let sentence = |text: &str| {
        if text.ends_with(['.', ':', '!', '?']) { text.to_owned() } else { format!("{text}.") }
    };
    let report = |word: &str| {
        let mut text = folded(&format!("{word:<9}{}\n", sentence(&parts[0])), 9);
        let rest = match message.kind {
            Kind::Unchecked => &parts[1..],
            _ => &parts[1.min(parts.len())..],
        };
        for (at, part) in rest.iter().enumerate() {
            let is_mend = at + 1 == rest.len();
            for line in part.lines() {
                let line = if is_mend { line.to_owned() } else { sentence(line) };
                text += &folded(&format!("{:9}{line}\n", ""), 9);
            }
        }
        text
    };
    let mut text = match message.kind {
        Kind::Refusal => {
            folded(&format!("refused: {}. Nothing was touched.\n", parts.join(". ")), 2)
        }
        Kind::Stop => {
            folded(&format!("stopped part-way: {}. Nothing is lost.\n", parts.join(". ")), 2)
        }
        Kind::Blocker => report("blocker"),
        Kind::Warning | Kind::Unchecked => report("warning"),
        Kind::Ok => report("ok"),
        Kind::Usage => folded(&format!("nixos-lustrate: {}\n", parts[0]), 2),
        Kind::Action => format!("Failed to {} '/mnt/var/lib': Input/output error\n", parts[0]),
        Kind::Log | Kind::Format | Kind::Other => {
            folded(&format!("{}\n", parts[0].trim_matches('\n')), 2)
        }
    };
    for other in message.parts.iter().flat_map(|part| &part[1..]) {
        text += &folded(&format!("  or: {}\n", filled(&message.path, other).trim_matches('\n')), 6);
    }
    text
}

fn snapshot(all: &[Message]) -> String {
    let mut text = String::new();
    for (kind, title) in TITLES {
        let _ = writeln!(text, "== {title}\n");
        let mut seen = BTreeSet::new();
        let mut path = "";
        for message in all.iter().filter(|message| message.kind == kind) {
            let shown = shown(message);
            if !seen.insert(shown.clone()) {
                continue;
            }
            if path != message.path && kind != Kind::Action {
                path = &message.path;
                let _ = writeln!(text, "[{path}]");
            }
            text += &shown;
            if kind <= Kind::Unchecked {
                text.push('\n');
            }
        }
        text.push('\n');
    }
    text + "== In the initrd, and when a NixOS configuration is built\n\n" + &initrd()
}

/// What the files of initrd/ say: the messages of the NixOS module, the lines that
/// its shell fragments print, and the names of the units.
fn initrd() -> String {
    let mut text = String::new();
    let dir = checkout().join("initrd");
    let files = fs::read_dir(dir).expect("initrd").map(|entry| entry.expect("an entry").path());
    let mut files = files.filter(|path| path.is_file()).collect::<Vec<_>>();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end != "md")) {
        let content = fs::read_to_string(path).expect("a file of initrd");
        let name = path.file_name().expect("a name").to_string_lossy();
        let mut found = String::new();
        if name == "checks.nix" {
            for message in content.split("''").skip(1).step_by(2) {
                let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
                let _ = write!(found, "{}\n\n", lines.collect::<Vec<_>>().join("\n"));
            }
        }
        for line in content.lines().map(str::trim) {
            let said = line.strip_prefix("echo \"").and_then(|said| said.strip_suffix('"'));
            if let Some(said) = said.or_else(|| line.strip_prefix("Description=")) {
                found += &folded(&format!("{said}\n"), 0);
            }
        }
        if !found.is_empty() {
            let _ = write!(text, "[initrd/{name}]\n{found}");
        }
    }
    text
}

fn all() -> Vec<Message> {
    let mut all = messages(&sources());
    let hidden = |text: &str| NOT_SHOWN.iter().any(|(hidden, _)| *hidden == text);
    all.retain(|message| message.path != SCRIPTS);
    all.retain(|message| !message.parts.iter().flatten().all(|text| hidden(text)));
    all
}

#[test]
fn every_message_is_in_the_file() {
    let (path, want) = (checkout().join("tests/text/messages.txt"), snapshot(&all()));
    if std::env::var_os("MESSAGES").is_some_and(|word| word == "write") {
        fs::write(&path, &want).expect("messages.txt is written");
    }
    let have = fs::read_to_string(&path).expect("messages.txt");
    let missing: Vec<_> = want.lines().filter(|line| !have.contains(line)).collect();
    let gone: Vec<_> = have.lines().filter(|line| !want.contains(line)).collect();
    assert!(
        have == want,
        "not in messages.txt: {missing:#?}\nthere too much: {gone:#?}\nRead them, then MESSAGES=write"
    );
}

#[test]
fn what_is_filled_in_has_a_value_to_show() {
    let names = filled_in(&all());
    let without = names.iter().filter(|(path, name)| sample(path, name).is_none());
    assert_eq!(without.collect::<Vec<_>>(), [] as [&(String, String); 0], "add it to samples.rs");
    assert_eq!(unused(&names), [] as [&str; 0], "remove it from samples.rs");
}

/// On a console of 80 columns no line is broken within a word, but for a word that
/// is longer than what is left beside the indentation.
#[test]
fn no_line_is_wider_than_a_console() {
    let text = snapshot(&all()) + &help();
    for line in text.lines().filter(|line| line.chars().count() > WIDTH) {
        assert_eq!(line.split_whitespace().count(), 1, "{line}");
    }
}

/// What `--help` says, of every command.
fn help() -> String {
    let mut command = grammar().term_width(WIDTH);
    command.build();
    let mut text = command.render_long_help().to_string();
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        text += &sub.render_long_help().to_string();
    }
    text
}

/// Refusals and findings: what was found, the consequence, the fix.
#[test]
fn what_stops_somebody_has_its_three_parts() {
    let mut seen = 0;
    for message in all() {
        let parts = match message.kind {
            Kind::Blocker if message.parts.len() == 1 => continue, // of a closure with the rest
            Kind::Refusal | Kind::Blocker => 3,
            Kind::Stop if message.path.starts_with("src/prepare") => 3,
            Kind::Warning if message.path.starts_with("src/check") => 3,
            Kind::Unchecked => 2, // what could not be seen has no known consequence
            _ => continue,
        };
        seen += 1;
        assert_eq!(message.parts.len(), parts, "{message:?}");
        for (at, text) in message
            .parts
            .iter()
            .enumerate()
            .flat_map(|(at, part)| part.iter().map(move |text| (at, text)))
        {
            assert!(!text.is_empty(), "{message:?}");
            // The program writes them one behind the other, each a sentence.
            assert!(!text.ends_with(['.', ' ', '\n']), "{text}");
            let starts_small = text.starts_with(char::is_lowercase);
            if at > 0 && at + 1 < parts {
                assert!(!starts_small, "a consequence is a sentence: {text}");
            }
            // A fix in small letters is something to type.
            let types = ["=", "chmod", "chown", "rm ", "nix-", "swapoff"]
                .iter()
                .any(|word| text.contains(word));
            if at > 0 && at + 1 == parts {
                assert!(!starts_small || types, "a fix says what to do: {text}");
            }
        }
    }
    assert!(seen > 150, "{seen}");
}

#[test]
fn no_message_needs_a_developer() {
    for message in all() {
        for text in message.parts.iter().flatten() {
            let fixed: String = text
                .split('⟨')
                .map(|piece| piece.rsplit('⟩').next().unwrap_or_default())
                .collect::<Vec<_>>()
                .join(" ");
            let words =
                fixed.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '/' && c != '.');
            let words =
                format!(" {} ", words.filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" "));
            for word in JARGON {
                assert!(
                    !words.contains(&format!(" {word} ")),
                    "'{word}' in {}: {text}",
                    message.path
                );
            }
            assert!(
                !text.contains(":?"),
                "a value as a developer sees it, in {}: {text}",
                message.path
            );
        }
    }
}

/// What a message tells to type is understood by the program.
#[test]
fn commands_in_messages_exist() {
    let text = snapshot(&all());
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut seen, mut commands) = (0, grammar());
    commands.build();
    for piece in text.split("nixos-lustrate ").skip(1) {
        let mut words =
            piece.split(' ').map(|word| word.trim_end_matches(['.', ',', ';', ':', ')']));
        let Some(sub) = words.next().and_then(|word| commands.find_subcommand(word)) else {
            continue;
        };
        for option in words.take_while(|word| word.starts_with("--") || word.starts_with('/')) {
            let Some(option) = option.strip_prefix("--") else { continue };
            assert!(
                sub.get_arguments().any(|known| known.get_long() == Some(option)),
                "{piece:.60}"
            );
        }
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}
