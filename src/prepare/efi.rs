//! The boot entries of the firmware, read as files below `/sys`: recorded before
//! the boot loader's installer runs, compared afterwards. They are never written.

use std::collections::BTreeMap;

use super::escape;
use super::notes::Key;
use super::step::Result;
use crate::fs::disk::{Dir, Disk};
use crate::fs::name::Name;
use crate::fs::tree::Tree;

/// `EFI_GLOBAL_VARIABLE` of the UEFI specification.
const GLOBAL: &[u8] = b"-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Of the Boot Loader Interface, which systemd-boot has.
const LOADER: &[u8] = b"-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const VARIABLES: [Name; 4] = [
    Name::literal("sys"),
    Name::literal("firmware"),
    Name::literal("efi"),
    Name::literal("efivars"),
];

/// `BootOrder` and each `Boot####`: their bytes, in hexadecimal digits.
pub(crate) type Variables = BTreeMap<String, String>;

/// Those that were there before.
pub(crate) const BEFORE: Key<Option<Variables>> = Key::new("efi");

/// Reads them; `None` where there is no EFI, or `/sys` is not mounted.
pub(crate) fn read(disk: &Disk, root: &Dir) -> Result<Option<Variables>> {
    let Some(dir) = disk.open(root, &VARIABLES)? else { return Ok(None) };
    let mut found = Variables::new();
    for file in disk.list(&dir)? {
        let Some(name) = file.as_bytes().strip_suffix(GLOBAL).filter(|name| is_boot(name)) else {
            continue;
        };
        if let Some(value) = disk.read(&dir, &file, 64 << 10)? {
            found.insert(escape::escape(name), escape::hex(&value));
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

/// A variable's value, without its attributes.
pub(crate) fn variable(disk: &Disk, root: &Dir, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(dir) = disk.open(root, &VARIABLES)? else { return Ok(None) };
    let vendor = if name.starts_with("Loader") { LOADER } else { GLOBAL };
    let Ok(file) = Name::new(&[name.as_bytes(), vendor].concat()) else { return Ok(None) };
    if disk.stat(&dir, &file)?.is_none() {
        return Ok(None);
    }
    let value = disk.read(&dir, &file, 64 << 10)?;
    Ok(value.map(|value| value.get(4..).unwrap_or_default().to_vec()))
}

/// The numbers of all boot entries.
pub(crate) fn entries(disk: &Disk, root: &Dir) -> Result<Vec<u16>> {
    let Some(dir) = disk.open(root, &VARIABLES)? else { return Ok(Vec::new()) };
    let number = |file: &Name| {
        let name = file.as_bytes().strip_suffix(GLOBAL)?;
        let digits = name.strip_prefix(b"Boot").filter(|_| is_boot(name))?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut found: Vec<u16> = disk.list(&dir)?.iter().filter_map(number).collect();
    found.sort_unstable();
    Ok(found)
}

fn is_boot(name: &[u8]) -> bool {
    match name.strip_prefix(b"Boot") {
        Some(b"Order") => true,
        Some(number) => number.len() == 4 && number.iter().all(u8::is_ascii_hexdigit),
        None => false,
    }
}

/// What changed since, in sentences with the command that undoes it.
#[must_use]
pub(crate) fn changes(before: &Variables, now: &Variables) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in now {
        let number = name.trim_start_matches("Boot");
        match before.get(name) {
            Some(old) if old == value => {}
            Some(old) if name == "BootOrder" => found.push(format!(
                "The firmware's boot order is another one now. To set it back: efibootmgr -o {}",
                order(old)
            )),
            Some(_) => found.push(format!("The firmware's boot entry {number} is another one now")),
            None => found.push(format!(
                "The firmware has a new boot entry. To remove it: efibootmgr -b {number} -B"
            )),
        }
    }
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    found.extend(gone.map(|name| format!("The firmware's variable {name} is gone")));
    found
}

/// `0001,0000` of the bytes of `BootOrder`: four of attributes, then two for
/// each entry, the lower one first.
fn order(digits: &str) -> String {
    let digits: Vec<char> = digits.chars().skip(8).collect();
    let numbers = digits.chunks_exact(4).map(|d| match d {
        [a, b, c, e] => format!("{c}{e}{a}{b}").to_uppercase(),
        _ => String::new(),
    });
    numbers.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_installer_changed_is_said_with_its_mend() {
        let of = |list: &[(&str, &str)]| {
            list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Variables>()
        };
        let before =
            of(&[("BootOrder", "0700000001000a00"), ("Boot0001", "aa"), ("Boot000A", "bb")]);
        let now = of(&[("BootOrder", "070000000200"), ("Boot0001", "ab"), ("Boot0002", "cc")]);
        assert_eq!(
            changes(&before, &now),
            [
                "The firmware's boot entry 0001 is another one now",
                "The firmware has a new boot entry. To remove it: efibootmgr -b 0002 -B",
                "The firmware's boot order is another one now. To set it back: efibootmgr -o 0001,000A",
                "The firmware's variable Boot000A is gone",
            ]
        );
        assert!(changes(&before, &before).is_empty());
    }

    #[test]
    fn only_boot_entries_are_recorded() {
        for (name, is) in [
            ("BootOrder", true),
            ("Boot0001", true),
            ("Boot00AF", true),
            ("BootCurrent", false),
            ("Boot001", false),
            ("SecureBoot", false),
        ] {
            assert_eq!(is_boot(name.as_bytes()), is, "{name}");
        }
    }
}
