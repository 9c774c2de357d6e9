//! `/proc/swaps`: the swap areas in use; `mm/swapfile.c`. Pure.

use super::mounts::unescape;

/// A swap area in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Swap {
    /// Its path, as the kernel shows it.
    pub path: Vec<u8>,
    /// A file, not a device.
    pub file: bool,
}

/// Reads the table; what is no line of it is passed over.
pub(crate) fn parse(table: &[u8]) -> impl Iterator<Item = Swap> {
    table.split(|&b| b == b'\n').skip(1).filter_map(|line| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let (path, kind) = (fields.next()?, fields.next()?);
        Some(Swap { path: unescape(path), file: kind == b"file" })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_devices_are_told_apart() {
        let table = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
            /dev/sda3                               partition\t2097148\t\t0\t\t-2\n\
            /swap\\040file                           file\t\t1048572\t\t0\t\t-3\n/cut\n";
        let swaps: Vec<_> = parse(table).map(|swap| (swap.path, swap.file)).collect();
        assert_eq!(swaps, [(b"/dev/sda3".to_vec(), false), (b"/swap file".to_vec(), true)]);
    }
}
