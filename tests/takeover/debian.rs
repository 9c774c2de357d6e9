//! The disk of a machine with Debian, made once by the scripts in `debian/` and
//! kept in the cache; its boot loader is installed by the machine itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::lab::cache;
use crate::lab::disk::Disk;
use crate::lab::drive::{self, Drive};
use crate::lab::host::output;
use crate::lab::layout::Fs;
use crate::lab::machine::{Machine, OVMF_VARIABLES, Source, Waited};

/// How the machine starts, and where its `/boot` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// A BIOS, GRUB, and `/boot` on a partition of its own.
    Bios,
    /// UEFI, GRUB, an ESP at `/boot/efi`; `/boot` is on the root.
    Uefi,
}

pub const ROOT_UUID: &str = "7a6e0001-0000-4000-8000-00000000000a";
pub const BOOT_UUID: &str = "7a6e0001-0000-4000-8000-00000000000b";
pub const ESP_UUID: &str = "7A6E-000C";

/// Where disk.sh puts the partitions, in sectors of 512 bytes.
const FIRST: (u64, u64) = (2048, 409_600);
const SECOND: u64 = FIRST.0 + FIRST.1;

impl Variant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        }
    }
}

/// Mount options for the root on a disk of ours.
pub fn root_partition() -> String {
    format!("offset={}", SECOND * 512)
}

/// Mount options for the partition before it.
pub fn first_partition() -> String {
    format!("offset={},sizelimit={}", FIRST.0 * 512, FIRST.1 * 512)
}

/// The Debian, as files: its kernel and programs are also used outside.
pub fn tree() -> PathBuf {
    let key = cache::key(&[include_bytes!("debian/tree.sh")]);
    cache::once("takeover-debian", &key, |place| {
        output(script("tree.sh").arg(place));
    })
}

/// A disk with Debian that boots, and the firmware's variables to it.
pub fn disk(variant: Variant) -> (Disk, PathBuf) {
    let key = cache::key(&[
        include_bytes!("debian/tree.sh").as_slice(),
        include_bytes!("debian/disk.sh"),
        include_bytes!("debian/install.sh"),
    ]);
    let stem = format!("takeover-{}", variant.name());
    let folder = cache::once(&stem, &key, |place| {
        fs::create_dir_all(place).expect("a folder for the disk");
        let image = place.join("disk.img");
        output(script("disk.sh").arg(variant.name()).arg(tree()).arg(&image));
        install(variant, &image, &place.join("variables"));
    });
    let disk = Disk::partitioned(&folder.join("disk.img"), Fs::Ext4, &root_partition());
    (disk, folder.join("variables"))
}

/// systemd-boot, unpacked.
pub fn systemd_boot() -> PathBuf {
    let key = cache::key(&[include_bytes!("debian/systemd-boot.sh")]);
    cache::once("takeover-systemd-boot", &key, |place| {
        output(script("systemd-boot.sh").arg(place));
    })
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/takeover/debian").join(name))
}

/// Boots the machine once, with the kernel from its disk, to install the loader.
fn install(variant: Variant, image: &Path, variables: &Path) {
    let boot = tree().join("boot");
    let find = |stem: &str| {
        let entries = fs::read_dir(&boot).expect("/boot of the tree");
        let mut paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let path = paths.find(|path| path.display().to_string().contains(stem));
        path.expect("a kernel and its initrd")
    };
    let append = "console=ttyS0 quiet panic=-1 root=/dev/vda2 ro init=/root/install.sh";
    fs::copy(OVMF_VARIABLES, variables).expect("the variables of OVMF");
    let source = Source {
        kernel: Some((find("vmlinuz-"), find("initrd.img-"), append.to_owned())),
        variables: (variant == Variant::Uefi).then(|| variables.to_owned()),
    };
    let disk = Disk::adopt(image.to_owned(), Fs::Ext4);
    let drives = [Drive { disk: &disk, path: drive::Path::Plain }];
    let machine = Machine::start(&source, &drives);
    let waited = machine.wait_for(&["<<< installed: 0 >>>"], Duration::from_secs(360));
    assert_eq!(waited, Waited::Saw(0), "{}", machine.console());
    let waited = machine.wait_for(&[], Duration::from_secs(60));
    assert_eq!(waited, Waited::Off, "{}", machine.console());
    // It would remove the image when dropped.
    std::mem::forget(disk);
}
