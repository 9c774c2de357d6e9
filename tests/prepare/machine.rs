//! A machine that is to become NixOS: a small Debian on a file system of its own,
//! with a boot loader, and a built system whose boot loader's installer is a
//! script that can be told to fail.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nixos_lustrate::check::{self, Level};

use crate::common::command::{Ended, LIMIT, arguments, lustrate, run_limited};
use crate::common::compare::{Excuse, show};
use crate::common::image::{Fs, Image, Mounted, Options};
use crate::common::manifest::{Kind, Manifest};
use crate::common::skip::Skipped;
use crate::common::system::System;
use crate::common::trees::Root;

pub(crate) const BUSYBOX: &str = "/bin/busybox";

/// How `/boot` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boot {
    /// A directory of the root.
    Directory,
    /// A file system of its own.
    Mount,
    /// A directory with an ESP at `/boot/efi`.
    Nested,
    /// The ESP, shared with somebody else's boot loader.
    Esp,
    /// There is none.
    Absent,
}

/// What the boot loader's installer does, as shell commands in a root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Installer(pub(crate) &'static str);

/// What every installer begins with: it must never run without the marker.
const BEGIN: &str = r#"
set -e
[ "$1" = boot ] || exit 9
[ "$NIXOS_INSTALL_BOOTLOADER" = 1 ] || { echo "no NIXOS_INSTALL_BOOTLOADER"; exit 9; }
[ -z "$JUNK" ] || { echo "junk in the environment"; exit 9; }
[ -f /etc/NIXOS ] && [ -f /etc/NIXOS_LUSTRATE ] || { echo "no marker"; : >/P1-BROKEN; exit 9; }
[ -e /run/current-system ] || { echo "no /run/current-system"; exit 9; }
echo "updating the boot loader"
echo "a warning" >&2
top=@out@
"#;

pub(crate) const GRUB: Installer = Installer(
    r#"
mkdir -p /boot/kernels /boot/grub/i386-pc
cp "$top/kernel" /boot/kernels/k-bzImage.tmp
mv /boot/kernels/k-bzImage.tmp /boot/kernels/k-bzImage
cp "$top/initrd" /boot/kernels/i-initrd
echo normal-of-nixos >/boot/grub/i386-pc/normal.mod
echo new >/boot/grub/state
[ ! -d /boot/efi/EFI ] || { mkdir -p /boot/efi/EFI/NixOS-boot; echo grub >/boot/efi/EFI/NixOS-boot/grubx64.efi; }
cat >/boot/grub/grub.cfg.tmp <<END
menuentry "NixOS" {
  linux (\$drive1)//kernels/k-bzImage init=$top/init loglevel=4
  initrd (\$drive1)//kernels/i-initrd
}
END
mv /boot/grub/grub.cfg.tmp /boot/grub/grub.cfg
"#,
);

pub(crate) const SYSTEMD_BOOT: Installer = Installer(
    r#"
mkdir -p /boot/EFI/nixos /boot/EFI/systemd /boot/loader/entries
cp "$top/kernel" /boot/EFI/nixos/k.efi
cp "$top/initrd" /boot/EFI/nixos/i.efi
echo secrets >>/boot/EFI/nixos/i.efi
echo systemd >/boot/EFI/systemd/systemd-bootx64.efi
echo systemd >/boot/EFI/BOOT/BOOTX64.EFI
cat >/boot/loader/entries/nixos-generation-1.conf <<END
title NixOS
linux /EFI/nixos/k.efi
initrd /EFI/nixos/i.efi
options init=$top/init loglevel=4
END
echo "default nixos-generation-1.conf" >/boot/loader/loader.conf
"#,
);

pub(crate) const EXTLINUX: Installer = Installer(
    r#"
mkdir -p /boot/nixos /boot/extlinux
cp "$top/kernel" /boot/nixos/k
cp "$top/initrd" /boot/nixos/i
cat >/boot/extlinux/extlinux.conf <<END
LABEL nixos-default
  LINUX ../nixos/k
  INITRD ../nixos/i
  APPEND init=$top/init
END
"#,
);

