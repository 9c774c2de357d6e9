//! Boot files anywhere but in `/boot`: saved, and put back.

use std::fs;

use crate::common::command::{LIMIT, run_limited};
use crate::common::compare::Excuse;
use crate::common::skip::Skipped;
use crate::common::system::System;
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, GRUB, Installer, Machine, assert_same, system};

const OLD: &str = "menuentry 'Debian' {\n linux /vmlinuz\n}\n";
const HOME: &str = "nix/var/nixos-lustrate";

/// A system whose `boot.json` has this as its boot loader.
pub(crate) fn with_facts(installer: &'static str, boot_loader: &str) -> System {
    system(Installer(installer)).bootspec(&[&format!(
        "\"org.nixos-lustrate.v1\": {{\"version\": \"0.1.0\", \"stage1\": \"systemd\", \
         \"configuration\": {{\"schema\": 1, \"bootLoader\": {boot_loader}}}}}"
    )])
}

fn machine(boot: Boot, installer: &'static str, boot_loader: &str) -> Result<Machine, Skipped> {
    let machine = Machine::bare(boot)?;
    with_facts(installer, boot_loader).place(machine.path());
    Ok(machine)
}

const MIRROR: &str = r#"
for at in /boot /boot-fallback; do
mkdir -p $at/kernels $at/grub
cp "$top/kernel" $at/kernels/k
cp "$top/initrd" $at/kernels/i
cat >$at/grub/grub.cfg <<END
menuentry "NixOS" {
  linux (\$drive1)//kernels/k init=$top/init
  initrd (\$drive1)//kernels/i
}
END
done
"#;
const MIRRORED: &str = r#"{"kind": "grub", "writes": ["/boot", "/boot-fallback"], "mirrors": [
    {"devices": ["/dev/sda"], "path": "/boot"}, {"devices": ["/dev/sdb"], "path": "/boot-fallback"}]}"#;

fn mirrored(installer: &'static str) -> Result<Machine, Skipped> {
    let mut machine = machine(Boot::Directory, installer, MIRRORED)?;
    machine.tree().directory("boot-fallback", 0o755);
    machine.mount("boot-fallback", "ext4", 16)?;
    machine.tree().file("boot-fallback/grub/grub.cfg", OLD);
    machine.tree().file("boot-fallback/vmlinuz", vec![3; 70_000]);
    Ok(machine)
}

