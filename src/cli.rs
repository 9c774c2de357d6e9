//! The command line: the words of the small build in [`options`], those of the full
//! build in `grammar`, and the line that calls each command.
//!
//! Uses: check, engine, error, fs, prepare, purge, stage1, status, system, term.

#[cfg(feature = "full")]
mod completions;
#[cfg(feature = "full")]
mod grammar;
#[cfg(feature = "full")]
mod invocation;
pub mod options;
#[cfg(feature = "full")]
mod request;

#[cfg(feature = "full")]
pub use invocation::{Invocation, grammar, parse};
use options::{Command, Options};

use crate::engine::facts::Wishes;
use crate::error::Error;
use crate::stage1::{self, Run};
use crate::status;
use crate::term::print;

/// Runs a command that both builds have.
///
/// # Errors
/// Why it did not do what it was asked.
pub fn engine(asked: &Options) -> Result<(), Error> {
    let wishes =
        || Wishes { keep: asked.keep.clone(), always: asked.always, complete: asked.complete };
    let root = asked.root.as_deref();
    match asked.command {
        Command::Help => print(options::HELP),
        Command::Version => print(concat!("nixos-lustrate ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Plan => status::plan(root, &wishes(), asked.form),
        Command::Status => status::status(root, asked.form),
        Command::Run => {
            let (root, guard) = (asked.root.clone(), asked.guard.clone());
            stage1::run(&Run { root, wishes: wishes(), guard })
        }
        Command::Revert => stage1::revert(root, asked.boot),
    }
}
