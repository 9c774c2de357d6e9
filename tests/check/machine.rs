//! A machine made of files: a root with Debian and a built system, and
//! directories that stand in for `/proc`, `/sys`, `/dev` and `/run`. As it is
//! made, nothing on it blocks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use nixos_lustrate::check::{self, Examine, Finding, Level, Report};

use crate::common::system::{BOOT_UUID, ROOT_UUID, System};
use crate::common::text::says;

/// The mounts of the machine as it is made.
pub(crate) const ROOT: &str = "21 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw";
pub(crate) const BOOT: &str = "30 21 254:15 / /boot rw,relatime - vfat /dev/vda15 rw";

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The machine; its files are gone with it.
pub(crate) struct Machine {
    base: PathBuf,
    pub(crate) options: Examine,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

impl Machine {
    /// With the system that is as it should be.
    pub(crate) fn new() -> Self {
        Self::with(&System::new())
    }

    pub(crate) fn with(system: &System) -> Self {
        let machine = Self::bare();
        system.place(&machine.root());
        machine
    }

    /// Without a built system.
    pub(crate) fn bare() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("check-{}-{number}", std::process::id());
        // Many small files: in memory, where that is possible.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
        let base = base.join(name);
        let mut options = Examine::new(base.join("root"));
        let sources = &mut options.sources;
        sources.proc = base.join("proc");
        sources.sys = base.join("sys");
        sources.dev = base.join("dev");
        sources.run = base.join("run");
        "x86_64".clone_into(&mut sources.arch);
        sources.now = 1_800_000_000;
        sources.running = true;
        let machine = Self { base, options };
        machine.file("root/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");
        machine.file("root/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        machine.file("root/etc/fstab", format!("UUID={ROOT_UUID} / ext4 defaults 0 1\n"));
        machine.file("root/usr/bin/true", "");
        machine.directory("root/boot");
        machine.link("root/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        machine.directory("root/nix/var/nix/db");
        machine.file("root/nix/var/nix/db/db.sqlite", "");
        machine.directory("sys/firmware/efi");
        machine.file("proc/version", "Linux version 6.1.0 (Debian)\n");
        machine.file("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        machine.file("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n");
        machine.file("proc/cmdline", "root=UUID=x ro quiet\n");
        machine.link("proc/1/root", "../../root");
        machine.file("proc/1/environ", "HOME=/\0TERM=linux\0");
        machine.directory("run");
        machine.disk("vda", "254:0", "devices/pci0000:00/0000:00:04.0/virtio1/block/vda");
        machine.partition("vda", "vda1", "254:1", ROOT_UUID);
        machine.partition("vda", "vda15", "254:15", BOOT_UUID);
        machine.driver("devices/pci0000:00/0000:00:04.0/virtio1", "virtio_blk");
        machine.superblock("vda1", &[]);
        machine.mounts(&[ROOT, BOOT]);
        machine
    }

    /// A disk at its place in `/sys`.
    pub(crate) fn disk(&self, name: &str, numbers: &str, place: &str) {
        self.directory(&format!("sys/{place}"));
        self.link(&format!("sys/class/block/{name}"), &format!("/{place}"));
        self.link(&format!("sys/dev/block/{numbers}"), &format!("/{place}"));
        self.file(&format!("dev/{name}"), "");
    }

    /// A partition of a disk, and its link by UUID.
    pub(crate) fn partition(&self, disk: &str, name: &str, numbers: &str, uuid: &str) {
        let disk =
            std::fs::read_link(self.path(&format!("sys/class/block/{disk}"))).expect("a disk");
        let disk = disk.to_str().expect("UTF-8").trim_start_matches('/').to_owned();
        self.file(&format!("sys/{disk}/{name}/partition"), "1\n");
        self.disk(name, numbers, &format!("{disk}/{name}"));
        self.link(&format!("dev/disk/by-uuid/{uuid}"), &format!("../../{name}"));
    }

    /// The module of a device's driver.
    pub(crate) fn driver(&self, place: &str, module: &str) {
        self.directory(&format!("sys/module/{module}"));
        self.link(&format!("sys/{place}/driver/module"), &format!("/module/{module}"));
    }

    /// An ext4 superblock with bits set in some of its bytes.
    pub(crate) fn superblock(&self, device: &str, bits: &[(usize, u8)]) {
        let mut block = vec![0; 4096];
        block[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
        for &(at, bit) in bits {
            block[1024 + at] |= bit;
        }
        self.file(&format!("dev/{device}"), block);
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.base.join("root")
    }

    /// Writes a file, `root/…`, `proc/…`, `sys/…`, `dev/…` or `run/…`.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.base.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
        fs::write(path, content).expect("a file");
    }

    pub(crate) fn directory(&self, path: &str) {
        fs::create_dir_all(self.base.join(path)).expect("a directory");
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.base.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
        let _ = fs::remove_file(&path);
        symlink(target, path).expect("a link");
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.base.join(path);
        fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).expect("removed");
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// The lines of the mount table.
    pub(crate) fn mounts(&self, lines: &[&str]) {
        self.file("proc/self/mountinfo", lines.join("\n") + "\n");
    }

    pub(crate) fn report(&self) -> Report {
        check::examine(&self.options).expect("a report")
    }

    /// Panics unless the check's worst finding has this level and says these.
    #[track_caller]
    pub(crate) fn expect(&self, id: &str, level: Level, parts: &[&str]) -> Finding {
        let report = self.report();
        let text = report.to_text(check::Colour::None);
        let found = report.find(id).unwrap_or_else(|| panic!("no finding {id}:\n{text}"));
        assert_eq!(found.level, level, "{found:#?}");
        assert!(found.checked, "{found:#?}");
        let all = [Some(&found.found), found.consequence.as_ref(), found.fix.as_ref()];
        let all = all.into_iter().flatten().cloned().collect::<Vec<_>>().join(". ");
        for part in parts {
            assert!(says(&all, part), "no {part:?} in: {all}");
        }
        found.clone()
    }

    #[track_caller]
    pub(crate) fn ok(&self, id: &str) -> Finding {
        self.expect(id, Level::Ok, &[])
    }

    /// Panics unless the check says that it could not examine it.
    #[track_caller]
    pub(crate) fn unchecked(&self, id: &str, part: &str) {
        let report = self.report();
        let found = report.findings.iter().find(|f| f.id == id && !f.checked);
        let found = found.unwrap_or_else(|| panic!("{id} is checked: {report:#?}"));
        assert_eq!(found.level, Level::Warning);
        assert!(says(&found.found, part), "no {part:?} in {found:#?}");
    }
}
