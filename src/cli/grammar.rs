//! The words of the command line, for clap, and what they ask for.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::check::{self, DefaultKeep};
use crate::cli::completions::Shell;
use crate::cli::options::{Command, Options, keep};
use crate::cli::request::Request;
use crate::engine::exchange::Boot;
use crate::error::Error;
use crate::prepare;
use crate::purge::age::Age;
use crate::purge::facts::Choice;
use crate::purge::{Consent, Purge};
use crate::term::Form;

/// Install NixOS in place: exchange what is in a root file system.
#[derive(Debug, Parser)]
#[command(name = "nixos-lustrate", version, max_term_width = 80, after_help = AFTER)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Sub,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Say less
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) quiet: u8,
}

const AFTER: &str = "Exit status: 0 done, or nothing to do; 1 stopped part-way; \
    2 wrong usage; 3 refused, nothing touched.";

#[derive(Debug, Subcommand)]
pub(super) enum Sub {
    /// Say whether this machine can become NixOS; nothing is written
    Check {
        /// The root file system of the old distribution
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "/")]
        root: PathBuf,
        /// The built system: a profile or a store path
        #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, default_value = crate::system::closure::PROFILE)]
        system: PathBuf,
        /// Keep PATH too, besides the default keepers
        #[arg(long = "keep", value_name = "PATH", value_hint = ValueHint::AnyPath)]
        keep: Vec<OsString>,
        /// Keep only what --keep names
        #[arg(long)]
        no_default_keep: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make this machine boot into NixOS the next time, and lustrate
    Prepare(PrepareArgs),
    /// Undo prepare, until the reboot
    Cancel {
        /// The root file system of the old distribution
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "/")]
        root: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Lustrate, or go on with it: move all but what is kept to /old-root
    Run {
        #[command(flatten)]
        root: RootArg,
        #[command(flatten)]
        keep: KeepArgs,
        /// Take up a stock lustration that stopped while it copied keepers; not in a boot
        #[arg(long)]
        complete: bool,
        /// The ID= in os-release that the guard accepts
        #[arg(long, value_name = "ID", value_hint = ValueHint::Other, default_value = "nixos")]
        system_id: String,
        /// Do not ask to whom a root without a marker belongs
        #[arg(long)]
        no_guard: bool,
    },
    /// Say what run would do; nothing is written
    Plan {
        #[command(flatten)]
        root: RootArg,
        #[command(flatten)]
        keep: KeepArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how far it is, and what is where
    Status {
        #[command(flatten)]
        root: RootArg,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring the old system back; what NixOS wrote goes to /nixos-root
    Revert {
        #[command(flatten)]
        root: RootArg,
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
        root: RootArg,
        /// The newest N stay
        #[arg(long, value_name = "N", value_hint = ValueHint::Other, default_value = "0", hide_default_value = true)]
        keep: usize,
        /// Only those whose lustration is longer ago: 30d, 12h, 2w
        #[arg(long, value_name = "AGE", value_hint = ValueHint::Other, value_parser = Age::parse)]
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
    /// Print completions for a shell
    Completions {
        /// For which
        shell: Shell,
    },
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is an option of its own
pub(super) struct PrepareArgs {
    /// The root file system of the old distribution
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "/")]
    root: PathBuf,
    /// The built system: a profile or a store path
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, default_value = crate::system::closure::PROFILE)]
    system: PathBuf,
    /// Keep PATH too, which may have wildcards, besides the default keepers
    #[arg(long = "keep", value_name = "PATH", value_hint = ValueHint::AnyPath)]
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

#[derive(Debug, Args)]
pub(super) struct RootArg {
    /// The root file system [default: /sysroot in an initrd, / elsewhere]
    #[arg(long = "root", value_name = "DIR", value_hint = ValueHint::DirPath)]
    path: Option<OsString>,
}

#[derive(Debug, Args)]
pub(super) struct KeepArgs {
    /// Keep PATH too, as if the marker listed it
    #[arg(long = "keep", value_name = "PATH", value_hint = ValueHint::AnyPath)]
    paths: Vec<OsString>,
    /// Without a marker too; only --keep is kept
    #[arg(long)]
    always: bool,
}

impl Sub {
    /// What is asked for; `verbosity` is for the commands that log.
    pub(super) fn request(self, verbosity: i8) -> Result<Request, Error> {
        let engine = |command, root: RootArg| Options {
            command,
            root: root.path,
            verbosity,
            ..Options::default()
        };
        let options = match self {
            Self::Run { root, keep, complete, system_id, no_guard } => {
                let guard = (!no_guard).then_some(system_id);
                keep.add_to(Options { complete, guard, ..engine(Command::Run, root) })?
            }
            Self::Plan { root, keep, json } => {
                keep.add_to(Options { form: form(json), ..engine(Command::Plan, root) })?
            }
            Self::Status { root, json } => {
                Options { form: form(json), ..engine(Command::Status, root) }
            }
            Self::Revert { root, keep_boot } => {
                let boot = if keep_boot { Boot::Keep } else { Boot::Exchange };
                Options { boot, ..engine(Command::Revert, root) }
            }
            Self::Purge { names, root, keep, older_than, yes, dry_run, json } => {
                let consent = match (yes, dry_run) {
                    (_, true) => Consent::DryRun,
                    (true, _) => Consent::Given,
                    _ if json => {
                        return Err(Error::Usage("--json needs --yes or --dry-run".to_owned()));
                    }
                    _ => Consent::Ask,
                };
                let names = names.into_iter().map(OsString::into_vec).collect();
                let wishes = Choice { names, keep, older_than };
                return Ok(Request::Purge(Purge { root: root.path, wishes, consent, json }));
            }
            Self::Check { root, system, keep: paths, no_default_keep, json } => {
                let mut options = check::Examine::new(root);
                options.system = system;
                options.keep = paths.iter().map(keep).collect::<Result<_, _>>()?;
                if no_default_keep {
                    options.default_keep = DefaultKeep::No;
                }
                return Ok(Request::Check(Box::new(options), form(json)));
            }
            Self::Prepare(prepare) => return Ok(Request::Prepare(Box::new(prepare.options()?))),
            Self::Cancel { root, yes } => {
                return Ok(Request::Cancel(prepare::cancel::Cancel { root, yes }));
            }
            Self::Completions { shell } => return Ok(Request::Completions(shell)),
        };
        options.check()?;
        Ok(Request::Engine(options))
    }
}

fn form(json: bool) -> Form {
    if json { Form::Json } else { Form::Text }
}

impl PrepareArgs {
    fn options(self) -> Result<prepare::Prepare, Error> {
        Ok(prepare::Prepare {
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

impl KeepArgs {
    fn add_to(self, options: Options) -> Result<Options, Error> {
        let paths = self.paths.iter().map(keep).collect::<Result<_, _>>()?;
        Ok(Options { keep: paths, always: self.always, ..options })
    }
}
