//! What an initrd has: the names of its files. It is any number of archives, one
//! behind the other, each as it is or compressed by zstd, gzip or xz: microcode in
//! front, secrets behind (Documentation/driver-api/early-userspace/
//! buffer-format.rst).

use std::io::{self, Read, Write};
use std::path::Path;

use crate::machine::files::{Files, Result, failed};
use crate::system::cpio::Names;

/// Larger than any initrd.
const MAX_FILE: u64 = 1 << 30;
const MAX_UNPACKED: u64 = 4 << 30;

/// The names of an initrd's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Listing {
    names: Vec<String>,
}

impl Listing {
    /// Reads it.
    ///
    /// # Errors
    /// What could not be read; inside, why it could not be unpacked.
    pub(crate) fn read(files: &Files, path: &Path) -> Result<std::result::Result<Self, String>> {
        let Some(file) = files.open(path)? else { return Ok(Err("it is no file".into())) };
        let mut content = Vec::new();
        let read = file.take(MAX_FILE).read_to_end(&mut content);
        read.map_err(|e| failed("read", &files.outside(path), &e))?;
        Ok(list(&content))
    }

    /// Whether it has a file of that name, in any directory.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|path| path.rsplit('/').next() == Some(name))
    }

    /// Whether it has a kernel module.
    #[must_use]
    pub(crate) fn has_module(&self, module: &str) -> bool {
        self.names.iter().any(|path| is_module(path, module))
    }
}

/// `-` and `_` are the same in names of modules.
pub(crate) fn is_module(path: &str, module: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let Some((name, _)) = file.split_once(".ko") else { return false };
    name.replace('-', "_") == module.replace('-', "_")
}

fn list(content: &[u8]) -> std::result::Result<Listing, String> {
    let mut found = Vec::new();
    let mut rest = content;
    loop {
        let mut names = Names::new();
        // Writing to it cannot fail.
        let _ = names.write_all(rest);
        found.append(&mut names.found);
        let Some(at) = names.foreign_at else {
            let cut_off = names.is_cut_off();
            return if cut_off {
                Err("it is cut off".into())
            } else {
                Ok(Listing { names: found })
            };
        };
        rest = usize::try_from(at).ok().and_then(|at| rest.get(at..)).unwrap_or_default();
        found.extend(unpack(&mut rest)?);
    }
}

/// The names in the compressed archive at the beginning of `rest`, which is behind
/// it afterwards.
fn unpack(rest: &mut &[u8]) -> std::result::Result<Vec<String>, String> {
    let mut names = Names::new();
    let mut sink = Limited { names: &mut names, left: MAX_UNPACKED };
    let said = |error: &dyn std::fmt::Display| format!("it cannot be unpacked: {error}");
    if rest.starts_with(b"\x28\xb5\x2f\xfd") {
        while rest.starts_with(b"\x28\xb5\x2f\xfd") {
            let decoder = ruzstd::decoding::StreamingDecoder::new(&mut *rest);
            let mut decoder = decoder.map_err(|e| said(&e))?;
            io::copy(&mut decoder, &mut sink).map_err(|e| said(&e))?;
        }
    } else if rest.starts_with(b"\x1f\x8b") {
        let mut decoder = flate2::bufread::GzDecoder::new(&mut *rest);
        io::copy(&mut decoder, &mut sink).map_err(|e| said(&e))?;
    } else if rest.starts_with(b"\xfd7zXZ\0") {
        use lzma_rs::error::Error::{HeaderTooShort, IoError, LzmaError, XzError};
        lzma_rs::xz_decompress(rest, &mut sink).map_err(|e| match e {
            IoError(e) | HeaderTooShort(e) => said(&e),
            LzmaError(why) | XzError(why) => said(&why),
        })?;
    } else {
        let known = [
            (&b"\x02\x21\x4c\x18"[..], "lz4"),
            (b"BZh", "bzip2"),
            (b"\x89LZO", "lzo"),
            (b"\x5d\0\0", "lzma"),
        ];
        let name = known.iter().find(|(magic, _)| rest.starts_with(magic)).map(|(_, name)| name);
        return Err(name.map_or("it is of an unknown form".into(), |n| {
            format!("it is compressed by {n}, which is not read here")
        }));
    }
    if names.found.is_empty() || names.is_cut_off() {
        return Err("there is no whole archive in it".to_owned());
    }
    Ok(names.found)
}

struct Limited<'a> {
    names: &'a mut Names,
    left: u64,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("it is too large"))?;
        self.names.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::cpio::tests::archive;

    fn microcode() -> Vec<u8> {
        let mut bytes = archive(&[("kernel/x86/microcode/GenuineIntel.bin", 100)]);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    #[test]
    fn every_compression_is_listed() {
        let inner = archive(&[("init", 3), ("lib/modules/6.12/kernel/dm-mod.ko.xz", 5000)]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&inner).expect("compressed");
        let mut xz = Vec::new();
        lzma_rs::xz_compress(&mut inner.as_slice(), &mut xz).expect("compressed");
        let zstd = ruzstd::encoding::compress_to_vec(
            inner.as_slice(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        for packed in [inner.clone(), gzip.finish().expect("compressed"), xz, zstd] {
            for prefix in [Vec::new(), microcode()] {
                let listing = list(&[prefix.as_slice(), &packed].concat()).expect("a listing");
                assert!(listing.has("init"));
                assert!(listing.has_module("dm_mod") && !listing.has_module("dm"));
                assert_eq!(listing.has("GenuineIntel.bin"), !prefix.is_empty());
                if packed.starts_with(b"\xfd7zXZ") {
                    continue; // its decoder wants nothing behind
                }
                // What append-initrd-secrets and the like put behind it.
                let behind = archive(&[("secret", 10)]);
                let mut gzip =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&behind).expect("compressed");
                for secrets in [behind, gzip.finish().expect("compressed")] {
                    let zeros = vec![0; 3];
                    let all = [prefix.as_slice(), &packed, &zeros, &secrets].concat();
                    let listing = list(&all).expect("a listing");
                    assert!(listing.has("init") && listing.has("secret"));
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(list(b"\x02\x21\x4c\x18rest").is_err_and(|why| why.contains("lz4")));
        assert!(list(b"\x28\xb5\x2f\xfdbroken").is_err_and(|why| why.contains("unpacked")));
        assert!(list(b"garbage").is_err_and(|why| why.contains("unknown form")));
        let whole = archive(&[("init", 300)]);
        assert!(list(&whole[..200]).is_err_and(|why| why.contains("cut off")));
    }
}