/// A machine and what it was before.
pub(crate) struct Machine {
    pub(crate) boot: Boot,
    pub(crate) root: Mounted,
    pub(crate) image: Image,
    /// Files with more file systems, and where they are mounted.
    extra: Vec<(PathBuf, String)>,
}

/// A system with such an installer.
pub(crate) fn system(installer: Installer) -> System {
    let script = format!("#!@out@/sw/bin/sh{BEGIN}{}", installer.0);
    let mut system = System::new();
    // What the machine here has below a loop device is not what this is about.
    system = system.without("kernel-modules");
    system = system.file("sw/bin/busybox", fs::read(BUSYBOX).expect("busybox-static"), 0o555);
    for applet in [
        "sh", "mkdir", "cp", "mv", "cat", "rm", "echo", "kill", "sleep", "dd", "touch", "readlink",
        "sync",
    ] {
        system = system.link(&format!("sw/bin/{applet}"), "busybox");
    }
    system.file("bin/switch-to-configuration", script, 0o555)
}

fn mib(boot: Boot) -> u64 {
    if boot == Boot::Directory { 64 } else { 96 }
}

impl Machine {
    /// Fills a file system but for so many bytes; with 0, to the last block.
    pub(crate) fn fill(&self, path: &str, leave: u64) {
        let at = self.at(path);
        let mut file = fs::File::create(&at).expect("a file");
        let free = || {
            let stat =
                nix::sys::statvfs::statvfs(at.parent().expect("a directory")).expect("its size");
            (stat.blocks_available() * stat.fragment_size()).saturating_sub(leave)
        };
        let chunk = vec![9; 64 << 10];
        for _ in 0..8 {
            while (leave == 0 || free() > 0) && file.write_all(&chunk).is_ok() {}
            file.sync_all().expect("a sync"); // gives back what was reserved
        }
    }

    pub(crate) fn new(boot: Boot, installer: Installer) -> Result<Self, Skipped> {
        let machine = Self::bare(boot)?;
        system(installer).place(machine.root.path());
        machine.sync();
        Ok(machine)
    }

    /// Without a built system.
    pub(crate) fn bare(boot: Boot) -> Result<Self, Skipped> {
        if !Path::new(BUSYBOX).exists() {
            return Err(Skipped::new(format!("no {BUSYBOX} here")));
        }
        let image = Image::with(&Options::new(Fs::Ext4).size_mib(mib(boot)))?;
        let root = image.mount()?;
        let mut machine = Self { boot, root, image, extra: Vec::new() };
        machine.populate()?;
        Ok(machine)
    }

    /// What a power cut would leave of it now; the root's disk first, so that what
    /// is written to another is not there without what came before on this one.
    pub(crate) fn snapshot(&self) -> Self {
        let image = self.image.snapshot();
        let root = image.mount().expect("what could be mounted once");
        let mut copy = Self { boot: self.boot, root, image, extra: Vec::new() };
        for (from, at) in &self.extra {
            let file = copy.new_file();
            fs::copy(from, &file).expect("a copy");
            let shown = file.to_str().expect("UTF-8");
            let at_path = copy.at(at);
            tool("mount", &["-o", "loop", shown, at_path.to_str().expect("UTF-8")])
                .expect("a mount");
            copy.extra.push((file.clone(), at.clone()));
        }
        copy
    }

    fn new_file(&self) -> PathBuf {
        let unique = self.path().file_name().expect("a name").to_string_lossy().into_owned();
        let name = format!("extra-{}-{unique}-{}", std::process::id(), self.extra.len());
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
    }

