//! Chance that can be repeated: `CRASH_SEED=N` in the environment.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of this process.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let given = std::env::var("CRASH_SEED").ok();
        let given = given.map(|seed| seed.parse().expect("CRASH_SEED is a number"));
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
        given.unwrap_or_else(now)
    })
}

/// A generator (splitmix64), one for each place where it is used, so that a
/// case depends on its own number only.
pub struct Random(u64);

impl Random {
    pub fn new(place: &str, at: usize) -> Self {
        let bytes = place.bytes().chain(at.to_le_bytes());
        Self(bytes.fold(seed(), |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end.max(1)).expect("a number");
        usize::try_from((z ^ (z >> 31)) % end).expect("a number")
    }
}
