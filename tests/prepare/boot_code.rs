//! The boot code of a disk that a BIOS starts: saved, and put back with the files.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process::Command;

use crate::common::command::{LIMIT, arguments, run_limited};
use crate::common::compare::Excuse;
use crate::common::skip::Skipped;
use crate::common::strace::{self, Call, Fault};
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, GRUB, Machine, assert_same};
use crate::places::with_facts;

const FACTS: &str = r#"{"kind": "grub", "writes": ["/boot"], "mirrors": [
    {"devices": ["/dev/test-disk"], "path": "/boot"}]}"#;

/// As grub-install does: the boot sector's code, and the core image behind it.
const GRUB_INSTALL: &str = r"
echo boot-of-nixos | dd of=/dev/test-disk conv=notrunc bs=440
echo core-of-nixos | dd of=/dev/test-disk conv=notrunc bs=512 seek=1
sync
";

/// A disk with a table, and a node for it in the root.
struct Disk {
    image: PathBuf,
    device: String,
}

impl Disk {
    fn new(machine: &Machine) -> Result<Self, Skipped> {
        let image = Self::image(machine);
        let file = File::create(&image).expect("a file");
        file.set_len(8 << 20).expect("a size");
        file.write_all_at(b"boot-of-debian", 0).expect("code");
        file.write_all_at(&[7; 6], 440).expect("an id");
        file.write_all_at(&[0x83, 0, 0, 0, 0, 8, 0, 0], 450).expect("a partition");
        file.write_all_at(&[0x55, 0xaa], 510).expect("a signature");
        file.write_all_at(&vec![5; 40 << 10], 512).expect("a core image");
        let mut losetup = Command::new("losetup");
        let ended = run_limited(losetup.args(["-f", "--show"]).arg(&image), LIMIT);
        if ended.code != 0 {
            return Err(Skipped::new(format!("losetup: {}", ended.err())));
        }
        let device = ended.out().trim().to_owned();
        let number = fs::metadata(&device).expect("a device").rdev();
        let numbers = (nix::sys::stat::major(number), nix::sys::stat::minor(number));
        let mut mknod = Command::new("mknod");
        mknod.arg(machine.at("dev/test-disk")).arg("b");
        run_limited(mknod.args([numbers.0.to_string(), numbers.1.to_string()]), LIMIT).expect(0);
        Ok(Self { image, device })
    }

    fn image(machine: &Machine) -> PathBuf {
        let unique = machine.path().file_name().expect("a name").to_string_lossy().into_owned();
        let name = format!("disk-{}-{unique}", std::process::id());
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
    }

    /// What is on it, by the device.
    fn content(&self) -> Vec<u8> {
        fs::read(&self.device).expect("the disk")
    }

    fn write(&self, bytes: &[u8], at: u64) {
        let file = File::options().write(true).open(&self.device).expect("the disk");
        file.write_all_at(bytes, at).and_then(|()| file.sync_all()).expect("a write");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
        let _ = fs::remove_file(&self.image);
    }
}

fn machine(more: &str) -> Result<(Machine, Disk), Skipped> {
    let machine = Machine::bare(Boot::Directory)?;
    let disk = Disk::new(&machine)?;
    let installer = format!("{}{GRUB_INSTALL}{more}", GRUB.0);
    with_facts(installer.leak(), FACTS).place(machine.path());
    Ok((machine, disk))
}

#[test]
fn it_comes_back_with_the_files() {
    require_root!();
    let (machine, disk) = or_skip!(machine(""));
    let (before, old) = (machine.manifest(), disk.content());
    machine.prepare(&[]).expect(0);
    assert!(disk.content().starts_with(b"boot-of-nixos"));
    assert_eq!(&disk.content()[512..525], b"core-of-nixos");
    // A second run's installer leaves the first original what it is.
    fs::remove_file(machine.at("boot/kernels/k-bzImage")).expect("the kernel");
    machine.prepare(&[]).expect(0);
    let said = machine.cancel().expect(0).out();
    assert!(disk.content() == old, "the disk is another one");
    assert!(!says(&said, "grub-install"), "{said}");
    // The node in it is written to by the installer.
    assert_same(&before, &machine.manifest(), &Excuse::none().below(b"dev"));
}

#[test]
fn it_comes_back_when_the_installer_fails() {
    require_root!();
    let (machine, disk) = or_skip!(machine("exit 4"));
    let old = disk.content();
    machine.prepare(&[]).expect(1).says(&["Everything was put back"]);
    assert!(disk.content() == old, "the disk is another one");
}

/// No disk takes a core image in one piece: the power may go in the middle of it.
#[test]
fn what_was_half_written_back_is_completed() {
    require_root!();
    or_skip!(strace::available());
    let (machine, disk) = or_skip!(machine(""));
    let old = disk.content();
    machine.prepare(&[]).expect(0);
    let call = Call { name: "pwrite64".into(), nth: 1, line: String::new() };
    let ended =
        strace::run_with(Fault::Kill, &call, arguments("cancel", machine.path(), &["--yes"]));
    assert!(ended.was_killed(), "{}", ended.err());
    disk.write(&old[512..519], 512);
    let said = machine.cancel().expect(0).out();
    assert!(disk.content() == old, "the disk is another one: {said}");
    assert!(!says(&said, "grub-install"), "{said}");
}

/// Each leaves the disk as it is, and is said.
#[test]
fn what_is_not_the_installer_s_stays() {
    require_root!();
    for (bytes, at, why) in [
        (&b"boot-of-another"[..], 0, "somebody else has changed it since"),
        (b"core-of-another", 512, "somebody else has changed it since"),
        (b"another id", 440, "its partition table is another one now"),
        (&[0x83, 0, 0, 0, 64, 0, 0, 0], 450, "its partition table is another one now"),
    ] {
        let (machine, disk) = or_skip!(machine(""));
        machine.prepare(&[]).expect(0);
        disk.write(bytes, at);
        let left = disk.content();
        let said = machine.cancel().expect(0).out();
        assert!(says(&said, &format!("The boot code of /dev/test-disk stays: {why}.")), "{said}");
        assert!(says(&said, "grub-install /dev/test-disk"), "{said}");
        assert!(disk.content() == left, "{why}: the disk is another one");
        assert!(!machine.exists("etc/NIXOS_LUSTRATE"));
    }
}

#[test]
fn what_was_saved_of_it_is_not_written_when_it_is_damaged() {
    require_root!();
    let (machine, disk) = or_skip!(machine(""));
    machine.prepare(&[]).expect(0);
    let left = disk.content();
    let saved = "nix/var/nixos-lustrate/boot-code.0.1";
    assert_eq!(machine.at(saved).metadata().expect("a file").len(), (1 << 20) - 512);
    machine.tree().file(saved, vec![9; (1 << 20) - 512]);
    let said = machine.cancel().expect(0).out();
    assert!(says(&said, "what was saved of it is missing or damaged"), "{said}");
    assert!(disk.content() == left, "the disk is another one");
}
