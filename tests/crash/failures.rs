//! Goes on after a case that failed, and fails in the end with all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// After so many, the rest is of no interest.
const ENOUGH: usize = 20;

pub struct Failures {
    title: String,
    failed: Vec<String>,
    skipped: usize,
}

impl Failures {
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), failed: Vec::new(), skipped: 0 }
    }

    /// Runs one case; a panic in it is a failure of that case only.
    pub fn catch(&mut self, what: &str, case: AssertUnwindSafe<impl FnOnce()>) {
        if self.failed.len() == ENOUGH {
            self.skipped += 1;
        } else if catch_unwind(case).is_err() {
            println!("^ {}: {what}\n", self.title);
            self.failed.push(what.to_owned());
        }
    }

    /// Panics with the list unless it is empty.
    #[track_caller]
    pub fn end(self) {
        let Self { title, failed, skipped } = self;
        assert!(
            failed.is_empty(),
            "{title}: {} cases failed, {skipped} were not tried:\n  {}",
            failed.len(),
            failed.join("\n  ")
        );
    }
}
