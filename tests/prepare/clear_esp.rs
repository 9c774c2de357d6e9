//! `--clear-esp`: what of an ESP is the old system's goes, and comes back.

use crate::common::command::{LIMIT, lustrate, run_limited};
use crate::common::compare::Excuse;
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, GRUB, Machine, SYSTEMD_BOOT, assert_same};

const ID: &str = "0123456789abcdef0123456789abcdef";
const OTHER_ID: &str = "fedcba9876543210fedcba9876543210";

#[test]
fn it_goes_only_when_that_is_asked_for() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Esp, SYSTEMD_BOOT));
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    assert!(machine.exists("boot/EFI/debian/shimx64.efi"));
    machine.cancel().expect(0);
    machine.prepare(&["--clear-esp"]).expect(0);
    assert!(!machine.exists("boot/EFI/debian"));
    assert!(!machine.exists(&format!("boot/{ID}")));
    assert_eq!(machine.read("boot/EFI/Microsoft/Boot/bootmgfw.efi"), "somebody else's");
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

/// The distributions do not all call it by their `ID=`.
#[test]
fn each_distribution_s_directory_is_known() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Esp, SYSTEMD_BOOT));
    let all = ["redhat", "opensuse", "ubuntu", "fedora", "Pop_OS-1234", "arch"];
    for dir in all {
        machine.tree().file(format!("boot/EFI/{dir}/x.efi"), "x");
    }
    for (id, its) in [
        ("debian", "debian"),
        ("rhel", "redhat"),
        ("\"ol\"", "redhat"),
        ("opensuse-leap", "opensuse"),
        ("ubuntu", "ubuntu"),
        ("linuxmint", "ubuntu"),
        ("fedora", "fedora"),
        ("pop", "Pop_OS-1234"),
        ("arch", "arch"),
    ] {
        machine.tree().file("etc/os-release", format!("ID={id}\n"));
        let said = lustrate(machine.arguments(&["--dry-run", "--clear-esp"])).expect(0).out();
        for dir in all.iter().chain(&["debian", "Microsoft", "BOOT"]) {
            let goes = says(&said, &format!("remove from the ESP: /boot/EFI/{dir} "));
            assert_eq!(goes, *dir == its, "{id} {dir}: {said}");
        }
    }
}

#[test]
fn an_esp_without_anything_of_the_old_system_is_said() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let words = machine.arguments(&["--dry-run", "--clear-esp"]);
    let said = lustrate(words).expect(0).out();
    let want = "skipped    remove from the ESP: nothing there has the old system's name";
    assert!(says(&said, want), "{said}");
}

/// As kernel-install and mkinitcpio leave it: by machine id, by token, by the root.
#[test]
fn entries_go_with_the_kernels_that_only_they_name() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Esp, SYSTEMD_BOOT));
    let mut findmnt = std::process::Command::new("findmnt");
    let root = run_limited(findmnt.args(["-no", "SOURCE"]).arg(machine.path()), LIMIT).out();
    let root = root.trim();
    machine.tree().file("etc/os-release", "ID=arch\n");
    machine.tree().file("etc/kernel/entry-token", "mytoken\n");
    let gone = [
        (format!("loader/entries/{ID}-6.1.conf"), format!("linux /{ID}/6.1/linux\n")),
        ("loader/entries/mytoken-6.1.conf".into(), "linux /mytoken/6.1/linux\n".into()),
        ("mytoken/6.1/linux".into(), "kernel".into()),
        (
            "loader/entries/arch.conf".into(),
            format!(
                "linux /vmlinuz-linux\ninitrd /ucode.img\ninitrd /initramfs.img\noptions root={root} rw\n"
            ),
        ),
        ("vmlinuz-linux".into(), "kernel".into()),
        ("initramfs.img".into(), "initrd".into()),
        ("loader/entries/debian.conf".into(), format!("machine-id {ID}\nlinux /k\n")),
        ("k".into(), "kernel".into()),
        (format!("EFI/Linux/{ID}-6.1.efi"), "image".into()),
        ("EFI/Linux/arch-linux.efi".into(), format!("PE\0root={root} rw\0")),
    ];
    let stays = [
        ("loader/loader.conf".into(), "timeout 3\n".into()),
        (
            format!("loader/entries/{OTHER_ID}-6.1.conf"),
            format!("linux /{OTHER_ID}/linux\ninitrd /ucode.img\noptions root=UUID=1234\n"),
        ),
        (format!("{OTHER_ID}/linux"), "kernel of another".to_owned()),
        ("ucode.img".to_owned(), "of both".to_owned()),
        (
            "loader/entries/windows.conf".into(),
            "title x\nefi /EFI/Microsoft/Boot/bootmgfw.efi\n".into(),
        ),
        (
            "loader/entries/nixos-generation-9.conf".into(),
            format!(
                "machine-id {ID}\nlinux /EFI/nixos/k9\noptions root={root} init=/nix/store/x-nixos-system-9/init\n"
            ),
        ),
        ("EFI/nixos/k9".into(), "kernel of a NixOS".into()),
        (format!("EFI/Linux/{OTHER_ID}-6.1.efi"), "image".into()),
        ("EFI/Linux/other.efi".into(), "PE\0root=UUID=1234 rw\0".into()),
        ("EFI/fedora/grub.cfg".into(), "of another".into()),
    ];
    for (path, text) in gone.iter().chain(&stays) {
        machine.tree().file(format!("boot/{path}"), text);
    }
    let before = machine.manifest();
    machine.prepare(&["--clear-esp"]).expect(0);
    for (path, _) in &gone {
        assert!(!machine.exists(&format!("boot/{path}")), "{path}");
    }
    for (path, text) in stays.iter().filter(|(path, _)| path != "loader/loader.conf") {
        assert_eq!(machine.read(&format!("boot/{path}")), *text, "{path}");
    }
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

/// What it frees counts before anything is written, and without it there is no room.
#[test]
fn the_room_that_it_makes_is_room() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Esp, SYSTEMD_BOOT));
    machine.tree().file("boot/EFI/debian/big", vec![4; 6 << 20]);
    machine.fill("boot/large", 1 << 20);
    let arguments = |more: &[&str]| {
        let mut words = machine.arguments(more);
        let at = words.iter().position(|word| word == "boot-room").expect("no room");
        words.drain(at - 1..=at);
        words
    };
    lustrate(arguments(&["--yes"])).expect(3).says(&["--despite boot-room"]);
    let before = machine.manifest();
    let said = lustrate(arguments(&["--yes", "--clear-esp"])).expect(0).out();
    assert!(says(&said, "are free on /boot, with 7 MiB that --clear-esp frees"), "{said}");
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}
