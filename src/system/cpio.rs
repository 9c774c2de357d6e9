//! The names in a cpio archive of the kernel's form (`newc`,
//! Documentation/driver-api/early-userspace/buffer-format.rst), pushed in as it
//! is unpacked, so that an initrd need not be in memory twice.

use std::io::{self, Write};

const HEADER: usize = 110;
const MAX_NAME: u32 = 4096;

/// Collects names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// What was found.
    pub found: Vec<String>,
    /// Where something that is no cpio begins, behind an archive.
    pub foreign_at: Option<u64>,
    buffer: Vec<u8>,
    skip: u64,
    at: u64,
    between: bool,
}

impl Names {
    /// At the beginning of an archive.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { between: true, ..Self::default() }
    }

    /// Whether an archive has been cut off.
    #[must_use]
    pub(crate) fn is_cut_off(&self) -> bool {
        let rest = !self.between || self.skip > 0 || !self.buffer.is_empty();
        self.foreign_at.is_none() && rest
    }

    /// Takes the header in the buffer when it is complete.
    fn header(&mut self) -> bool {
        if self.buffer.len() < HEADER {
            return false;
        }
        let field = |index: usize| {
            let at = 6 + index * 8;
            let digits = self.buffer.get(at..at + 8).and_then(|d| std::str::from_utf8(d).ok());
            digits.and_then(|digits| u32::from_str_radix(digits, 16).ok())
        };
        let magic = self.buffer.starts_with(b"070701") || self.buffer.starts_with(b"070702");
        let sizes = field(6).zip(field(11)).filter(|_| magic);
        let Some((size, name_size)) = sizes.filter(|(_, n)| (1..=MAX_NAME).contains(n)) else {
            self.foreign_at = Some(self.at - self.buffer.len() as u64);
            return false;
        };
        let end = HEADER + name_size as usize;
        let padded = end.next_multiple_of(4);
        if self.buffer.len() < padded {
            return false;
        }
        let name = String::from_utf8_lossy(&self.buffer[HEADER..end - 1]).into_owned();
        self.between = name == "TRAILER!!!";
        if !self.between {
            self.found.push(name);
        }
        self.skip = u64::from(size).next_multiple_of(4);
        self.buffer.clear();
        true
    }
}

impl Write for Names {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() && self.foreign_at.is_none() {
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).map_or(rest.len(), |s| s.min(rest.len()));
                rest = &rest[skipped..];
                self.skip -= skipped as u64;
                self.at += skipped as u64;
                continue;
            }
            if self.between && self.buffer.is_empty() && rest[0] == 0 {
                let zeros = rest.iter().take_while(|&&b| b == 0).count();
                rest = &rest[zeros..];
                self.at += zeros as u64;
                continue;
            }
            let wanted = if self.buffer.len() < HEADER { HEADER } else { self.wanted() };
            let taken = (wanted - self.buffer.len()).min(rest.len());
            self.buffer.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            self.at += taken as u64;
            let magic = self.buffer.len().min(5);
            if self.buffer[..magic] == b"07070"[..magic] {
                self.header();
            } else {
                self.foreign_at = Some(self.at - self.buffer.len() as u64);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Names {
    /// How long header and name are.
    fn wanted(&self) -> usize {
        let digits = std::str::from_utf8(&self.buffer[94..102]).unwrap_or_default();
        let name = usize::from_str_radix(digits, 16).unwrap_or(1).min(MAX_NAME as usize);
        (HEADER + name).next_multiple_of(4).max(self.buffer.len() + 1)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn archive(files: &[(&str, usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, size) in files.iter().copied().chain([("TRAILER!!!", 0)]) {
            bytes.extend(b"070701");
            for field in [1, 0, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() + 1, 0] {
                bytes.extend(format!("{field:08x}").bytes());
            }
            bytes.extend(name.bytes());
            bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
            let end = bytes.len() + size;
            bytes.resize(end, b'x');
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn what_comes_behind_an_archive_is_found() {
        let mut bytes = archive(&[("kernel/x86/microcode/AuthenticAMD.bin", 1001)]);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        let at = bytes.len() as u64;
        bytes.extend(b"\x28\xb5\x2f\xfdrest of it");
        let mut names = Names::new();
        names.write_all(&bytes).expect("no error");
        assert_eq!(names.found, ["kernel/x86/microcode/AuthenticAMD.bin"]);
        assert_eq!(names.foreign_at, Some(at));
    }

    #[test]
    fn an_archive_that_is_cut_off_is_known() {
        let bytes = archive(&[("init", 10)]);
        for end in [50, 115, 120, bytes.len() - 8] {
            let mut names = Names::new();
            names.write_all(&bytes[..end]).expect("no error");
            assert!(names.is_cut_off(), "{end}");
        }
        let mut names = Names::new();
        names.write_all(&bytes).expect("no error");
        assert!(!names.is_cut_off());
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_names(sizes in prop::collection::vec(0usize..300, 0..6), piece in 1usize..200) {
            let files: Vec<(String, usize)> =
                sizes.iter().enumerate().map(|(n, s)| (format!("a/{n}{}", "x".repeat(s % 7)), *s)).collect();
            let files: Vec<(&str, usize)> = files.iter().map(|(n, s)| (n.as_str(), *s)).collect();
            let bytes = [archive(&files), archive(&[("second", 3)])].concat();
            let mut names = Names::new();
            for chunk in bytes.chunks(piece) {
                names.write_all(chunk).expect("no error");
            }
            let mut want: Vec<&str> = files.iter().map(|(n, _)| *n).collect();
            want.push("second");
            prop_assert_eq!(&names.found, &want);
            prop_assert_eq!(names.foreign_at, None);
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut names = Names::new();
            names.write_all(&bytes).expect("no error");
            let mut names = Names::new();
            names.write_all(&[b"070701", bytes.as_slice()].concat()).expect("no error");
        }
    }
}
