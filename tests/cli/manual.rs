//! The manual page against the command line: nothing is missing in it, and it
//! names nothing that does not exist.

use std::collections::BTreeSet;

use nixos_lustrate::cli::grammar;

const PAGE: &str = include_str!("../../src/man/nixos-lustrate.8");

/// The options of all commands, long and short, without dashes.
fn options() -> BTreeSet<String> {
    let mut command = grammar();
    command.build();
    let mut all: Vec<_> = command.get_arguments().cloned().collect();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        all.extend(sub.get_arguments().cloned());
    }
    let long = all.iter().filter_map(|arg| arg.get_long()).map(str::to_owned);
    let short = all.iter().filter_map(clap::Arg::get_short).map(String::from);
    long.chain(short).collect()
}

/// What the page calls an option: `Fl -long`, `Fl s`.
fn named() -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for line in PAGE.lines().filter(|line| line.starts_with('.')) {
        let words: Vec<&str> = line.split([' ', ',', ';', '.']).filter(|w| !w.is_empty()).collect();
        let mut is_flag = false;
        for word in words {
            match word {
                "Fl" => is_flag = true,
                "Ar" | "Op" | "Ns" | "Pc" | "|" => is_flag = false,
                word if is_flag => {
                    named.insert(word.trim_start_matches('-').to_owned());
                }
                _ => {}
            }
        }
    }
    named
}

#[test]
fn the_manual_names_each_option_and_no_other() {
    assert_eq!(named(), options());
}

#[test]
fn the_manual_has_each_command_in_both_places() {
    for sub in grammar().get_subcommands() {
        let name = sub.get_name();
        let (synopsis, rest) = PAGE.split_once(".Sh DESCRIPTION").expect("a description");
        let line = format!(".Cm {name}\n");
        assert!(synopsis.contains(&line), "{name} is not in the synopsis");
        assert!(rest.contains(&format!(".It Cm {name}\n")), "{name} is not described");
    }
}
