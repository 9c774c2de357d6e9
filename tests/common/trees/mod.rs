//! The table of odd trees: each a root that somebody has or could have, with
//! the keep-list in its marker and what a run must make of it.
//!
//! Every case begins with the typical root (`typical`), or a bare one, and
//! changes it. [`all`] is the whole table.

pub mod big;
pub mod case;
pub mod flags;
pub mod judge;
pub mod keep_lists;
pub mod links;
pub mod media;
pub mod mounts;
pub mod names;
pub mod old_roots;
pub mod refusals;
pub mod rests;
pub mod root;
pub mod special;
pub mod stock;
pub mod subvolumes;
pub mod typical;

pub use case::{Case, Check, Expect, Outcome, Start};
pub use root::{Built, Root};

/// Every case, in a fixed order.
pub fn all() -> Vec<&'static Case> {
    let tables = [
        names::CASES,
        special::CASES,
        links::CASES,
        flags::CASES,
        mounts::CASES,
        subvolumes::CASES,
        keep_lists::CASES,
        old_roots::CASES,
        stock::CASES,
        media::CASES,
        refusals::CASES,
        rests::CASES,
    ];
    tables.into_iter().flatten().collect()
}

/// The case of that name.
pub fn named(name: &str) -> &'static Case {
    let mut cases = all().into_iter();
    cases.find(|c| c.name == name).unwrap_or_else(|| panic!("no case is named {name}"))
}
