//! Support for the integration tests: real file systems on loop devices, a
//! manifest of everything that a tree holds, a table of odd trees, and ways
//! to run, kill and fail the program.
//!
//! Every test that mounts does so in a mount namespace of its thread
//! ([`isolation`]), so tests neither see each other's mounts nor leave any
//! behind.
//!
//! A test that cannot run here says why and passes:
//!
//! ```ignore
//! require_root!();
//! let image = or_skip!(Image::new(Fs::Ext4));
//! let root = or_skip!(image.mount());
//! ```

#![allow(dead_code, unused_macros, unused_imports, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc, clippy::must_use_candidate)]

pub mod command;
pub mod compare;
pub mod filesystem;
pub mod image;
pub mod initrd;
pub mod isolation;
pub mod manifest;
pub mod nobody;
pub mod population;
pub mod skip;
pub mod strace;
pub mod sys;
#[cfg(feature = "full")]
pub mod system;
pub mod text;
pub mod trees;
pub mod walk;

/// Returns from the test, saying so, unless it runs as root.
macro_rules! require_root {
    () => {
        if !$crate::common::skip::is_root() {
            $crate::common::skip::say(&$crate::common::skip::Skipped::new("needs root"));
            return;
        }
    };
}

/// The value of a `Result<_, Skipped>`, or returns from the test, saying why.
macro_rules! or_skip {
    ($e:expr) => {
        match $e {
            Ok(value) => value,
            Err(skipped) => {
                $crate::common::skip::say(&skipped);
                return;
            }
        }
    };
}

pub(crate) use {or_skip, require_root};