#[test]
fn a_second_copy_of_the_boot_loader_comes_back() {
    require_root!();
    let machine = or_skip!(mirrored(MIRROR));
    let before = machine.manifest();
    let said = machine.prepare(&[]).expect(0).out();
    let copied = format!("/boot-fallback copied to /{HOME}/boot-fallback.bak");
    assert!(says(&said, &copied), "{said}");
    assert_eq!(machine.read(&format!("{HOME}/boot-fallback.bak/grub/grub.cfg")), OLD);
    assert!(machine.read("boot-fallback/grub/grub.cfg").contains("init="));
    let prepared = machine.manifest();
    let said = machine.prepare(&[]).expect(0).out();
    assert!(!said.contains("\ndone "), "{said}");
    assert_same(&prepared, &machine.manifest(), &Excuse::none());
    machine.cancel().expect(0);
    assert_eq!(machine.read("boot-fallback/grub/grub.cfg"), OLD);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

/// As of a system that does not say where it writes.
#[test]
fn a_second_copy_is_found_by_its_name_or_by_what_it_holds() {
    require_root!();
    for (at, file) in [("second", "grub/grub.cfg"), ("boot2", "something"), ("x", "EFI/a/b.efi")] {
        let installer = MIRROR.replace("boot-fallback", at);
        let mut machine = or_skip!(machine(Boot::Directory, installer.leak(), "null"));
        machine.tree().directory(at, 0o755);
        or_skip!(machine.mount(at, "ext4", 16));
        machine.tree().file(format!("{at}/{file}"), OLD);
        let before = machine.manifest();
        machine.prepare(&[]).expect(0);
        assert!(machine.read(&format!("{at}/grub/grub.cfg")).contains("init="));
        machine.cancel().expect(0);
        assert_same(&before, &machine.manifest(), &Excuse::none());
    }
}

/// A machine may start by either.
#[test]
fn each_copy_of_the_boot_loader_has_to_boot() {
    require_root!();
    let only_one = MIRROR.replacen("/boot /boot-fallback", "/boot", 1);
    let machine = or_skip!(mirrored(only_one.leak()));
    let before = machine.manifest();
    machine.prepare(&[]).expect(1).says(&["nothing below /boot-fallback names init="]);
    assert_same(&before, &machine.manifest(), &Excuse::none().below(HOME.as_bytes()));
}

#[test]
fn a_copy_that_names_nixos_keeps_the_marker() {
    require_root!();
    let machine = or_skip!(mirrored(MIRROR));
    machine.prepare(&[]).expect(0);
    let text = "menuentry x {\n linux /k init=/nix/store/other-custom/init\n}\n";
    machine.tree().file("boot-fallback/grub/custom.cfg", text);
    machine.cancel().expect(1).says(&["boot-fallback/grub/custom.cfg still names NixOS"]);
    assert!(machine.exists("etc/NIXOS_LUSTRATE"));
    fs::remove_file(machine.at("boot-fallback/grub/custom.cfg")).expect("the file");
    machine.cancel().expect(0);
    assert_eq!(machine.read("boot-fallback/grub/grub.cfg"), OLD);
}

#[test]
fn a_copy_that_is_not_mounted_any_more_is_not_passed_over() {
    require_root!();
    let machine = or_skip!(mirrored(MIRROR));
    machine.tree().directory("aside", 0o755);
    machine.prepare(&[]).expect(0);
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(words[0]);
        run_limited(command.args(&words[1..]), LIMIT).expect(0).out()
    };
    let point = machine.at("boot-fallback").display().to_string();
    let device = run(&["findmnt", "-no", "SOURCE", &point]);
    run(&["mount", "--bind", &point, &machine.at("aside").display().to_string()]);
    run(&["umount", &point]);
    let why = format!("{point} was a mount point when the boot files were saved, and is none now");
    machine.cancel().expect(3).says(&[&why]);
    run(&["mount", device.trim(), &point]);
    run(&["umount", &machine.at("aside").display().to_string()]);
    machine.cancel().expect(0);
    assert_eq!(machine.read("boot-fallback/grub/grub.cfg"), OLD);
}

const ESP: &str = r#"
mkdir -p /boot/EFI/nixos @esp@/EFI/systemd @esp@/EFI/BOOT /boot/loader/entries
cp "$top/kernel" /boot/EFI/nixos/k
cp "$top/initrd" /boot/EFI/nixos/i
echo systemd >@esp@/EFI/systemd/systemd-bootx64.efi
echo systemd >@esp@/EFI/BOOT/BOOTX64.EFI
cat >/boot/loader/entries/nixos-generation-1.conf <<END
linux /EFI/nixos/k
initrd /EFI/nixos/i
options init=$top/init
END
"#;

