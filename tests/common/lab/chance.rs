//! Random numbers that a seed brings back. The seed is printed; with
//! `LUSTRATE_SEED` a run is repeated.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A xorshift generator.
pub struct Chance(u64);

impl Chance {
    /// The seed for this run, which is to be printed.
    pub fn seed() -> u64 {
        let given = env::var("LUSTRATE_SEED").ok().and_then(|text| text.parse().ok());
        given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        })
    }

    pub fn new(seed: u64) -> Self {
        // Zero would stay zero; neighbours should differ from the start.
        let mut chance = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        chance.below(2);
        chance
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % limit
    }

    /// A time up to `limit`.
    pub fn within(&mut self, limit: Duration) -> Duration {
        let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(milliseconds.max(1)))
    }
}
