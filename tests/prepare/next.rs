//! What is said of the next boot: only what the firmware and the boot loader will do.

use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, EXTLINUX, Machine, SYSTEMD_BOOT, system};

const GOES: &str = "The next boot lustrates. Until then";
const SHIM: &str = "\\EFI\\debian\\shimx64.efi";
const OURS: &str = "\\EFI\\systemd\\systemd-bootx64.efi";

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A `Boot####` with a program, or one of the network.
fn entry(attributes: u8, name: &str, program: Option<&str>) -> Vec<u8> {
    let node = |kind: u8, subtype: u8, content: &[u8]| {
        let length = u16::try_from(content.len() + 4).expect("short");
        [&[kind, subtype][..], &length.to_le_bytes(), content].concat()
    };
    let path = match program {
        Some(program) => node(4, 4, &utf16(program)),
        None => node(3, 11, &[0; 33]),
    };
    let path = [path, node(0x7f, 0xff, &[])].concat();
    let length = u16::try_from(path.len()).expect("short");
    [&[7, 0, 0, 0, attributes, 0, 0, 0][..], &length.to_le_bytes(), &utf16(name), &path].concat()
}

struct Firmware<'a>(&'a Machine);

impl Firmware<'_> {
    fn set(&self, name: &str, value: &[u8]) {
        let loader = name.starts_with("Loader");
        let vendor = if loader {
            "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        } else {
            "8be4df61-93ca-11d2-aa0d-00e098032b8c"
        };
        self.0.tree().file(format!("sys/firmware/efi/efivars/{name}-{vendor}"), value);
    }

    fn order(&self, name: &str, numbers: &[u16]) {
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        let value: Vec<u8> = [7, 0, 0, 0].into_iter().chain(numbers).collect();
        self.set(name, &value);
    }

    fn word(&self, name: &str, text: &str) {
        self.set(name, &[&[7, 0, 0, 0][..], &utf16(text)].concat());
    }

    /// What is said after `prepare`, once more.
    #[track_caller]
    fn says(&self, parts: &[&str]) {
        let said = self.0.prepare(&[]).expect(0).out();
        for part in parts {
            assert!(says(&said, part), "no {part:?} in {said}");
        }
        let goes = parts.contains(&GOES);
        assert_eq!(says(&said, "The next boot lustrates"), goes, "{said}");
    }
}

#[test]
fn the_firmware_has_to_start_the_boot_loader_of_nixos() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Esp, SYSTEMD_BOOT));
    let firmware = Firmware(&machine);
    firmware.set("Boot0000", &entry(1, "debian", Some(SHIM)));
    firmware.order("BootOrder", &[0]);
    firmware.says(&[
        "The next boot does not lustrate: the firmware starts \\EFI\\debian\\shimx64.efi first, \
         by its entry 0000 (debian), and that is not the boot loader of NixOS.",
        "It would start the old system",
        "efibootmgr -c -d DISK -p PART-OF-/boot -L NixOS -l '\\EFI\\systemd\\systemd-bootx64.efi'",
    ]);
    // An entry of its own, behind the other, or switched off.
    firmware.set("Boot0003", &entry(1, "Linux Boot Manager", Some(OURS)));
    firmware.says(&["efibootmgr -o 0003,0000\n"]);
    firmware.set("Boot0004", &entry(1, "PXE", None));
    firmware.order("BootOrder", &[4, 0, 3]);
    firmware.says(&["efibootmgr -o 0003,0004,0000\n"]);
    firmware.set("Boot0003", &entry(0, "Linux Boot Manager", Some(OURS)));
    firmware.order("BootOrder", &[3, 0]);
    firmware.says(&["shimx64.efi first", "efibootmgr -c "]);
    // What is no program is passed over, and upper and lower case are the same.
    firmware.set("Boot0003", &entry(1, "Linux Boot Manager", Some(&OURS.to_lowercase())));
    firmware.order("BootOrder", &[4, 3, 0]);
    firmware.says(&[GOES]);
    firmware.order("BootNext", &[0]);
    firmware.says(&["shimx64.efi once (BootNext)", "  efibootmgr -N\n"]);
    firmware.order("BootNext", &[3]);
    firmware.order("BootOrder", &[0, 3]);
    firmware.says(&[GOES]);
    // What cannot be read is not passed over.
    firmware.set("Boot0003", b"\x07\0\0\0\x01\0\0\0\0\0x\0\0\0damaged");
    firmware.says(&["the firmware starts something that is not known once (BootNext)"]);
}

