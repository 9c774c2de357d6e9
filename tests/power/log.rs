//! What QEMU has logged of a disk: each write and flush, in the order in which
//! the guest asked for them, in the format of dm-log-writes.

use std::fs;
use std::ops::Range;
use std::path::Path;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What is written to a place, as a part of the log.
    Write { at: u64, data: Range<usize> },
    /// What is zero from now on.
    Discard { at: u64, length: u64 },
    /// All before it is on the disk from now on.
    Flush,
}

/// All requests of a machine.
pub struct Log {
    bytes: Vec<u8>,
    pub entries: Vec<Entry>,
}

impl Log {
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("the log of the disk");
        assert_eq!(number(&bytes, 0), MAGIC, "no log of writes");
        let count = number(&bytes, 16);
        let sector = size(u64::from(u32::from_le_bytes(array(&bytes, 24))));
        let mut at = sector;
        let mut entries = Vec::new();
        for _ in 0..count {
            let [place, length, flags] = [0, 8, 16].map(|offset| number(&bytes, at + offset));
            let (place, length) = (place * sector as u64, length * sector as u64);
            at += sector;
            if flags & DISCARD != 0 {
                entries.push(Entry::Discard { at: place, length });
                continue;
            }
            if length > 0 {
                let data = at..at + size(length);
                at = data.end;
                assert!(at <= bytes.len(), "the log ends within a write");
                entries.push(Entry::Write { at: place, data });
            }
            if flags & FLUSH != 0 {
                entries.push(Entry::Flush);
            }
        }
        Self { bytes, entries }
    }

    pub fn data(&self, data: &Range<usize>) -> &[u8] {
        &self.bytes[data.clone()]
    }

    /// The number of the entry that wrote the mark `letter` beyond `end`.
    pub fn mark(&self, end: u64, letter: u8) -> usize {
        let is_mark = |entry: &Entry| match entry {
            Entry::Write { at, data } => *at >= end && self.data(data).first() == Some(&letter),
            _ => false,
        };
        self.entries.iter().position(is_mark).expect("a mark")
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the log is whole")
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("a size")
}
