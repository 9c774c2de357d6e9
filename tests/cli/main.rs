//! The program from outside: exit codes, texts, and what each state of a root
//! looks like.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod again;
mod circumstances;
mod closed;
mod cmdline;
#[cfg(feature = "full")]
mod completions;
mod cost;
mod evidence;
mod guard;
#[cfg(feature = "full")]
mod json;
mod logging;
#[cfg(feature = "full")]
mod manual;
mod meanwhile;
mod overlay;
mod privileges;
mod refusals;
mod root;
mod states;
mod usage;

use std::path::Path;

use common::command::{self, Ended};
use common::image::{Fs, Image, Mounted};
use common::skip::Skipped;
use common::trees::{Built, Case, Root};

/// A typical root with a change, on a file system of its own.
fn changed(fs: Fs, change: impl FnOnce(&Root<'_>)) -> Result<(Image, Mounted), Skipped> {
    let (image, mounted) = Case::TYPICAL.make(fs)?;
    change(&Root { path: mounted.path(), fs });
    Ok((image, mounted))
}

/// The same, with a change that the file system may not know.
fn sealed(fs: Fs, seal: impl FnOnce(&Root<'_>) -> Built) -> Result<(Image, Mounted), Skipped> {
    let (image, mounted) = Case::TYPICAL.make(fs)?;
    seal(&Root { path: mounted.path(), fs })?;
    Ok((image, mounted))
}

/// A typical root without a marker.
fn unmarked() -> Result<(Image, Mounted), Skipped> {
    changed(Fs::Tmpfs, |root| root.remove("etc/NIXOS_LUSTRATE"))
}

/// Panics unless stderr is this refusal and nothing else; `@` stands for the root.
#[track_caller]
fn assert_refusal(ended: Ended, root: &Path, [found, consequence, fix]: [&str; 3]) {
    let text = format!("refused: {found}. {consequence}. {fix}. Nothing was touched.\n");
    let want = text.replace('@', root.to_str().expect("a path in UTF-8"));
    let ended = ended.expect(3);
    assert_eq!(ended.err(), want);
}

/// `VERB --root ROOT MORE...`.
#[track_caller]
fn with(verb: &str, root: &Path, more: &[&str]) -> Ended {
    command::lustrate(command::arguments(verb, root, more))
}
