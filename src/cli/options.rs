//! The command line: what was asked for, and the parser of the small build.
//!
//! The full build parses with clap (`cli.rs`); a test holds the two together.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::engine::exchange::Boot;
use crate::engine::keeplist;
use crate::error::Error;
use crate::fs::name::{RelPath, Shown};
use crate::term::Form;

/// The commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Lustrate, or go on with it.
    Run,
    /// Say what `run` would do.
    Plan,
    /// Say what state the root is in.
    Status,
    /// Bring the old population back.
    Revert,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The command.
    pub command: Command,
    /// `--root`.
    pub root: Option<OsString>,
    /// `--keep`.
    pub keep: Vec<RelPath>,
    /// `--always`.
    pub always: bool,
    /// `--complete`.
    pub complete: bool,
    /// `--keep-boot`.
    pub boot: Boot,
    /// `--system-id`: the `ID=` of the system that this initrd boots, for the
    /// guard; `None` with `--no-guard`.
    pub guard: Option<String>,
    /// `--json`.
    pub form: Form,
    /// Each `-v` adds one, each `-q` takes one away.
    pub verbosity: i8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            command: Command::Help,
            root: None,
            keep: Vec::new(),
            always: false,
            complete: false,
            boot: Boot::Exchange,
            guard: Some(SYSTEM_ID.to_owned()),
            form: Form::Text,
            verbosity: 0,
        }
    }
}

/// The `ID=` of NixOS's os-release.
pub(crate) const SYSTEM_ID: &str = "nixos";

/// The help text of the small build.
pub(crate) const HELP: &str = "\
Install NixOS in place: exchange what is in a root file system

nixos-lustrate run    [--root DIR] [--keep PATH]...  do it, or go on with it
nixos-lustrate plan   [--root DIR] [--keep PATH]...  say what run would do
nixos-lustrate status [--root DIR]                   say how far it is
nixos-lustrate revert [--root DIR] [--keep-boot]     bring the old system back

  --root DIR      the root file system (default: /sysroot in an initrd, or /)
  --keep PATH     keep PATH too, as if it were in /etc/NIXOS_LUSTRATE
  --always        run without a marker; only --keep is kept
  --keep-boot     leave /boot and /boot.bak where they are
  --system-id ID  the ID= in os-release that the guard accepts (default: nixos)
  --no-guard      do not ask to whom a root without a marker belongs
  -v, -q          say more, say less
  -h, --help      this text
  -V, --version   the version

Exit status: 0 done, or nothing to do; 1 stopped part-way; 2 wrong usage;
3 refused, nothing touched.
";

/// Parses the arguments behind the program's name.
///
/// # Errors
/// [`Error::Usage`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Options, Error> {
    let mut options = Options::default();
    let mut command = None;
    let mut words = arguments.into_iter();
    while let Some(word) = words.next() {
        let (name, given) = halves(word.as_bytes());
        let option = Shown(name);
        let mut value = || {
            let given = given.map(|bytes| OsStr::from_bytes(bytes).to_owned());
            let value = given.or_else(|| words.next());
            value.ok_or_else(|| Error::Usage(format!("'{option}' needs a value")))
        };
        match name {
            b"--root" => options.root = Some(value()?),
            b"--keep" => options.keep.push(keep(&value()?)?),
            b"--system-id" => {
                let id = value()?.to_string_lossy().into_owned();
                options.guard = options.guard.map(|_| id);
            }
            b"--json" => return lacks("--json"),
            #[cfg(not(feature = "full"))]
            b"--complete" => return lacks("--complete"),
            _ if given.is_some() => {
                return Err(Error::Usage(format!("'{option}' takes no value")));
            }
            #[cfg(feature = "full")] // held to the other parser by a test
            b"--complete" => options.complete = true,
            b"--always" => options.always = true,
            b"--keep-boot" => options.boot = Boot::Keep,
            b"--no-guard" => options.guard = None,
            [b'-', letters @ ..] if !letters.is_empty() => {
                let letters = match letters {
                    b"-help" => b"h",
                    b"-version" => b"V",
                    b"-verbose" => b"v",
                    b"-quiet" => b"q",
                    letters => letters,
                };
                for letter in letters {
                    options.verbosity = match letter {
                        b'h' => return Ok(Options { command: Command::Help, ..options }),
                        b'V' => return Ok(Options { command: Command::Version, ..options }),
                        b'v' => options.verbosity.saturating_add(1),
                        b'q' => options.verbosity.saturating_sub(1),
                        _ => return Err(Error::Usage(format!("there is no option '{option}'"))),
                    };
                }
            }
            _ if command.is_none() => command = Some(named(&word)?),
            _ => {
                let word = Shown(word.as_bytes());
                return Err(Error::Usage(format!("there is one word too many, '{word}'")));
            }
        }
    }
    let command = command.ok_or_else(|| Error::Usage("no command given".to_owned()))?;
    options.command = command;
    options.check()?;
    Ok(options)
}

