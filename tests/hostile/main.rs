//! Poison: generated roots that nobody would make by accident, with keep-lists
//! to match. Whatever they are, nothing outside the root changes, nor do `nix`
//! and `boot` (I2); nothing is lost (I1); a refusal has touched nothing (I6);
//! a finished run can be reverted (I4); no panic, no hang, no more memory than
//! a little.
//!
//! `HOSTILE_SEED` and `HOSTILE_CASES` choose other cases, and more of them.

#![allow(unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod build;
mod judge;
mod strategy;

use std::cell::RefCell;

use common::require_root;
use judge::{End, Tally};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn from_environment(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |v| v.parse().expect("a number"))
}

#[test]
fn a_hostile_root_harms_nobody() {
    require_root!();
    let seed = from_environment("HOSTILE_SEED", 1);
    let cases = from_environment("HOSTILE_CASES", 300);
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let tally = RefCell::new(Tally::default());
    let outcome = TestRunner::new_with_rng(config, rng).run(&strategy::case(), |case| {
        judge::check(&case, &mut tally.borrow_mut());
        Ok(())
    });
    let tally = tally.into_inner();
    println!("hostile roots, seed {seed}: {tally}");
    if let Err(why) = outcome {
        panic!("seed {seed}: {why}");
    }
    // I6: whatever can be judged without writing is.
    assert_eq!(tally.of(End::Stopped), 0, "not refused early: {tally}");
    // Else it would prove little.
    assert!(tally.of(End::Reverted) * 4 > cases, "hardly a run went through: {tally}");
    assert!(tally.of(End::Refused) > 0, "no run was refused: {tally}");
}
