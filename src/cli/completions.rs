//! Completions for shells, as a script that asks nothing of this program. The
//! one for bash is our own: that of clap completes nothing behind a subcommand
//! of a program with a `-` in its name (<https://github.com/clap-rs/clap/issues/6421>),
//! and knows neither `--root=DIR` nor a directory with a space. To those for zsh
//! and fish we add what clap leaves out: the old roots that are there, and for fish
//! any word that is no option's.

use std::fmt::Write;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Command, ValueEnum, ValueHint};
use clap_complete::Generator;

use crate::check::ids::IDS;

/// A shell that completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)] // clap would show it behind each name
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The script for a shell.
#[must_use]
pub(super) fn script(shell: Shell, grammar: Command) -> String {
    let mut command = grammar.mut_subcommand("prepare", |prepare| {
        // Only here: which id blocks is for prepare to say, when it has looked.
        let ids = PossibleValuesParser::new(IDS.iter().map(|(id, _)| *id));
        prepare.mut_arg("despite", |despite| despite.value_parser(ids))
    });
    command.set_bin_name(command.get_name().to_owned());
    command.build();
    match shell {
        Shell::Bash => bash(&command),
        Shell::Zsh => zsh(&by_clap(&clap_complete::Shell::Zsh, &command)),
        Shell::Fish => {
            let script = by_clap(&clap_complete::Shell::Fish, &command) + &fish(&command);
            script + include_str!("completions/old-roots.fish")
        }
    }
}

fn by_clap(generator: &impl Generator, command: &Command) -> String {
    let mut script = Vec::new();
    generator.generate(command, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// With a function for the names of `purge`, in place of the files that clap
/// offers for what it has no word for.
fn zsh(script: &str) -> String {
    let mut with = String::with_capacity(script.len());
    for line in script.split_inclusive('\n') {
        if line == "_nixos-lustrate() {\n" {
            with.push_str(include_str!("completions/old-roots.zsh"));
        }
        match line.strip_suffix(":_default' \\\n") {
            Some(names) if names.starts_with("'*::names ") => {
                with.push_str(names);
                with.push_str(":_nixos-lustrate_old_roots' \\\n");
            }
            _ => with.push_str(line),
        }
    }
    with
}

/// The words that are no values of options: clap has none of those behind a command.
fn fish(command: &Command) -> String {
    let mut script = String::new();
    for sub in command.get_subcommands() {
        if let Some(Values::Words(words)) = Values::behind(sub) {
            let behind = format!("__fish_nixos_lustrate_using_subcommand {}", sub.get_name());
            let _ = writeln!(script, "complete -c nixos-lustrate -n \"{behind}\" -a \"{words}\"");
        }
    }
    script
}

/// What a shell offers for a value.
enum Values {
    Words(String),
    Directories,
    Files,
    OldRoots,
    /// Nobody can guess it.
    Any,
}

impl Values {
    fn of(arg: &Arg) -> Self {
        if arg.get_id() == "names" {
            return Self::OldRoots;
        }
        let words = arg.get_possible_values();
        match arg.get_value_hint() {
            _ if !words.is_empty() => {
                let names: Vec<_> = words.iter().map(PossibleValue::get_name).collect();
                Self::Words(names.join(" "))
            }
            ValueHint::DirPath => Self::Directories,
            ValueHint::AnyPath => Self::Files,
            _ => Self::Any,
        }
    }

    /// What belongs to the command itself; none where it has only options.
    fn behind(command: &Command) -> Option<Self> {
        let subcommands: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        match command.get_positionals().next() {
            Some(positional) => Some(Self::of(positional)),
            None if subcommands.is_empty() => None,
            None => Some(Self::Words(subcommands.join(" "))),
        }
    }

    fn assignment(&self) -> String {
        match self {
            Self::Words(words) => format!("kind=words words='{words}'"),
            Self::Directories => "kind=directories".to_owned(),
            Self::Files => "kind=files".to_owned(),
            Self::OldRoots => "kind=old-roots".to_owned(),
            Self::Any => "kind=any".to_owned(),
        }
    }
}

/// A table of the commands between code that is the same for each.
fn bash(command: &Command) -> String {
    let mut script = include_str!("completions/head.bash").to_owned();
    script.push_str("    case $command in\n");
    branch(&mut script, "''", command);
    for sub in command.get_subcommands() {
        branch(&mut script, sub.get_name(), sub);
    }
    script.push_str("    esac\n");
    script.push_str(include_str!("completions/tail.bash"));
    script
}

/// What to offer behind a command: for the words that belong to it, and for the
/// value of each of its options.
fn branch(script: &mut String, name: &str, command: &Command) {
    let options: Vec<_> = command.get_opts().chain(flags(command)).flat_map(names).collect();
    let words = Values::behind(command).unwrap_or_else(|| Values::Words(options.join(" ")));
    let _ = writeln!(script, "        {name})");
    let _ = writeln!(script, "            options='{}'", options.join(" "));
    let _ = writeln!(script, "            {}", words.assignment());
    if command.get_opts().next().is_some() {
        script.push_str("            case $option in\n");
        for option in command.get_opts() {
            let (names, values) = (names(option).join("|"), Values::of(option));
            let _ = writeln!(script, "                {names}) {} ;;", values.assignment());
        }
        script.push_str("            esac\n");
    }
    script.push_str("            ;;\n");
}

/// The options that take no value.
fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_positional() && !arg.get_action().takes_values())
}

fn names(option: &Arg) -> Vec<String> {
    let long = option.get_long().map(|long| format!("--{long}"));
    let short = option.get_short().map(|short| format!("-{short}"));
    long.into_iter().chain(short).collect()
}
