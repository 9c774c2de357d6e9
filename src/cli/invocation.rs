//! The command line of the full build, by clap: the same language as
//! [`crate::cli::options`], and more.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::completions;
use super::grammar::Cli;
use super::request::Request;
use crate::error::Error;
use crate::term::print;
use crate::{check, prepare};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// How much is logged, from -2 to 2.
    pub verbosity: i8,
    /// The command.
    pub(crate) request: Request,
}

impl Invocation {
    /// Does it.
    ///
    /// # Errors
    /// Why it did not do what it was asked.
    pub fn carry_out(&self) -> Result<(), Error> {
        match &self.request {
            Request::Engine(options) => super::engine(options),
            Request::Purge(purge) => purge.carry_out(),
            Request::Check(options, form) => check::command(options, *form),
            Request::Prepare(options) => prepare::command(options),
            Request::Cancel(options) => prepare::cancel::command(options),
            Request::Completions(shell) => print(&completions::script(*shell, grammar())),
            Request::Show(text) => print(text),
        }
    }
}

/// Parses the arguments behind the program's name.
///
/// # Errors
/// [`Error::Usage`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Error> {
    let name = OsString::from("nixos-lustrate");
    let parsed = Cli::try_parse_from(std::iter::once(name).chain(arguments));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Ok(Invocation { verbosity: 0, request: Request::Show(error.to_string()) })
                }
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                    Err(Error::Usage("no command given".to_owned()))
                }
                _ => Err(Error::Usage(what_is_wrong(&error.to_string()))),
            };
        }
    };
    let verbosity = i16::from(cli.verbose) - i16::from(cli.quiet);
    let verbosity = i8::try_from(verbosity.clamp(-2, 2)).unwrap_or(0);
    Ok(Invocation { verbosity, request: cli.command.request(verbosity)? })
}

/// The words of the command line, for documents that have to name them all.
#[must_use]
pub fn grammar() -> clap::Command {
    Cli::command()
}

/// What clap says, without its usage line: `--help` tells that better.
fn what_is_wrong(said: &str) -> String {
    let wrong = said.split("\n\nUsage:").next().unwrap_or(said);
    let wrong = wrong.split("\n\nFor more information").next().unwrap_or(wrong);
    let wrong = wrong.trim_start_matches("error: ").trim_end();
    wrong.replace("\n\n  tip: ", "\nTip: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parsers_speak_the_same_language() {
        for line in [
            "run",
            "run --root /mnt --keep etc/nixos --keep=/home/ --always -v",
            "run --root=/mnt --no-guard --system-id=mine -q",
            "run --system-id",
            "run --complete",
            "plan --complete",
            "plan --keep a/../b",
            "plan --root /x -v",
            "status --root /x",
            "status --keep x",
            "revert --keep-boot --root /x",
            "revert --always",
            "run --json",
            "run extra",
            "rum",
            "",
            "plan --no-guard",
        ] {
            let words = || line.split_whitespace().map(OsString::from);
            let full = parse(words()).map(|invocation| invocation.request);
            let small = crate::cli::options::parse(words()).map(Request::Engine);
            match (&full, &small) {
                (Err(Error::Usage(_)), Err(Error::Usage(_))) => {}
                _ => assert_eq!(full, small, "{line}"),
            }
        }
    }

    #[test]
    fn every_option_is_in_the_help_of_the_small_build() {
        let command = grammar();
        // The others are for a running system, with the full build.
        let small = |name: &str| ["run", "plan", "status", "revert"].contains(&name);
        for sub in command.get_subcommands().filter(|sub| small(sub.get_name())) {
            assert!(
                crate::cli::options::HELP.contains(&format!("nixos-lustrate {}", sub.get_name()))
            );
            for option in sub.get_arguments().filter_map(clap::Arg::get_long) {
                let known = ["help", "json", "complete"].contains(&option);
                assert!(
                    known || crate::cli::options::HELP.contains(&format!("--{option}")),
                    "{option}"
                );
            }
        }
    }
}