    /// Writes everything to its disks.
    pub(crate) fn sync(&self) {
        self.root.sync();
        for (_, at) in &self.extra {
            let directory = fs::File::open(self.at(at)).expect("a mount");
            crate::common::sys::sync_file_system(&directory).expect("a sync");
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    pub(crate) fn tree(&self) -> Root<'_> {
        Root { path: self.root.path(), fs: Fs::Ext4 }
    }

    fn populate(&mut self) -> Result<(), Skipped> {
        let boot = self.boot;
        let tree = self.tree();
        tree.mode("", 0o755);
        for directory in ["proc", "sys", "dev", "run", "usr/bin", "nix/store", "nix/var/nix"] {
            tree.directory(directory, 0o755);
        }
        tree.file("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
        tree.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        tree.file("etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n");
        tree.file("etc/nixos/configuration.nix", "{ }\n");
        tree.file_with_mode("etc/ssh/ssh_host_ed25519_key", "secret", 0o640);
        tree.file("etc/ssh/ssh_host_ed25519_key.pub", "public");
        tree.directory("root", 0o700);
        tree.file_with_mode("root/.ssh/authorized_keys", "ssh-ed25519 AAAA\n", 0o600);
        tree.file("home/alice/file", "of alice");
        tree.file("run/systemd/resolve/stub-resolv.conf", "nameserver 127.0.0.53\n");
        tree.file("run/systemd/resolve/resolv.conf", "nameserver 192.0.2.1\n");
        tree.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        if boot != Boot::Absent {
            tree.directory("boot", 0o755);
        }
        match boot {
            Boot::Mount => self.mount("boot", "ext4", 24)?,
            Boot::Esp => self.mount_esp("boot", 24)?,
            Boot::Nested => {
                self.tree().directory("boot/efi", 0o700);
                self.mount_esp("boot/efi", 16)?;
            }
            Boot::Directory | Boot::Absent => {}
        }
        let tree = self.tree();
        match boot {
            Boot::Absent => {}
            Boot::Esp => {
                tree.file("boot/EFI/debian/shimx64.efi", "shim");
                tree.file("boot/EFI/debian/grub.cfg", "configfile (hd0)/boot/grub/grub.cfg\n");
                tree.file("boot/EFI/BOOT/BOOTX64.EFI", "fallback of debian");
                tree.file("boot/EFI/Microsoft/Boot/bootmgfw.efi", "somebody else's");
                tree.file("boot/0123456789abcdef0123456789abcdef/6.1/linux", "old kernel");
            }
            _ => {
                tree.file("boot/vmlinuz-6.1", vec![7; 300_000]);
                tree.file_with_mode("boot/initrd.img-6.1", vec![8; 700_000], 0o600);
                tree.link("boot/vmlinuz", "vmlinuz-6.1");
                tree.file("boot/grub/grub.cfg", "menuentry 'Debian' {\n linux /vmlinuz-6.1\n}\n");
                tree.file("boot/grub/i386-pc/normal.mod", "normal-of-debian");
                tree.file("boot/grub/state", "old");
                tree.own("boot/grub/state", 7, 8);
                tree.xattr("boot/grub/state", "user.note", b"of debian");
            }
        }
        if boot == Boot::Nested {
            tree.file("boot/efi/EFI/debian/grubx64.efi", "grub of debian");
            tree.file("boot/efi/EFI/Microsoft/Boot/bootmgfw.efi", "somebody else's");
        }
        age(&self.at(""), 1_600_000_000);
        self.sync();
        Ok(())
    }

    /// vfat; where the kernel has none, what else there is to test stays.
    pub(crate) fn mount_esp(&mut self, at: &str, mib: u64) -> Result<(), Skipped> {
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if known.lines().any(|line| line.trim() == "vfat") {
            return self.mount(at, "vfat", mib);
        }
        crate::common::skip::say(&Skipped::new("no vfat in this kernel: the ESP is ext4"));
        self.mount(at, "ext4", mib)
    }

    /// Mounts a new file system.
    pub(crate) fn mount(&mut self, at: &str, fs: &str, mib: u64) -> Result<(), Skipped> {
        let file = self.new_file();
        let disk = fs::File::create(&file).expect("a file");
        disk.set_len(mib << 20).expect("a size");
        let shown = file.to_str().expect("UTF-8");
        let mkfs = format!("mkfs.{fs}");
        let quiet: &[&str] = if fs == "ext4" { &["-q"] } else { &[] };
        tool(&mkfs, &[quiet, &[shown]].concat())?;
        self.extra.push((file.clone(), at.to_owned()));
        tool("mount", &["-o", "loop", shown, self.at(at).to_str().expect("UTF-8")])?;
        if fs == "ext4" {
            fs::remove_dir(self.at(at).join("lost+found")).expect("an empty file system");
        }
        Ok(())
    }

    /// `--despite` for whatever `check` has against these few files.
    pub(crate) fn despite(&self) -> Vec<String> {
        let report = check::examine(&check::Examine::new(self.path())).expect("a report");
        let blockers = report.findings.iter().filter(|f| f.level == Level::Blocker);
        blockers.flat_map(|f| ["--despite".to_owned(), f.id.to_owned()]).collect()
    }

    /// The arguments of `prepare`.
    pub(crate) fn arguments(&self, more: &[&str]) -> Vec<std::ffi::OsString> {
        let mut list = arguments("prepare", self.path(), more);
        list.extend(self.despite().into_iter().map(Into::into));
        list
    }

    #[track_caller]
    pub(crate) fn prepare(&self, more: &[&str]) -> Ended {
        let more = [&["--yes"], more].concat();
        lustrate(self.arguments(&more))
    }

    #[track_caller]
    pub(crate) fn cancel(&self) -> Ended {
        lustrate(arguments("cancel", self.path(), &["--yes"]))
    }

    /// All of it, with what is mounted in it.
    pub(crate) fn manifest(&self) -> Vec<(String, Manifest)> {
        let mut list = vec![(String::new(), Manifest::of(self.path()))];
        let points = self.extra.iter().map(|(_, point)| point.clone());
        list.extend(points.map(|point| (point.clone(), Manifest::of(self.at(&point)))));
        list
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.at(path);
        String::from_utf8(fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
            .expect("UTF-8")
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// The mode of a file.
    pub(crate) fn mode(&self, path: &str) -> u32 {
        self.at(path).metadata().expect("a file").permissions().mode() & 0o7777
    }

    pub(crate) fn owner(&self, path: &str) -> (u32, u32) {
        let found = self.at(path).symlink_metadata().expect("a file");
        (found.uid(), found.gid())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for (file, _) in &self.extra {
            let _ = fs::remove_file(file);
        }
    }
}

fn tool(program: &str, arguments: &[&str]) -> Result<(), Skipped> {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(arguments).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    if let Err(error) = Command::new("sh")
        .args(["-c", &format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}")])
        .output()
    {
        return Err(Skipped::new(error.to_string()));
    }
    let ended = run_limited(&mut command, LIMIT);
    if ended.code == 0 { Ok(()) } else { Err(Skipped::new(format!("{program}: {}", ended.err()))) }
}

/// Times that nothing of today has, so that a changed one shows.
fn age(path: &Path, time: i64) {
    let found = path.symlink_metadata().expect("a file");
    if found.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            age(&entry.expect("an entry").path(), time + 1);
        }
    }
    let _ = crate::common::sys::set_mtime(path, time);
}

/// What differs between two states, but for what `prepare` and `cancel` may
/// change: inode numbers and times of boot files that were replaced, where they
/// stand in a directory whose times count no more.
#[track_caller]
pub(crate) fn assert_same(
    before: &[(String, Manifest)],
    after: &[(String, Manifest)],
    excuse: &Excuse,
) {
    let mut list = Vec::new();
    for ((place, before), (_, after)) in before.iter().zip(after) {
        for line in before.diff(after, excuse) {
            let boots = ["boot/", "mnt/esp/"];
            let boot = !place.is_empty() || boots.iter().any(|boot| line.starts_with(boot));
            let inode = line.contains(": inode Id");
            // Where an entry left or came.
            let path = line.split(": ").next().unwrap_or_default();
            let path = if path == "/" { "" } else { path };
            let directory = before.get(path.as_bytes()).is_some_and(|n| n.kind == Kind::Directory);
            let parent = directory && line.contains(": mtime");
            if !(boot && inode || parent) {
                list.push(format!("{place}: {line}"));
            }
        }
    }
    assert!(list.is_empty(), "{}", list.join("\n"));
    let _ = show;
}
