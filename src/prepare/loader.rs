//! Boot loaders, as far as they can be told by their files.

pub mod clear;
pub mod installed;
pub mod named;
