//! `/boot` in all its forms: saved, replaced, and put back.

use std::fs;

use crate::common::compare::Excuse;
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, EXTLINUX, GRUB, Installer, Machine, SYSTEMD_BOOT, assert_same};

/// Prepares, looks, and cancels: as if nothing had been.
#[track_caller]
fn there_and_back(boot: Boot, installer: Installer, look: impl FnOnce(&Machine)) {
    let machine = match Machine::new(boot, installer) {
        Ok(machine) => machine,
        Err(skipped) => return crate::common::skip::say(&skipped),
    };
    let before = machine.manifest();
    let said = machine.prepare(&[]).expect(0).out();
    assert!(machine.exists("etc/NIXOS") && machine.exists("etc/NIXOS_LUSTRATE"), "{said}");
    let (opens, closes) = ("may not boot", "A system boots again.");
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("no {text:?} in {said}"));
    assert!(at(opens) < at("updating the boot loader") && at("a warning") < at(closes), "{said}");
    look(&machine);
    // Once more: nothing to do.
    let prepared = machine.manifest();
    let said = machine.prepare(&[]).expect(0).out();
    assert!(!said.contains("\ndone "), "{said}");
    assert_same(&prepared, &machine.manifest(), &Excuse::none());
    let said = machine.cancel().expect(0).out();
    assert!(says(&said, "undone     boot loader of NixOS"), "{said}");
    assert_same(&before, &machine.manifest(), &Excuse::none());
    // And once more.
    let said = machine.cancel().expect(0).out();
    assert!(says(&said, "Nothing to cancel"), "{said}");
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

fn saved(machine: &Machine) {
    assert_eq!(
        machine.read("boot.bak/grub/grub.cfg"),
        "menuentry 'Debian' {\n linux /vmlinuz-6.1\n}\n"
    );
    assert_eq!(machine.read("boot.bak/grub/state"), "old");
    assert_eq!(machine.owner("boot.bak/grub/state"), (7, 8));
    assert_eq!(machine.mode("boot.bak/initrd.img-6.1"), 0o600);
    assert!(machine.read("boot/grub/grub.cfg").contains("init=/nix/store/"));
    assert!(machine.exists("boot/vmlinuz-6.1"), "a copy leaves the old files usable");
}

#[test]
fn a_directory() {
    require_root!();
    there_and_back(Boot::Directory, GRUB, saved);
}

#[test]
fn a_file_system_of_its_own() {
    require_root!();
    there_and_back(Boot::Mount, GRUB, saved);
}

#[test]
fn a_directory_with_an_esp() {
    require_root!();
    there_and_back(Boot::Nested, GRUB, |machine| {
        saved(machine);
        assert_eq!(machine.read("boot.bak/efi/EFI/debian/grubx64.efi"), "grub of debian");
        assert!(machine.exists("boot/efi/EFI/NixOS-boot/grubx64.efi"));
        assert_eq!(machine.read("boot/efi/EFI/debian/grubx64.efi"), "grub of debian");
    });
}

#[test]
fn an_esp_shared_with_others() {
    require_root!();
    there_and_back(Boot::Esp, SYSTEMD_BOOT, |machine| {
        assert_eq!(machine.read("boot.bak/EFI/BOOT/BOOTX64.EFI"), "fallback of debian");
        assert_eq!(machine.read("boot/EFI/BOOT/BOOTX64.EFI"), "systemd\n");
        assert_eq!(machine.read("boot/EFI/Microsoft/Boot/bootmgfw.efi"), "somebody else's");
        assert_eq!(machine.read("boot/EFI/debian/shimx64.efi"), "shim");
    });
}

#[test]
fn none_at_all() {
    require_root!();
    there_and_back(Boot::Absent, GRUB, |machine| assert!(!machine.exists("boot.bak")));
}

#[test]
fn with_extlinux() {
    require_root!();
    there_and_back(Boot::Directory, EXTLINUX, |machine| {
        assert!(machine.exists("boot.bak/vmlinuz-6.1"));
    });
}

#[test]
fn without_space_for_a_copy_nothing_is_touched() {
    require_root!();
    for (boot, installer, at) in [
        (Boot::Directory, GRUB, ""),
        (Boot::Mount, GRUB, "/nix/var"),
        (Boot::Esp, SYSTEMD_BOOT, "/nix/var"),
    ] {
        let machine = or_skip!(Machine::new(boot, installer));
        machine.fill("home/large", 6 << 20);
        let before = machine.manifest();
        let ended = machine.prepare(&[]).expect(3);
        let at = format!("{}{at}", machine.path().display());
        let ended = ended.says(&[
            &format!("/boot holds 1 MiB, and {at} has 5 MiB free"),
            "The boot files of the old system could not be saved",
            &format!("on the file system of {at}"),
            "Nothing was touched",
        ]);
        assert_same(&before, &machine.manifest(), &Excuse::none());
        // As much as was said is enough.
        let said = ended.err();
        let mib = said.split("Free ").nth(1).and_then(|said| said.split(' ').next());
        let mib: u64 = mib.and_then(|mib| mib.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        assert!((2..6).contains(&mib), "{said}");
        let large = fs::File::options().write(true).open(machine.at("home/large"));
        let size = machine.at("home/large").metadata().expect("a file").len();
        large.expect("a file").set_len(size - (mib << 20)).expect("a smaller one");
        machine.prepare(&[]).expect(0);
    }
}

#[test]
fn when_boot_is_full_everything_is_put_back() {
    require_root!();
    let machine = or_skip!(Machine::bare(Boot::Mount));
    let mut kernel = crate::common::system::kernel("x86_64");
    kernel.resize(2 << 20, 5);
    crate::machine::system(GRUB).part("bzImage", kernel).place(machine.path());
    machine.fill("boot/large", 0);
    let before = machine.manifest();
    let ended = machine.prepare(&[]).expect(1);
    assert!(says(&ended.err(), "Everything was put back"), "{}", ended.err());
    let log = "nix/var/nixos-lustrate";
    assert!(machine.read("nix/var/nixos-lustrate/boot-loader.log").contains("No space left"));
    assert_same(&before, &machine.manifest(), &Excuse::none().below(log.as_bytes()));
}

#[test]
fn what_others_change_meanwhile_stays() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    // An update of the old system: a new kernel, its initrd made anew.
    machine.tree().file("boot/vmlinuz-6.2", "new kernel");
    machine.tree().file("boot/initrd.img-6.1", "made anew");
    fs::remove_file(machine.at("boot/vmlinuz")).expect("a link");
    let said = machine.cancel().expect(0).out();
    assert!(says(&said, "boot/vmlinuz-6.2 was made since by somebody else"), "{said}");
    assert_eq!(machine.read("boot/vmlinuz-6.2"), "new kernel");
    assert_eq!(machine.read("boot/initrd.img-6.1"), "made anew");
    assert!(!machine.exists("boot/vmlinuz"));
    assert!(machine.read("boot/grub/grub.cfg").contains("Debian"));
    assert!(!machine.exists("boot/kernels"));
}

