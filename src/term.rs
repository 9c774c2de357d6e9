//! What a terminal is shown and asked.
//!
//! Uses: error, fs.

#[cfg(feature = "full")]
pub(crate) mod ask;
#[cfg(feature = "full")]
pub mod console;
#[cfg(feature = "full")]
pub(crate) mod progress;
pub mod text;

use crate::error::{Error, OpError};
use crate::fs::sys;

/// What a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For a person.
    Text,
    /// JSON.
    #[cfg(feature = "full")]
    Json,
}

/// What a command prints is its result: failing to is a failure.
///
/// # Errors
/// [`Error::Read`].
pub fn print(text: &str) -> Result<(), Error> {
    let written = sys::write_all(std::io::stdout(), text.as_bytes());
    written
        .map_err(|errno| Error::Read(OpError::new("write to", "standard output".to_owned(), errno)))
}

/// Says what is wrong on stderr. That it is full or closed is no reason to end
/// otherwise.
pub fn complain(text: &str) {
    let _ = sys::write_all(std::io::stderr(), text.as_bytes());
}
