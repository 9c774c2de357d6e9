//! Features of file systems that older tools, kernels and boot loaders do not
//! know: from the superblock of ext4, XFS and btrfs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::machine::files::{Result, failed};

/// A feature, and since when others know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feature {
    /// Its name in mkfs's words.
    pub name: &'static str,
    /// The kernel that can mount it.
    pub kernel: Option<(u32, u32)>,
    /// The version of the file system's tools that can check it.
    pub tools: Option<(u32, u32)>,
    /// The version of GRUB that reads it; `u32::MAX` for none yet.
    pub grub: Option<(u32, u32)>,
}

/// Not in any release.
pub(crate) const NEVER: (u32, u32) = (u32::MAX, 0);

const fn feature(
    name: &'static str,
    kernel: Option<(u32, u32)>,
    tools: Option<(u32, u32)>,
    grub: Option<(u32, u32)>,
) -> Feature {
    Feature { name, kernel, tools, grub }
}

/// fs/ext4/ext4.h: (field, bit); e2fsprogs' release notes; GRUB's fs/ext2.c.
const EXT4: [(usize, u32, Feature); 5] = [
    (0x5c, 0x1000, feature("orphan_file", None, Some((1, 47)), None)),
    (0x60, 0x2000, feature("metadata_csum_seed", None, Some((1, 43)), Some((2, 12)))),
    (0x60, 0x2_0000, feature("casefold", Some((5, 2)), Some((1, 45)), Some(NEVER))),
    (0x60, 0x8000, feature("inline_data", None, Some((1, 43)), Some(NEVER))),
    (0x64, 0x8000, feature("verity", Some((5, 4)), Some((1, 45)), None)),
];

/// `fs/xfs/libxfs/xfs_format.h`, `sb_features_incompat` at 216.
const XFS: [(u32, Feature); 6] = [
    (0x8, feature("bigtime", Some((5, 10)), Some((5, 10)), Some((2, 6)))),
    (0x10, feature("needsrepair", Some((5, 10)), Some((5, 10)), None)),
    (0x20, feature("nrext64", Some((5, 19)), Some((5, 19)), Some((2, 12)))),
    (0x40, feature("exchange", Some((6, 10)), Some((6, 10)), Some((2, 14)))),
    (0x80, feature("parent", Some((6, 10)), Some((6, 10)), Some((2, 14)))),
    (0x100, feature("metadir", Some((6, 13)), Some((6, 13)), Some(NEVER))),
];

/// `include/uapi/linux/btrfs.h`: (offset of the field, bit).
const BTRFS: [(usize, u64, Feature); 3] = [
    (180, 1 << 3, feature("block-group-tree", Some((6, 1)), Some((6, 1)), None)),
    (188, 1 << 14, feature("raid-stripe-tree", Some((6, 7)), Some((6, 7)), Some(NEVER))),
    (188, 1 << 16, feature("simple-quota", Some((6, 7)), Some((6, 7)), None)),
];

/// The features of the file system on a device that are in these lists; `None`
/// when the superblock is of another kind.
pub(crate) fn features(device: &Path, fs_type: &str) -> Result<Option<Vec<Feature>>> {
    let offset = match fs_type {
        "ext2" | "ext3" | "ext4" => 1024,
        "xfs" => 0,
        "btrfs" => 65_536,
        _ => return Ok(None),
    };
    let read = || -> io::Result<[u8; 512]> {
        let file = File::open(device)?;
        let mut block = [0; 512];
        file.read_exact_at(&mut block, offset)?;
        Ok(block)
    };
    let block = read().map_err(|e| failed("read", device, &e))?;
    Ok(parse(&block, fs_type))
}

fn parse(block: &[u8; 512], fs_type: &str) -> Option<Vec<Feature>> {
    let little =
        |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let big =
        |at: usize| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    match fs_type {
        "xfs" => {
            // Version 5 has fields of features.
            let known = block.starts_with(b"XFSB");
            let bits = if block[101] & 0xf == 5 { big(216) } else { 0 };
            known.then(|| XFS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, f)| *f).collect())
        }
        "btrfs" => {
            let field = |at: usize| u64::from(little(at)) | u64::from(little(at + 4)) << 32;
            let has = |&&(at, bit, _): &&(usize, u64, Feature)| field(at) & bit != 0;
            let known = &block[64..72] == b"_BHRfS_M";
            known.then(|| BTRFS.iter().filter(has).map(|(_, _, f)| *f).collect())
        }
        _ => {
            let known = block[0x38..0x3a] == [0x53, 0xef];
            let has = |&&(at, bit, _): &&(usize, u32, Feature)| little(at) & bit != 0;
            known.then(|| EXT4.iter().filter(has).map(|(_, _, f)| *f).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(block: &[u8; 512], fs_type: &str) -> Option<Vec<&'static str>> {
        parse(block, fs_type).map(|features| features.iter().map(|f| f.name).collect())
    }

    #[test]
    fn features_are_read_from_each_superblock() {
        let mut ext4 = [0; 512];
        assert_eq!(names(&ext4, "ext4"), None);
        ext4[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        ext4[0x5d] = 0x10;
        ext4[0x61] = 0x20;
        assert_eq!(names(&ext4, "ext4"), Some(vec!["orphan_file", "metadata_csum_seed"]));
        let mut xfs = [0; 512];
        xfs[..4].copy_from_slice(b"XFSB");
        xfs[101] = 0xb5;
        xfs[219] = 0x28;
        assert_eq!(names(&xfs, "xfs"), Some(vec!["bigtime", "nrext64"]));
        let mut btrfs = [0; 512];
        btrfs[64..72].copy_from_slice(b"_BHRfS_M");
        btrfs[180] = 8;
        assert_eq!(names(&btrfs, "btrfs"), Some(vec!["block-group-tree"]));
        assert_eq!(names(&btrfs, "xfs"), None);
    }
}