#[test]
fn efi_variables_that_changed_are_said() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let of = |name: &str| {
        format!("sys/firmware/efi/efivars/{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c")
    };
    machine.tree().file(of("BootOrder"), [7, 0, 0, 0, 1, 0]);
    machine.tree().file(of("Boot0001"), "debian");
    machine.prepare(&[]).expect(0);
    machine.tree().file(of("BootOrder"), [7, 0, 0, 0, 2, 0, 1, 0]);
    machine.tree().file(of("Boot0002"), "nixos");
    let said = machine.cancel().expect(0).out();
    assert!(says(&said, "efibootmgr -o 0001") && says(&said, "efibootmgr -b 0002 -B"), "{said}");
}

/// An entry with paths below the top of the file system, and files beside it.
fn found(installer: &'static str) {
    let machine = or_skip!(Machine::new(Boot::Directory, Installer(installer)));
    let before = machine.manifest();
    let said = machine.prepare(&[]).expect(0).out();
    assert!(says(&said, "The next boot lustrates"), "{said}");
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

/// As GRUB has it where the root is a subvolume (openSUSE's is a snapshot), or a
/// dataset of ZFS.
#[test]
fn paths_from_above_the_root_are_found() {
    require_root!();
    for prefix in ["", "/@", "/@/root/x", "/@/.snapshots/1/snapshot", "/ROOT/debian/@"] {
        let script = format!(
            r#"
mkdir -p /boot/grub
cat >/boot/grub/grub.cfg <<END
menuentry "NixOS" {{
  linux (\$drive1){prefix}$(readlink -f "$top/kernel") init=$top/init
  initrd (\$drive1){prefix}$(readlink -f "$top/initrd")
}}
END
"#
        );
        found(script.leak());
    }
}

#[test]
fn an_entry_of_refind_is_found() {
    require_root!();
    found(
        r#"
mkdir -p /boot/EFI/refind /boot/EFI/nixos
cp "$top/kernel" /boot/EFI/nixos/k
cp "$top/initrd" /boot/EFI/nixos/i
cat >/boot/EFI/refind/refind.conf <<END
timeout 5
menuentry "NixOS" {
    loader /EFI/nixos/k
    initrd /EFI/nixos/i
    options "init=$top/init loglevel=4"
}
END
"#,
    );
}

const XEN: &str = r#"
mkdir -p /boot/kernels
cp "$top/kernel" /boot/kernels/k
cp "$top/initrd" /boot/kernels/i
echo xen >/boot/kernels/xen.gz
cat >/boot/grub/grub.cfg <<END
menuentry "NixOS - Default" {
  multiboot2 (\$drive1)//kernels/xen.gz dom0_mem=1G
  module2 (\$drive1)//kernels/k init=$top/init
  module2 (\$drive1)//kernels/i
}
END
"#;

#[test]
fn an_entry_of_grub_with_xen_is_found() {
    require_root!();
    found(XEN);
}

/// One good initrd, or the kernel alone, is not enough.
#[test]
fn every_file_that_an_entry_names_has_to_be_there() {
    require_root!();
    let without_xen = format!("{XEN}\nrm /boot/kernels/xen.gz\n");
    let microcode = r#"
mkdir -p /boot/kernels
cp "$top/kernel" /boot/kernels/k
cp "$top/initrd" /boot/kernels/i
cat >/boot/grub/grub.cfg <<END
menuentry "NixOS" {
  linux (\$drive1)//kernels/k init=$top/init
  initrd (\$drive1)//kernels/ucode (\$drive1)//kernels/i
}
END
"#;
    for (script, missing) in [(without_xen.leak() as &str, "kernels/xen.gz"), (microcode, "ucode")]
    {
        let machine = or_skip!(Machine::new(Boot::Directory, Installer(script)));
        let before = machine.manifest();
        machine.prepare(&[]).expect(1).says(&[&format!("{missing}, which is missing")]);
        let log = Excuse::none().below(b"nix/var/nixos-lustrate");
        assert_same(&before, &machine.manifest(), &log);
    }
}
