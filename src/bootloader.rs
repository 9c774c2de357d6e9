//! Boot loaders: what their configurations say.

pub mod entries;
