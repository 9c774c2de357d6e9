//! A writer for the `newc` archives that the kernel unpacks. Archives may be
//! strung together, so a scenario appends a few files to a base made once.

use std::collections::BTreeSet;
use std::path::Path;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;

/// An archive that grows; parents of an entry come before it by themselves.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: BTreeSet<String>,
}

impl Archive {
    pub fn directory(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if path.is_empty() || self.entries.contains(path) {
            return;
        }
        self.entry(path, DIRECTORY, &[]);
    }

    pub fn file(&mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        self.entry(path.trim_matches('/'), FILE | mode, content.as_ref());
    }

    pub fn link(&mut self, path: &str, target: &str) {
        self.entry(path.trim_matches('/'), LINK, target.as_bytes());
    }

    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains(path.trim_matches('/'))
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        if let Some(parent) = Path::new(path).parent().and_then(Path::to_str) {
            self.directory(parent);
        }
        self.entries.insert(path.to_owned());
        self.write(path, mode, content);
    }

    fn write(&mut self, path: &str, mode: u32, content: &[u8]) {
        let size = u32::try_from(content.len()).expect("below 4 GiB");
        let name_size = u32::try_from(path.len() + 1).expect("a path");
        let inode = u32::try_from(self.entries.len()).expect("few entries");
        let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.write("TRAILER!!!", 0, &[]);
        self.bytes
    }
}
