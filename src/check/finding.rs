//! One examined thing.

use nix::errno::Errno;

use crate::error::{OpError, Reason, Refusal};

/// Where only root may look.
pub(super) const AS_ROOT: &str = "Run it as root: sudo nixos-lustrate check";

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
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Blocker => "blocker",
        }
    }
}

/// What was found, what would happen, and the fix.
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
    /// The command or the lines of configuration that fix it.
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub(crate) fn ok(id: &'static str, found: impl Into<String>) -> Self {
        debug_assert!(super::ids::is_known(id), "{id}");
        let (level, checked, consequence, fix) = (Level::Ok, true, None, None);
        Self { id, level, checked, found: found.into(), consequence, fix }
    }

    /// Worth knowing.
    #[must_use]
    pub(crate) fn warning(
        id: &'static str,
        found: impl Into<String>,
        consequence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::bad(id, Level::Warning, refusal(found.into(), consequence.into(), fix.into()))
    }

    /// To be fixed first.
    #[must_use]
    pub(crate) fn blocker(
        id: &'static str,
        found: impl Into<String>,
        consequence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::bad(id, Level::Blocker, refusal(found.into(), consequence.into(), fix.into()))
    }

    /// A warning or a blocker, in the words of a refusal.
    #[must_use]
    pub(crate) fn bad(id: &'static str, level: Level, refusal: Refusal) -> Self {
        debug_assert!(super::ids::is_known(id), "{id}");
        let Reason { found, consequence, fix, .. } = refusal.into_reason();
        let (consequence, fix) = (Some(consequence.into_owned()), Some(fix.into_owned()));
        Self { id, level, checked: true, found: found.into_owned(), consequence, fix }
    }

    /// Not examined, and why.
    #[must_use]
    pub(crate) fn unchecked(
        id: &'static str,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        debug_assert!(super::ids::is_known(id), "{id}");
        let (level, checked, consequence) = (Level::Warning, false, None);
        Self { id, level, checked, found: why.into(), consequence, fix: Some(fix.into()) }
    }

    /// Not examined, since something could not be read.
    #[must_use]
    pub(crate) fn unread(id: &'static str, error: &OpError) -> Self {
        let fix = match error.errno() {
            Errno::EACCES | Errno::EPERM => AS_ROOT,
            _ => "See the kernel's messages: dmesg",
        };
        Self::unchecked(id, error.to_string(), fix)
    }
}

fn refusal(found: String, consequence: String, fix: String) -> Refusal {
    Refusal::new(found, consequence, fix)
}
