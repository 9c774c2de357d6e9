//! How much is measured.

use std::env;

use super::work::Work;
use crate::common::filesystem::Fs;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Effort {
    /// Of each measurement; the median counts.
    pub rounds: usize,
    pub file_systems: Vec<Fs>,
    /// Kinds of roots.
    pub works: Vec<Work>,
    /// Numbers of entries, and of keepers, over which growth is judged.
    pub entries: Vec<usize>,
    pub keepers: Vec<usize>,
    /// Whether the initrd build is made again to see what is in it.
    pub anatomy: bool,
}

impl Effort {
    /// `BENCH_ROUNDS` for a quick pass, or a long one; `BENCH_FS=ext4,tmpfs`.
    pub fn from_environment() -> Self {
        let rounds = env::var("BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(9);
        let names = env::var("BENCH_FS").unwrap_or_else(|_| "ext4,xfs,btrfs,tmpfs".to_owned());
        let file_systems =
            Fs::ALL.into_iter().filter(|fs| names.split(',').any(|n| n == fs.name()));
        let anatomy = env::var_os("BENCH_NO_ANATOMY").is_none();
        Self {
            file_systems: file_systems.collect(),
            anatomy,
            ..Self::of(
                rounds,
                vec![1_000, 10_000, 100_000],
                vec![10, 100, 1_000, 10_000],
                100_000,
                10 << 10,
            )
        }
    }

    /// A few seconds: whether all of it works.
    pub fn smoke() -> Self {
        Self {
            file_systems: vec![Fs::Ext4, Fs::Tmpfs],
            anatomy: false,
            ..Self::of(1, vec![20, 40], vec![10, 30], 100, 8)
        }
    }

    fn of(
        rounds: usize,
        entries: Vec<usize>,
        keepers: Vec<usize>,
        files: usize,
        hole: u64,
    ) -> Self {
        let mut works = vec![Work::typical(), Work::sparse(hole), Work::files(files)];
        works.extend(entries.iter().map(|count| Work::entries(*count)));
        works.extend(keepers.iter().map(|count| Work::keepers(*count)));
        Self { rounds, file_systems: Fs::ALL.into(), works, entries, keepers, anatomy: true }
    }
}
