//! The file systems: tmpfs, and the others on loop devices in memory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::common::filesystem::{Fs, Options};
use crate::common::image::{Image, Mounted};
use crate::common::skip::Skipped;
use crate::common::sys;

/// A mounted file system with an empty directory to work in.
pub struct Place {
    pub fs: Fs,
    mounted: Mounted,
    _image: Image,
}

impl Place {
    pub fn new(fs: Fs) -> Result<Self, Skipped> {
        let options = Options::new(fs).size_mib(1536);
        let options = match fs {
            Fs::Ext4 => options.mkfs(&["-N", "600000"]),
            Fs::Tmpfs => options.mount("nr_inodes=0"),
            Fs::Xfs | Fs::Btrfs => options,
        };
        let image = Image::with(&options)?;
        Ok(Self { fs, mounted: image.mount()?, _image: image })
    }

    /// The root that is worked on: the root of the file system, as in life.
    pub fn root(&self) -> &Path {
        self.mounted.path()
    }

    /// What was written before is none of the next one's.
    pub fn settle(&self) {
        let root = File::open(self.root()).expect("the root");
        sys::sync_file_system(&root).expect("a sync");
    }

    /// Bytes that have been written to the disk so far, all of them; none for tmpfs.
    pub fn written(&self) -> Option<u64> {
        self.settle();
        let stat = self.device()?.join("stat");
        let stat = fs::read_to_string(stat).expect("figures of a block device");
        let sectors = stat.split_whitespace().nth(6).expect("sectors written");
        Some(sectors.parse::<u64>().expect("a number") * 512)
    }

    fn device(&self) -> Option<PathBuf> {
        let table = fs::read_to_string("/proc/thread-self/mountinfo").expect("the mount table");
        let point = self.root().to_str().expect("a path of text");
        let line = table.lines().rfind(|line| line.split(' ').nth(4) == Some(point));
        let (_, after) = line.expect("the mount").split_once(" - ").expect("a mount line");
        let name = after.split(' ').nth(1)?.strip_prefix("/dev/")?;
        Some(Path::new("/sys/block").join(name))
    }
}
