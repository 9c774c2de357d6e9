//! Where on a disk with a partition table the code of a BIOS boot loader is: before the
//! table in its first sector, and where GRUB embeds its core image. Pure.

/// Of the first sector, what is no code: the disk's id, the table, the signature.
pub(crate) const CODE: u64 = 440;
pub(crate) const SECTOR: u64 = 512;
/// GRUB's core image is smaller, and partitions begin at 1 MiB.
const MOST: u64 = 1 << 20;

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where the core image is embedded: the first byte, and how many.
    pub embedding: Option<(u64, u64)>,
    /// What has to be unchanged for that to be so.
    pub table: Vec<u8>,
}

const PROTECTIVE: u8 = 0xee;
/// Of a BIOS boot partition, as its bytes are: "Hah!IdontNeedEFI".
const BIOS_BOOT: &[u8] = b"Hah!IdontNeedEFI";
/// Many more than anybody has.
const ENTRIES: usize = 1024;

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Reads the beginning of a disk, with so many bytes in a block; `None` without a table.
#[must_use]
pub(crate) fn layout(start: &[u8], block: u64) -> Option<Layout> {
    let sector = start.get(..512).filter(|sector| sector.ends_with(&[0x55, 0xaa]))?;
    let entries = sector[446..510].chunks_exact(16);
    let used: Vec<_> = entries.filter(|entry| entry[4] != 0).collect();
    let mut table = sector[440..].to_vec();
    if used.iter().any(|entry| entry[4] == PROTECTIVE) {
        let entries = gpt(start, block, &mut table)?;
        return Some(Layout { embedding: bios_boot(&entries, block), table });
    }
    let first = used.iter().filter_map(|entry| number(entry, 8, 4)).min()?;
    let end = first.checked_mul(block)?.min(MOST);
    let embedding = end.checked_sub(SECTOR).filter(|&length| length > 0);
    Some(Layout { embedding: embedding.map(|length| (SECTOR, length)), table })
}

/// The entries of a GPT; they and its header count for the table.
fn gpt(start: &[u8], block: u64, table: &mut Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let at = usize::try_from(block).ok()?;
    let header = start.get(at..at + 92).filter(|header| header.starts_with(b"EFI PART"))?;
    table.extend(header);
    let lba = usize::try_from(number(header, 72, 8)?.checked_mul(block)?).ok()?;
    let count = usize::try_from(number(header, 80, 4)?).ok()?.min(ENTRIES);
    let size = usize::try_from(number(header, 84, 4)?).ok().filter(|&size| size >= 128)?;
    let entries = start.get(lba..lba.checked_add(count.checked_mul(size)?)?)?;
    table.extend(entries);
    Some(entries.chunks_exact(size).map(<[u8]>::to_vec).collect())
}

/// The BIOS boot partition; between the table and the partitions is the table itself.
fn bios_boot(entries: &[Vec<u8>], block: u64) -> Option<(u64, u64)> {
    let entry = entries.iter().find(|entry| entry.starts_with(BIOS_BOOT))?;
    let (first, last) = (number(entry, 32, 8)?, number(entry, 40, 8)?);
    let length = last.checked_sub(first)?.checked_add(1)?.checked_mul(block)?;
    Some((first.checked_mul(block)?, length.min(MOST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mbr(first: u32, kind: u8) -> Vec<u8> {
        let mut disk = vec![0; 64 << 10];
        disk[450] = kind;
        disk[454..458].copy_from_slice(&first.to_le_bytes());
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk
    }

    #[test]
    fn with_an_mbr_the_gap_before_the_first_partition_is_it() {
        let layout = |first| layout(&mbr(first, 0x83), 512).expect("a table");
        assert_eq!(layout(63).embedding, Some((512, 62 * 512)));
        assert_eq!(layout(2048).embedding, Some((512, (1 << 20) - 512)));
        assert_eq!(layout(1 << 30).embedding, Some((512, (1 << 20) - 512)));
        assert_eq!(layout(1).embedding, None);
        assert_ne!(layout(63).table, layout(64).table);
        assert_eq!(super::layout(&[0; 512], 512), None);
        assert_eq!(super::layout(&mbr(63, 0), 512), None, "no partition");
        assert_eq!(super::layout(&[], 512), None);
    }

    #[test]
    fn with_a_gpt_only_a_bios_boot_partition_is_it() {
        for block in [512, 4096] {
            let mut disk = mbr(1, PROTECTIVE);
            let at = usize::try_from(block).expect("small");
            disk[at..at + 8].copy_from_slice(b"EFI PART");
            disk[at + 72] = 2;
            disk[at + 80] = 4;
            disk[at + 84] = 128;
            let none = layout(&disk, block).expect("a table");
            assert_eq!(none.embedding, None, "the gap is the table");
            let entry = 2 * at + 128;
            disk[entry..entry + 16].copy_from_slice(BIOS_BOOT);
            disk[entry + 32] = 40;
            disk[entry + 40] = 47;
            let found = layout(&disk, block).expect("a table");
            assert_eq!(found.embedding, Some((40 * block, 8 * block)));
            assert_ne!(found.table, none.table);
        }
    }
}
