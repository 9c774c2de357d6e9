//! What the full build can be asked for.

use super::completions::Shell;
use super::options::Options;
use crate::purge::Purge;
use crate::term::Form;
use crate::{check, prepare};

/// A command with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// One that the small build has too.
    Engine(Options),
    /// `purge`.
    Purge(Purge),
    /// `check`.
    Check(Box<check::Examine>, Form),
    /// `prepare`.
    Prepare(Box<prepare::Prepare>),
    /// `cancel`.
    Cancel(prepare::cancel::Cancel),
    /// `completions`.
    Completions(Shell),
    /// `--help` and `--version`.
    Show(String),
}
