//! The disk as a power cut leaves it: all that was written before the last
//! flush, and of what was written since then all, or a part.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::common::image::Image;
use crate::guest::Recording;
use crate::log::Entry;
use crate::random::Random;

/// What a disk writes whole; btrfs relies on that for its superblock.
const PIECE: usize = 4096;
const ZEROS: [u8; PIECE] = [0; PIECE];

/// A disk on which a log is played back.
pub struct Replay<'a> {
    recording: &'a Recording,
    /// The number of entries that were played.
    pub at: usize,
    disk: Image,
    /// The disk at the last flush, and the entries since then.
    settled: Image,
    since: Vec<&'a Entry>,
}

impl<'a> Replay<'a> {
    pub fn new(start: &Image, recording: &'a Recording) -> Self {
        let (disk, settled) = (start.snapshot(), start.snapshot());
        Self { recording, at: 0, disk, settled, since: Vec::new() }
    }

    /// Plays the next entry.
    pub fn step(&mut self) {
        let entry = &self.recording.log.entries[self.at];
        self.at += 1;
        if *entry == Entry::Flush {
            if !self.since.is_empty() {
                self.settled = self.disk.snapshot();
                self.since.clear();
            }
        } else {
            self.put(&open(&self.disk), entry, |_| true);
            self.since.push(entry);
        }
    }

    /// The disk with all that was written.
    pub fn disk(&self) -> Image {
        self.disk.snapshot()
    }

    /// Whether something of what was written can be lost.
    pub fn is_volatile(&self) -> bool {
        !self.since.is_empty()
    }

    /// The disk with a random part of what was written since the last flush:
    /// whole writes are lost, or pieces of them.
    pub fn with_losses(&self, random: &mut Random) -> Image {
        let disk = self.settled.snapshot();
        let file = open(&disk);
        let torn = random.below(2) == 0;
        // Few are lost, or half, or most.
        let chance = [1, 4, 7][random.below(3)];
        for entry in &self.since {
            let whole = random.below(8) >= chance;
            self.put(&file, entry, |_| if torn { random.below(8) >= chance } else { whole });
        }
        disk
    }

    fn put(&self, file: &File, entry: &Entry, mut keeps: impl FnMut(u64) -> bool) {
        let mut piece = |at: u64, data: &[u8]| {
            // Beyond the end are the marks.
            if at < self.recording.end && keeps(at) {
                file.write_all_at(data, at).expect("the image can be written");
            }
        };
        match entry {
            Entry::Write { at, data } => {
                let chunks = self.recording.log.data(data).chunks(PIECE);
                for (offset, data) in (*at..).step_by(PIECE).zip(chunks) {
                    piece(offset, data);
                }
            }
            Entry::Discard { at, length } => {
                for offset in (*at..*at + *length).step_by(PIECE) {
                    let rest = usize::try_from(*at + *length - offset).unwrap_or(PIECE);
                    piece(offset, &ZEROS[..rest.min(PIECE)]);
                }
            }
            Entry::Flush => {}
        }
    }

    /// Panics unless the disk is the one that the machine has left: then the
    /// log was read as it was written.
    pub fn assert_whole(&self) {
        assert_eq!(self.at, self.recording.log.entries.len());
        let ours = open(&self.disk);
        let theirs = File::open(self.recording.disk.path()).expect("the disk");
        let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
        for at in (0..self.recording.end).step_by(1 << 20) {
            let length = usize::try_from(self.recording.end - at).unwrap_or(1 << 20).min(1 << 20);
            for (file, buffer) in [&ours, &theirs].into_iter().zip(&mut buffers) {
                file.read_exact_at(&mut buffer[..length], at).expect("both have this size");
            }
            assert!(buffers[0] == buffers[1], "the log does not give the disk, at {at}");
        }
    }
}

fn open(image: &Image) -> File {
    OpenOptions::new().read(true).write(true).open(image.file()).expect("the image")
}
