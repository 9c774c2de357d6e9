//! Disk images with a root on them. Each population is made once and kept in
//! the cache; a scenario has copies of its own, holes kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::cache;
use super::closure;
use super::host::{output, run};
use super::layout::{Fs, Nix};
use super::population::{Population, furnish};
use crate::common::isolation;
use crate::common::manifest::Manifest;

const MEBIBYTES: u64 = 512;

/// What a disk is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub fs: Fs,
    pub nix: Nix,
    pub population: Population,
}

/// A disk image, removed when dropped.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    kind: Fs,
    options: String,
}

/// Copies of a btrfs have one UUID, and the kernel cannot tell them apart.
static BTRFS: Mutex<()> = Mutex::new(());

impl Disk {
    pub fn new(content: Content) -> Self {
        Self::copy_of(&image(content), content.fs)
    }

    /// `/nix` alone, for a machine on which it is a file system of its own.
    pub fn nix() -> Self {
        let image = cache::once("disk-nix", &recipe(), |place| {
            format(Fs::Ext4, place);
            mounted(place, Fs::Ext4, "", install_nix);
        });
        Self::copy_of(&image, Fs::Ext4)
    }

    /// An image made elsewhere; it is removed with the disk.
    pub fn adopt(path: PathBuf, kind: Fs) -> Self {
        let options = if kind == Fs::Btrfs { kind.options().to_owned() } else { String::new() };
        Self { path, kind, options }
    }

    /// A copy of a disk with partitions: what this type looks into is the one
    /// that is mounted with these options.
    pub fn partitioned(image: &Path, kind: Fs, options: &str) -> Self {
        let mut disk = Self::copy_of(image, kind);
        options.clone_into(&mut disk.options);
        disk
    }

    /// The same disk at this moment: what a power cut leaves.
    pub fn copy(&self) -> Self {
        Self::partitioned(&self.path, self.kind, &self.options)
    }

    fn copy_of(image: &Path, kind: Fs) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = scratch().join(format!("{}-{number}.img", std::process::id()));
        let arguments = ["--sparse=always", "--reflink=auto"];
        output(Command::new("cp").args(arguments).arg(image).arg(&path));
        Self::adopt(path, kind)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn kind(&self) -> Fs {
        self.kind
    }

    /// Mounts it on the host for as long as `look` takes.
    pub fn mounted<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        mounted(&self.path, self.kind, &self.options, look)
    }

    /// Mounts the file system that is on a disk with these options.
    pub fn mounted_with<T>(image: &Path, options: &str, look: impl FnOnce(&Path) -> T) -> T {
        mounted(image, Fs::Ext4, options, look)
    }

    pub fn manifest(&self) -> Manifest {
        self.mounted(|root| Manifest::of(root))
    }

    /// Writes the marker with this keep-list.
    pub fn schedule(&self, keep: &[&str]) {
        let list = keep.join("\n") + "\n";
        self.write("etc/NIXOS_LUSTRATE", &list);
    }

    pub fn write(&self, path: &str, text: &str) {
        self.mounted(|root| {
            let place = root.join(path);
            fs::create_dir_all(place.parent().expect("a parent")).expect("a folder");
            fs::write(place, text).expect("a file on the disk");
        });
    }

    /// `None` when there is no such file.
    pub fn read(&self, path: &str) -> Option<String> {
        self.mounted(|root| fs::read(root.join(path)).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The names in the root.
    pub fn entries(&self) -> Vec<String> {
        self.mounted(names)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        discard(&self.path);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder that can be listed");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Where disks, initrds and the like of this run are.
pub fn scratch() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm");
    fs::create_dir_all(&place).expect("a folder for disks");
    place
}

/// Removes a file of this run, unless `LUSTRATE_VM_KEEP` is set.
pub fn discard(path: &Path) {
    if std::env::var_os("LUSTRATE_VM_KEEP").is_none() {
        let _ = fs::remove_file(path);
    }
}

fn mounted<T>(image: &Path, kind: Fs, options: &str, look: impl FnOnce(&Path) -> T) -> T {
    let _one: Option<MutexGuard<'_, ()>> = (kind == Fs::Btrfs)
        .then(|| BTRFS.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let point = isolation::new_directory();
    let own = if kind == Fs::Xfs { "loop,nouuid" } else { "loop" };
    let all = [own, options].join(",");
    output(
        Command::new("mount")
            .args(["-t", kind.name(), "-o", all.trim_matches(',')])
            .arg(image)
            .arg(&point),
    );
    let seen = look(&point);
    output(Command::new("umount").arg(&point));
    fs::remove_dir(&point).expect("an empty mount point");
    seen
}

fn recipe() -> String {
    cache::key(&[
        closure::key().as_bytes(),
        include_bytes!("disk.rs"),
        include_bytes!("population.rs"),
    ])
}

fn image(content: Content) -> PathBuf {
    let Content { fs: kind, nix, population } = content;
    let stem = format!("disk-{}-{population:?}-nix-{nix:?}", kind.name()).to_lowercase();
    cache::once(&stem, &recipe(), |place| {
        format(kind, place);
        if kind == Fs::Btrfs {
            mounted(place, kind, "", |top| {
                for subvolume in ["@", "@nix"] {
                    let path = top.join(subvolume);
                    output(Command::new("btrfs").args(["-q", "subvolume", "create"]).arg(path));
                }
            });
        }
        if nix == Nix::Subvolume {
            mounted(place, kind, "subvol=@nix", install_nix);
        }
        let options = if kind == Fs::Btrfs { "subvol=@" } else { "" };
        mounted(place, kind, options, |root| {
            furnish(root, population);
            let folder = root.join("nix");
            fs::create_dir(&folder).expect("/nix");
            if nix == Nix::Root {
                install_nix(&folder);
            }
            if population == Population::Nixos {
                let prepare = format!("{}/prepare-root", closure::closure().top);
                output(Command::new("chroot").arg(root).arg(prepare));
            }
        });
    })
}

/// Puts the content of `/nix` into this folder.
fn install_nix(folder: &Path) {
    fs::create_dir_all(folder).expect("/nix");
    let source = closure::closure().root.join("nix/.");
    output(Command::new("cp").arg("-a").arg(source).arg(folder));
    fs::create_dir_all(folder.join("persist/var/log")).expect("a persistent /var/log");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("the mode of /nix");
}

fn format(kind: Fs, place: &Path) {
    let file = fs::File::create(place).expect("a disk image");
    file.set_len(MEBIBYTES << 20).expect("the size of a disk image");
    let path = place.to_str().expect("a path of text");
    match kind {
        // No kernel thread that goes on writing after the mount.
        Fs::Ext4 => {
            let eager = "lazy_itable_init=0,lazy_journal_init=0";
            run("mkfs.ext4", &["-q", "-E", eager, path])
        }
        Fs::Xfs => run("mkfs.xfs", &["-q", path]),
        Fs::Btrfs => run("mkfs.btrfs", &["-q", path]),
    };
}
