//! What UEFI firmware starts: its variables `Boot####`, `BootOrder` and `BootNext`,
//! and the device paths in them (UEFI specification, 3.1.3 and 10.3). Pure.

/// A `Boot####`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadOption {
    /// The firmware tries it.
    pub active: bool,
    /// Its name in the firmware's menu.
    pub name: String,
    /// The partition, as `PARTUUID=` has it.
    pub partition: Option<String>,
    /// The program on it, with backslashes as the firmware has it.
    pub program: Option<String>,
    /// The device path was read to its end.
    pub whole: bool,
}

const ACTIVE: u32 = 1;
const MEDIA: u8 = 4;
const HARD_DRIVE: u8 = 1;
const FILE_PATH: u8 = 4;
const END: u8 = 0x7f;
const MBR: u8 = 1;
const GUID: u8 = 2;

/// Reads one; `None` for what is none.
#[must_use]
pub(crate) fn load_option(value: &[u8]) -> Option<LoadOption> {
    let attributes = u32::from_le_bytes(value.get(..4)?.try_into().ok()?);
    let length = usize::from(u16::from_le_bytes(value.get(4..6)?.try_into().ok()?));
    let rest = value.get(6..)?;
    let name = text(rest);
    let end = rest.chunks_exact(2).position(|unit| unit == [0, 0])?;
    let paths = rest.get(2 * end + 2..)?;
    let path = paths.get(..length).unwrap_or(paths);
    let (partition, program, whole) = device_path(path);
    Some(LoadOption { active: attributes & ACTIVE != 0, name, partition, program, whole })
}

/// The partition and the program of a device path, and whether it has an end.
fn device_path(mut path: &[u8]) -> (Option<String>, Option<String>, bool) {
    let (mut partition, mut program) = (None, None::<String>);
    while let [kind, subtype, low, high, ..] = *path {
        let length = usize::from(u16::from_le_bytes([low, high])).max(4);
        let node = path.get(4..length).unwrap_or_default();
        match (kind, subtype) {
            (END, _) => return (partition, program, true),
            (MEDIA, HARD_DRIVE) => partition = partition.or_else(|| hard_drive(node)),
            (MEDIA, FILE_PATH) => {
                let part = text(node);
                let before = program.unwrap_or_default();
                let joined = format!("{}\\{}", before, part.trim_start_matches('\\'));
                program = Some(joined);
            }
            _ => {}
        }
        path = path.get(length..).unwrap_or_default();
    }
    (partition, program, false)
}

/// Number, start, size, signature, and what kind of signature that is.
fn hard_drive(node: &[u8]) -> Option<String> {
    let number = u32::from_le_bytes(node.get(..4)?.try_into().ok()?);
    let signature: [u8; 16] = node.get(20..36)?.try_into().ok()?;
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, b| format!("{text}{b:02x}"));
    let turned = |bytes: &[u8]| hex(&bytes.iter().rev().copied().collect::<Vec<_>>());
    match node.get(37) {
        Some(&MBR) => Some(format!("{}-{number:02x}", turned(&signature[..4]))),
        Some(&GUID) => Some(format!(
            "{}-{}-{}-{}-{}",
            turned(&signature[..4]),
            turned(&signature[4..6]),
            turned(&signature[6..8]),
            hex(&signature[8..10]),
            hex(&signature[10..])
        )),
        _ => None,
    }
}

/// UTF-16 up to its end or a zero.
#[must_use]
pub(crate) fn text(value: &[u8]) -> String {
    let units = value.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}

/// The numbers in a `BootOrder` or `BootNext`.
#[must_use]
pub(crate) fn numbers(value: &[u8]) -> Vec<u16> {
    value.chunks_exact(2).map(|number| u16::from_le_bytes([number[0], number[1]])).collect()
}

/// What `efibootmgr -o` takes.
#[must_use]
pub(crate) fn order(numbers: &[u16]) -> String {
    numbers.iter().map(|number| format!("{number:04X}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    fn node(kind: u8, subtype: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len() + 4).expect("short");
        [&[kind, subtype][..], &length.to_le_bytes(), content].concat()
    }

    fn option(attributes: u32, name: &str, path: &[u8]) -> Vec<u8> {
        let length = u16::try_from(path.len()).expect("short");
        [&attributes.to_le_bytes()[..], &length.to_le_bytes(), &utf16(name), path, b"more"].concat()
    }

    #[test]
    fn an_entry_names_its_partition_and_its_program() {
        let mut drive = vec![1, 0, 0, 0];
        drive.extend([0; 16]);
        drive.extend([
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9,
            0x3b, 2, GUID,
        ]);
        let file = utf16("\\EFI\\debian\\shimx64.efi");
        let path = [
            node(2, 1, &[0; 8]),
            node(MEDIA, HARD_DRIVE, &drive),
            node(MEDIA, FILE_PATH, &file),
            node(END, 0xff, &[]),
        ]
        .concat();
        let read = load_option(&option(1, "debian", &path)).expect("an entry");
        assert_eq!((read.active, read.name.as_str()), (true, "debian"));
        assert_eq!(read.partition.as_deref(), Some("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"));
        assert_eq!(read.program.as_deref(), Some("\\EFI\\debian\\shimx64.efi"));

        drive[20..24].copy_from_slice(&[0x78, 0x56, 0x34, 0x12]);
        drive[0] = 2;
        drive[37] = MBR;
        let path = [node(MEDIA, HARD_DRIVE, &drive), node(END, 0xff, &[])].concat();
        let read = load_option(&option(0, "disk", &path)).expect("an entry");
        assert_eq!((read.active, read.program), (false, None));
        assert_eq!(read.partition.as_deref(), Some("12345678-02"));
    }

    #[test]
    fn what_is_damaged_is_read_as_far_as_it_goes() {
        let file = utf16("\\EFI\\BOOT\\BOOTX64.EFI");
        let whole = option(1, "x", &node(MEDIA, FILE_PATH, &file));
        for length in 0..whole.len() {
            let _ = load_option(&whole[..length]);
        }
        assert_eq!(load_option(b""), None);
        // A node whose length is 0 is no reason to stay there for ever.
        let read = device_path(&[MEDIA, FILE_PATH, 0, 0, 1]);
        assert_eq!(read, (None, Some("\\".to_owned()), false));
        assert!(!load_option(&option(1, "x", b"")).expect("an entry").whole);
        let network = [node(3, 11, &[0; 33]), node(END, 0xff, &[])].concat();
        assert!(load_option(&option(1, "x", &network)).expect("an entry").whole);
    }

    #[test]
    fn numbers_are_written_as_efibootmgr_does() {
        assert_eq!(order(&numbers(&[1, 0, 0x0a, 0, 9])), "0001,000A");
        assert_eq!(text(&utf16("nixos-*")), "nixos-*");
    }
}
