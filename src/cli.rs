//! The command line of the full build, by clap: the same language as
//! [`crate::options`], and `--json`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::check::{self, DefaultKeep, Form};
use crate::error::Error;
use crate::exchange::Boot;
use crate::options::{Command, Options, keep};
use crate::prepare;
use crate::purge::age::Age;
use crate::purge::facts::Wishes;
use crate::purge::{Consent, Purge};

/// Install NixOS in place: exchange what is in a root file system.
#[derive(Debug, Parser)]
#[command(name = "nixos-lustrate", version, max_term_width = 80, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    command: Sub,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say less
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    quiet: u8,
}

const AFTER: &str = "Exit status: 0 done, or nothing to do; 1 stopped part-way; \
    2 wrong usage; 3 refused, nothing touched.";

#[derive(Debug, Subcommand)]
enum Sub {
    /// Lustrate, or go on with it: move all but what is kept to /old-root
    Run {
        #[command(flatten)]
        root: Root,
        #[command(flatten)]
        keep: Keep,
        /// The ID= in os-release that the guard accepts
        #[arg(long, value_name = "ID", default_value = "nixos")]
        system_id: String,
        /// Do not ask to whom a root without a marker belongs
        #[arg(long)]
        no_guard: bool,
    },
    /// Say what run would do; nothing is written
    Plan {
        #[command(flatten)]
        root: Root,
        #[command(flatten)]
        keep: Keep,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how far it is, and what is where
    Status {
        #[command(flatten)]
        root: Root,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring the old system back; what NixOS wrote goes to /nixos-root
    Revert {
        #[command(flatten)]
        root: Root,
        /// Leave /boot and /boot.bak where they are
        #[arg(long)]
        keep_boot: bool,
    },
    /// Remove old roots, and what an interrupted purge left
    Purge {
        /// Only these: old-root, old-root-TIME, or nixos-root (never without a name)
        #[arg(value_name = "NAME", conflicts_with_all = ["keep", "older_than"])]
        names: Vec<OsString>,
        #[command(flatten)]
        root: Root,
        /// The newest N stay
        #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
        keep: usize,
        /// Only those whose lustration is longer ago: 30d, 12h, 2w
        #[arg(long, value_name = "AGE", value_parser = Age::parse)]
        older_than: Option<Age>,
        /// Do not ask
        #[arg(short, long, conflicts_with = "dry_run")]
        yes: bool,
        /// Say what would be removed; nothing is
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// As JSON, with --yes or --dry-run
        #[arg(long)]
        json: bool,
    },
    /// Say whether this machine can become NixOS; nothing is written
    Check {
        /// The root file system of the old distribution
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
        /// The built system: a profile or a store path
        #[arg(long, value_name = "PATH", default_value = crate::host::closure::PROFILE)]
        system: PathBuf,
        /// Keep PATH too, besides the default keepers
        #[arg(long = "keep", value_name = "PATH")]
        keep: Vec<OsString>,
        /// Keep only what --keep names
        #[arg(long)]
        no_default_keep: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make this machine boot into NixOS the next time, and lustrate
    Prepare(Prepare),
    /// Undo prepare, until the reboot
    Cancel {
        /// The root file system of the old distribution
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is an option of its own
struct Prepare {
    /// The root file system of the old distribution
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The built system: a profile or a store path
    #[arg(long, value_name = "PATH", default_value = crate::host::closure::PROFILE)]
    system: PathBuf,
    /// Keep PATH too, which may have wildcards, besides the default keepers
    #[arg(long = "keep", value_name = "PATH")]
    keep: Vec<OsString>,
    /// Keep only what --keep names
    #[arg(long)]
    no_default_keep: bool,
    /// Go on although check has found this blocker
    #[arg(long, value_name = "CHECK")]
    despite: Vec<String>,
    /// Remove the old boot loader's files from the ESP; cancel brings them back
    #[arg(long)]
    clear_esp: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Reboot at the end
    #[arg(long)]
    reboot: bool,
    /// Say what would be done; nothing is written
    #[arg(long)]
    dry_run: bool,
}

impl Prepare {
    fn options(self) -> Result<prepare::Options, Error> {
        Ok(prepare::Options {
            root: self.root,
            system: self.system,
            keep: self.keep.iter().map(keep).collect::<Result<_, _>>()?,
            default_keep: if self.no_default_keep { DefaultKeep::No } else { DefaultKeep::Yes },
            despite: self.despite,
            flags: prepare::Flags {
                yes: self.yes,
                reboot: self.reboot,
                dry_run: self.dry_run,
                clear_esp: self.clear_esp,
            },
        })
    }
}

#[derive(Debug, Args)]
struct Root {
    /// The root file system [default: /sysroot in an initrd, / elsewhere]
    #[arg(long = "root", value_name = "DIR")]
    path: Option<OsString>,
}

#[derive(Debug, Args)]
struct Keep {
    /// Keep PATH too, as if the marker listed it
    #[arg(long = "keep", value_name = "PATH")]
    paths: Vec<OsString>,
    /// Without a marker too; only --keep is kept
    #[arg(long)]
    always: bool,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// How much is logged, from -2 to 2.
    pub verbosity: i8,
    /// The command.
    pub request: Request,
}

/// A command with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// One that the small build has too.
    Engine(Options),
    /// `purge`.
    Purge(Purge),
    /// `check`.
    Check(Box<check::Options>, Form),
    /// `prepare`.
    Prepare(Box<prepare::Options>),
    /// `cancel`.
    Cancel(prepare::cancel::Options),
}

impl Request {
    /// Does it.
    ///
    /// # Errors
    /// Why it did not do what it was asked.
    pub fn carry_out(&self) -> Result<(), Error> {
        match self {
            Self::Engine(options) => crate::app::command(options),
            Self::Purge(purge) => purge.carry_out(),
            Self::Check(options, form) => check::command(options, *form),
            Self::Prepare(options) => prepare::command(options),
            Self::Cancel(options) => prepare::cancel::command(options),
        }
    }
}

/// Parses the arguments behind the program's name.
///
/// # Errors
/// [`Error::Usage`]; and [`Error::Shown`] for help and version.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Error> {
    let name = OsString::from("nixos-lustrate");
    let parsed = Cli::try_parse_from(std::iter::once(name).chain(arguments));
    let cli = parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Error::Shown(error.to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Error::Usage("no command given".to_owned())
        }
        _ => Error::Usage(what_is_wrong(&error.to_string())),
    })?;
    let mut options = Options::default();
    let verbosity = i16::from(cli.verbose) - i16::from(cli.quiet);
    let verbosity = i8::try_from(verbosity.clamp(-2, 2)).unwrap_or(0);
    options.verbosity = verbosity;
    let mut keeps = None;
    let root = match cli.command {
        Sub::Run { root, keep, system_id, no_guard } => {
            options.command = Command::Run;
            options.guard = (!no_guard).then_some(system_id);
            keeps = Some(keep);
            root
        }
        Sub::Plan { root, keep, json } => {
            options.command = Command::Plan;
            options.json = json;
            keeps = Some(keep);
            root
        }
        Sub::Status { root, json } => {
            options.command = Command::Status;
            options.json = json;
            root
        }
        Sub::Revert { root, keep_boot } => {
            options.command = Command::Revert;
            options.boot = if keep_boot { Boot::Keep } else { Boot::Exchange };
            root
        }
        Sub::Purge { names, root, keep, older_than, yes, dry_run, json } => {
            let consent = match (yes, dry_run) {
                (_, true) => Consent::DryRun,
                (true, _) => Consent::Given,
                _ if json => {
                    return Err(Error::Usage("--json needs --yes or --dry-run".to_owned()));
                }
                _ => Consent::Ask,
            };
            let names = names.into_iter().map(OsString::into_vec).collect();
            let wishes = Wishes { names, keep, older_than };
            let request = Request::Purge(Purge { root: root.path, wishes, consent, json });
            return Ok(Invocation { verbosity, request });
        }
        Sub::Check { root, system, keep: paths, no_default_keep, json } => {
            let mut options = check::Options::new(root);
            options.system = system;
            options.keep = paths.iter().map(keep).collect::<Result<_, _>>()?;
            if no_default_keep {
                options.default_keep = DefaultKeep::No;
            }
            let form = if json { Form::Json } else { Form::Text };
            return Ok(Invocation { verbosity, request: Request::Check(Box::new(options), form) });
        }
        Sub::Prepare(prepare) => {
            let options = Box::new(prepare.options()?);
            return Ok(Invocation { verbosity, request: Request::Prepare(options) });
        }
        Sub::Cancel { root, yes } => {
            let options = prepare::cancel::Options { root, yes };
            return Ok(Invocation { verbosity, request: Request::Cancel(options) });
        }
    };
    options.root = root.path;
    if let Some(Keep { paths, always }) = keeps {
        options.always = always;
        options.keep = paths.iter().map(keep).collect::<Result<_, _>>()?;
    }
    options.check()?;
    Ok(Invocation { verbosity, request: Request::Engine(options) })
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
            let small = crate::options::parse(words()).map(Request::Engine);
            match (&full, &small) {
                (Err(Error::Usage(_)), Err(Error::Usage(_))) => {}
                _ => assert_eq!(full, small, "{line}"),
            }
        }
    }

    #[test]
    fn every_option_is_in_the_help_of_the_small_build() {
        let command = <Cli as clap::CommandFactory>::command();
        // The others are for a running system, with the full build.
        let small = |name: &str| ["run", "plan", "status", "revert"].contains(&name);
        for sub in command.get_subcommands().filter(|sub| small(sub.get_name())) {
            assert!(crate::options::HELP.contains(&format!("nixos-lustrate {}", sub.get_name())));
            for option in sub.get_arguments().filter_map(clap::Arg::get_long) {
                let known = ["help", "json"].contains(&option);
                assert!(known || crate::options::HELP.contains(&format!("--{option}")), "{option}");
            }
        }
    }
}