/// With and without a word about it in the configuration.
#[test]
fn an_esp_anywhere_comes_back() {
    require_root!();
    let said = |esp: &str| {
        format!(
            "{{\"kind\": \"systemd-boot\", \"writes\": [\"/boot\"], \"esps\": [\"/{esp}\"], \
             \"xbootldr\": \"/boot\"}}"
        )
    };
    for (esp, boot_loader) in [
        ("esp", said("esp")),
        ("efi", said("efi")),
        ("mnt/esp", said("mnt/esp")),
        ("second", "null".to_owned()),
    ] {
        let installer = ESP.replace("@esp@", &format!("/{esp}"));
        let mut machine = or_skip!(machine(Boot::Mount, installer.leak(), &boot_loader));
        machine.tree().directory(esp, 0o755);
        // Without a word about it, it is found as FAT.
        if boot_loader == "null" {
            or_skip!(machine.mount(esp, "vfat", 16));
        } else if !esp.contains('/') {
            or_skip!(machine.mount_esp(esp, 16));
        }
        machine.tree().file(format!("{esp}/EFI/BOOT/BOOTX64.EFI"), "fallback of debian");
        machine.tree().file(format!("{esp}/EFI/Microsoft/Boot/bootmgfw.efi"), "somebody else's");
        let before = machine.manifest();
        machine.prepare(&[]).expect(0);
        assert_eq!(machine.read(&format!("{esp}/EFI/BOOT/BOOTX64.EFI")), "systemd\n");
        let flat = esp.replace('/', "%2F");
        let saved = format!("{HOME}/{flat}.bak/EFI/BOOT/BOOTX64.EFI");
        assert_eq!(machine.read(&saved), "fallback of debian");
        machine.cancel().expect(0);
        assert_same(&before, &machine.manifest(), &Excuse::none());
    }
}

#[test]
fn a_place_that_was_not_there_goes_with_what_was_made_for_it() {
    require_root!();
    let installer = MIRROR.replace("/boot-fallback", "/srv/second/boot");
    let boot_loader = MIRRORED.replace("/boot-fallback", "/srv/second/boot");
    let machine = or_skip!(machine(Boot::Directory, installer.leak(), &boot_loader));
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    assert!(machine.exists("srv/second/boot/kernels/k"));
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

/// A second system may go where the first did not.
#[test]
fn a_place_of_a_second_system_is_saved_before_it_is_written() {
    require_root!();
    let mut machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().directory("boot-fallback", 0o755);
    or_skip!(machine.mount("boot-fallback", "ext4", 16));
    machine.tree().file("boot-fallback/grub/grub.cfg", OLD);
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    let second = with_facts(MIRROR, MIRRORED).place(machine.path());
    let second = second.to_str().expect("UTF-8").to_owned();
    machine.prepare(&["--system", &second]).expect(0);
    assert!(machine.read("boot-fallback/grub/grub.cfg").contains("init="));
    assert_eq!(machine.read(&format!("{HOME}/boot-fallback.bak/grub/grub.cfg")), OLD);
    machine.cancel().expect(0);
    let excuse = Excuse::none().below(b"nix/store").below(b"nix/var/nix");
    assert_same(&before, &machine.manifest(), &excuse);
}

#[test]
fn what_cannot_be_saved_is_refused_beforehand() {
    require_root!();
    let init = r#"{"kind": "initScript", "writes": ["/sbin/init", "/boot"]}"#;
    let store = r#"{"kind": "grub", "mirrors": [{"path": "/nix/boot", "devices": []}]}"#;
    for (boot_loader, why) in [
        (init, "the boot loader of the configuration is /sbin/init"),
        (store, "the boot loader of the configuration writes to '/nix/boot'"),
    ] {
        let machine = or_skip!(machine(Boot::Directory, GRUB.0, boot_loader));
        machine.tree().file("sbin/init", "of debian");
        let before = machine.manifest();
        machine.prepare(&[]).expect(3).says(&[why, "Nothing was touched"]);
        machine.prepare(&["--dry-run"]).expect(3).says(&[why]);
        assert_same(&before, &machine.manifest(), &Excuse::none());
    }
}

/// Together they need more than each of them.
#[test]
fn without_space_for_all_places_nothing_is_touched() {
    require_root!();
    let machine = or_skip!(mirrored(MIRROR));
    machine.tree().file("boot-fallback/large", vec![5; 3 << 20]);
    machine.tree().file("boot/large", vec![6; 3 << 20]);
    machine.fill("home/large", 14 << 20);
    let before = machine.manifest();
    machine.prepare(&[]).expect(3).says(&["could not be saved", "Free "]);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}