#[test]
fn without_an_entry_the_program_of_removable_media_counts() {
    require_root!();
    let without = SYSTEMD_BOOT.0.replace("echo systemd >/boot/EFI/BOOT/BOOTX64.EFI", "");
    for (installer, goes) in [(SYSTEMD_BOOT.0, true), (without.leak() as &str, false)] {
        let machine = or_skip!(Machine::bare(Boot::Esp));
        system(crate::machine::Installer(installer)).place(machine.path());
        let firmware = Firmware(&machine);
        firmware.order("BootOrder", &[]);
        if goes {
            firmware.says(&[GOES]);
        } else {
            firmware.says(&[
                "/boot/EFI/BOOT/BOOTX64.EFI is not the one of NixOS",
                "efibootmgr -c -d DISK ",
            ]);
            // The same program under both names is the same boot loader.
            machine.cancel().expect(0);
            machine.tree().file("boot/EFI/BOOT/BOOTX64.EFI", "systemd\n");
            firmware.says(&[GOES]);
        }
    }
}

#[test]
fn what_systemd_boot_was_told_goes_before_its_configuration() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Esp, SYSTEMD_BOOT));
    machine.tree().file("boot/loader/entries/debian.conf", "title Debian\nlinux /vmlinuz\n");
    let firmware = Firmware(&machine);
    firmware.set("Boot0000", &entry(1, "Linux Boot Manager", Some(OURS)));
    firmware.order("BootOrder", &[0]);
    firmware.says(&[GOES]);
    firmware.word("LoaderEntryDefault", "debian.conf");
    firmware
        .says(&["takes the entry 'debian.conf' (LoaderEntryDefault)", "bootctl set-default \"\""]);
    firmware.word("LoaderEntryOneShot", "nixos-generation-1.conf");
    firmware.says(&[GOES]);
    firmware.word("LoaderEntryOneShot", "deb*");
    firmware.says(&["takes the entry 'deb*' (LoaderEntryOneShot)", "bootctl set-oneshot \"\""]);
    // What is not there is passed over.
    firmware.word("LoaderEntryOneShot", "gone.conf");
    firmware.word("LoaderEntryDefault", "@saved");
    firmware.says(&[GOES]);
    firmware.word("LoaderEntryLastBooted", "debian.conf");
    firmware.says(&["takes the entry 'debian.conf' (LoaderEntryDefault)"]);
    firmware.word("LoaderEntryDefault", "nixos-*");
    firmware.says(&[GOES]);
    firmware.word("LoaderEntryDefault", "");
    machine.tree().file("boot/loader/loader.conf", "timeout 1\ndefault debian.conf\n");
    firmware.says(&[
        "/boot/loader/loader.conf has 'debian.conf' as default",
        "bootctl set-default nixos-generation-1.conf",
    ]);
}

/// extlinux on a PC whose boot sector goes on to start Debian's GRUB.
#[test]
fn what_cannot_be_known_is_not_promised() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, EXTLINUX));
    let said = machine.prepare(&[]).expect(0).out();
    assert!(!says(&said, GOES), "{said}");
    let perhaps = "The next boot lustrates, if the machine starts by /boot/extlinux/extlinux.conf and \
                   not by /boot/grub/grub.cfg, which is there too and names no NixOS.";
    assert!(says(&said, perhaps), "{said}");
}