impl Options {
    /// Refuses options that their command does not have.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self) -> Result<(), Error> {
        let takes_keep = matches!(self.command, Command::Run | Command::Plan);
        let given = [
            ("--keep", !self.keep.is_empty(), takes_keep),
            ("--always", self.always, takes_keep),
            ("--complete", self.complete, self.command == Command::Run),
            ("--keep-boot", self.boot == Boot::Keep, self.command == Command::Revert),
            ("--no-guard", self.guard.is_none(), self.command == Command::Run),
            ("--system-id", self.guard.as_deref() != Some(SYSTEM_ID), self.command == Command::Run),
        ];
        match given.iter().find(|(_, given, takes)| *given && !takes) {
            Some((option, ..)) => {
                let word = word(self.command);
                Err(Error::Usage(format!("'{word}' has no option {option}")))
            }
            None => Ok(()),
        }
    }
}

const COMMANDS: [(Command, &str); 4] = [
    (Command::Run, "run"),
    (Command::Plan, "plan"),
    (Command::Status, "status"),
    (Command::Revert, "revert"),
];

fn word(command: Command) -> &'static str {
    COMMANDS.iter().find(|(c, _)| *c == command).map_or("help", |(_, word)| word)
}

fn named(word: &OsString) -> Result<Command, Error> {
    let found = COMMANDS.iter().find(|(_, name)| word == name);
    found
        .map(|(command, _)| *command)
        .ok_or_else(|| Error::Usage(format!("there is no command '{}'", Shown(word.as_bytes()))))
}

/// The path of a `--keep`.
///
/// # Errors
/// [`Error::Usage`].
pub fn keep(value: &OsString) -> Result<RelPath, Error> {
    let bytes = value.as_bytes();
    keeplist::parse_path(bytes)
        .map_err(|why| Error::Usage(format!("the path '{}' of --keep {why}", Shown(bytes))))
}

fn lacks<T>(option: &str) -> Result<T, Error> {
    Err(Error::Usage(format!("this build has no {option}")))
}

/// The name and the value of `--name=value`.
fn halves(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    match word.iter().position(|&b| b == b'=') {
        Some(at) if word.starts_with(b"--") => (&word[..at], Some(&word[at + 1..])),
        _ => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_belong_to_their_commands() {
        assert!(parsed("run --keep etc/nixos --always --no-guard --system-id x -v").is_ok());
        for line in ["revert --keep x", "status --keep-boot", "plan --no-guard", "run --keep-boot"]
        {
            assert!(matches!(parsed(line), Err(Error::Usage(_))), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, text) in [
            ("", "no command given"),
            ("rum", "there is no command 'rum'"),
            ("run --kep x", "--kep"),
            ("run more", "more"),
            ("run --keep ../x", "'../x' of --keep has a '..'"),
            ("run --keep", "--keep"),
            ("run --always=x", "'--always' takes no value"),
            ("run -vx", "there is no option '-vx'"),
        ] {
            let error = parsed(line).expect_err(line);
            assert_eq!(error.status(), 2);
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
