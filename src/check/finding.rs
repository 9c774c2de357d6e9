//! One examined thing.

use nix::errno::Errno;

use crate::error::{OpError, Reason, Refusal};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing before the reboot.
    Warning,
    /// The machine would not come up, or nobody could get in.
    Blocker,
}

impl Level {
    /// The word in reports and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Blocker => "blocker",
        }
    }
}

/// What was found, what would happen, and the mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which check; stable.
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// Whether it could be examined; if not, it is a warning.
    pub checked: bool,
    /// What was found.
    pub found: String,
    /// What would happen.
    pub consequence: Option<String>,
    /// The command or the lines of configuration that mend it.
    pub mend: Option<String>,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(id: &'static str, found: impl Into<String>) -> Self {
        debug_assert!(super::ids::is_known(id), "{id}");
        let (level, checked, consequence, mend) = (Level::Ok, true, None, None);
        Self { id, level, checked, found: found.into(), consequence, mend }
    }

    /// Worth knowing.
    #[must_use]
    pub fn warning(
        id: &'static str,
        found: impl Into<String>,
        consequence: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self::bad(id, Level::Warning, refusal(found.into(), consequence.into(), mend.into()))
    }

    /// To be mended first.
    #[must_use]
    pub fn blocker(
        id: &'static str,
        found: impl Into<String>,
        consequence: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self::bad(id, Level::Blocker, refusal(found.into(), consequence.into(), mend.into()))
    }

    /// A warning or a blocker, in the words of a refusal.
    #[must_use]
    pub fn bad(id: &'static str, level: Level, refusal: Refusal) -> Self {
        debug_assert!(super::ids::is_known(id), "{id}");
        let Reason { found, consequence, mend, .. } = refusal.into_reason();
        let (consequence, mend) = (Some(consequence.into_owned()), Some(mend.into_owned()));
        Self { id, level, checked: true, found: found.into_owned(), consequence, mend }
    }

    /// Not examined, and why.
    #[must_use]
    pub fn unchecked(id: &'static str, why: impl Into<String>, mend: impl Into<String>) -> Self {
        debug_assert!(super::ids::is_known(id), "{id}");
        let (level, checked, consequence) = (Level::Warning, false, None);
        Self { id, level, checked, found: why.into(), consequence, mend: Some(mend.into()) }
    }

    /// Not examined, since something could not be read.
    #[must_use]
    pub(crate) fn unread(id: &'static str, error: &OpError) -> Self {
        let mend = match error.errno() {
            Errno::EACCES | Errno::EPERM => "Run it as root: sudo nixos-lustrate check",
            _ => "See the kernel's messages: dmesg",
        };
        Self::unchecked(id, error.to_string(), mend)
    }
}

fn refusal(found: String, consequence: String, mend: String) -> Refusal {
    Refusal::new(found, consequence, mend)
}
