//! What can go wrong, as types: *refused* (nothing touched) and *stopped*
//! (part-way) are different variants with different exit codes, not words.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use nix::errno::Errno;

/// A system call that failed. One pointer wide: it is in every `Result` of the
/// engine, and the code that passes it on is a good part of the initrd build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Failed to {} '{}': {}", self.0.op, self.0.path, self.0.errno.desc())]
pub struct OpError(Box<Failure>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    op: &'static str,
    path: String,
    errno: Errno,
}

impl OpError {
    /// What was attempted, to be read after "to"; the path, for a rename both,
    /// as shown; and the error number.
    #[must_use]
    pub fn new(op: &'static str, path: impl Into<String>, errno: Errno) -> Self {
        Self(Box::new(Failure { op, path: path.into(), errno }))
    }

    /// The error number.
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.0.errno
    }
}

/// Why an exchange that had begun did not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// A system call failed.
    #[error(transparent)]
    Op(#[from] OpError),
    /// The root is not as it has to be.
    #[error(transparent)]
    Root(#[from] Box<Trouble>),
}

/// What is wrong with a root that is being changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A file is where another has to go; both are left alone.
    #[error("Failed to move '{from}' to '{to}': a file of that name is there. Rename one of them")]
    Conflict {
        /// What should have moved.
        from: String,
        /// Where to.
        to: String,
    },
    /// The root changed under the exchange.
    #[error("{0}")]
    Changed(String),
    /// A reason with its three parts.
    #[cfg(feature = "full")]
    #[error("{0}")]
    Reason(Refusal),
    /// Somebody asked for it.
    #[cfg(feature = "full")]
    #[error("interrupted")]
    Interrupted,
}

impl Stop {
    /// The root changed under the exchange: how.
    #[must_use]
    pub fn changed(how: String) -> Self {
        Self::Root(Box::new(Trouble::Changed(how)))
    }

    /// What was found, what it leads to, and the fix: each a sentence without its
    /// full stop.
    #[cfg(feature = "full")]
    #[must_use]
    pub fn wrong(
        found: impl Into<Cow<'static, str>>,
        consequence: impl Into<Cow<'static, str>>,
        fix: impl Into<Cow<'static, str>>,
    ) -> Self {
        Refusal::new(found, consequence, fix).into()
    }

    /// Somebody asked for it: Ctrl-C, or the end of a session.
    #[cfg(feature = "full")]
    #[must_use]
    pub fn interrupted() -> Self {
        Self::Root(Box::new(Trouble::Interrupted))
    }

    /// What was found, without what it leads to.
    #[cfg(feature = "full")]
    #[must_use]
    pub fn found(&self) -> String {
        match self {
            Self::Root(trouble) => match &**trouble {
                Trouble::Reason(refusal) => refusal.found.to_string(),
                trouble => trouble.to_string(),
            },
            Self::Op(error) => error.to_string(),
        }
    }

    /// Whether there was no space left.
    #[cfg(feature = "full")]
    #[must_use]
    pub fn is_for_space(&self) -> bool {
        matches!(self, Self::Op(error) if matches!(error.errno(), Errno::ENOSPC | Errno::EDQUOT))
    }
}

/// A reason to refuse. One pointer wide, like [`OpError`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Box<Reason>);

/// What was found, what would have happened, and the fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What was found.
    pub found: Cow<'static, str>,
    /// What would have happened.
    pub consequence: Cow<'static, str>,
    /// What the user can do.
    pub fix: Cow<'static, str>,
    /// The error number, when a system call failed.
    pub errno: Option<Errno>,
}

impl Refusal {
    /// Puts the three parts together; each is a sentence without its full stop.
    #[must_use]
    #[inline(never)] // in the initrd build, where it is called from a hundred places
    pub fn new(
        found: impl Into<Cow<'static, str>>,
        consequence: impl Into<Cow<'static, str>>,
        fix: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (found, consequence, fix) = (found.into(), consequence.into(), fix.into());
        Self(Box::new(Reason { found, consequence, fix, errno: None }))
    }
}

#[cfg(feature = "full")]
impl Refusal {
    pub(crate) fn into_reason(self) -> Reason {
        *self.0
    }
}

impl Deref for Refusal {
    type Target = Reason;

    fn deref(&self) -> &Reason {
        &self.0
    }
}

impl From<OpError> for Refusal {
    fn from(error: OpError) -> Self {
        let fix = match error.errno() {
            Errno::EACCES | Errno::EPERM if !nix::unistd::geteuid().is_root() => "Run it as root",
            Errno::ENOSPC | Errno::EDQUOT => {
                "Free a little space there (a few files, a few megabytes), then try again"
            }
            _ => "Repair the file system (see the kernel's messages: dmesg), then try again",
        };
        let found = error.to_string();
        let mut refusal = Self::new(found, "The root cannot be judged without it", fix);
        refusal.0.errno = Some(error.errno());
        refusal
    }
}

#[cfg(feature = "full")]
impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Root(Box::new(Trouble::Reason(refusal)))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}. {}", self.found, self.consequence, self.fix)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command line is wrong: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// Judged before the first write, nothing touched: exit status 3.
    #[error("refused: {}. Nothing was touched.", Listed(.0))]
    Refused(Vec<Refusal>),
    /// A report has blockers; it has been printed: exit status 3.
    #[cfg(feature = "full")]
    #[error("this machine is not ready: the report says what to fix. Nothing was touched.")]
    Blocked,
    /// Stopped part-way: exit status 1.
    #[error("stopped part-way: {0}. Nothing is lost.")]
    Stopped(#[from] Stop),
    /// The same, with the two ways on for the console (I7).
    #[error(
        "stopped part-way: {stop}. Nothing is lost.\n\
         To go on, once the cause is fixed: nixos-lustrate {on} --root {root}\n\
         To go back: nixos-lustrate {back} --root {root}"
    )]
    PartWay {
        /// Why.
        stop: Stop,
        /// The path of the root.
        root: String,
        /// The command that was stopped.
        on: &'static str,
        /// The command that undoes it.
        back: &'static str,
    },
    /// Stopped part-way by a command with words of its own: exit status 1.
    #[cfg(feature = "full")]
    #[error("{0}.")]
    Halted(String),
    /// Only reading failed, in a command that writes nothing: exit status 1.
    #[error("{0}")]
    Read(OpError),
}

impl Error {
    /// The exit status of the program.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Stopped(_) | Self::PartWay { .. } | Self::Read(_) => 1,
            #[cfg(feature = "full")]
            Self::Halted(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            #[cfg(feature = "full")]
            Self::Blocked => 3,
        }
    }
}

impl From<OpError> for Error {
    fn from(error: OpError) -> Self {
        Self::Stopped(error.into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }
}

struct Listed<'a>(&'a [Refusal]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, refusal) in self.0.iter().enumerate() {
            write!(f, "{}{refusal}", if at == 0 { "" } else { ".\nrefused: " })?;
        }
        Ok(())
    }
}
