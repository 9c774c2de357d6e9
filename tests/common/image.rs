//! File systems to lustrate: images in memory on loop devices, and tmpfs.
//!
//! An image is a memory file, so nothing is left behind. It is copied from a
//! template that is formatted once a process, holes kept; a fresh one costs a
//! few milliseconds. [`Image::snapshot`] of a mounted image is what a power
//! cut would leave of it at that moment.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Mutex};

pub use super::filesystem::{Fs, Options};
use super::isolation::{self, Busy};
use super::skip::Skipped;
use super::sys;

/// A formatted file system. For tmpfs, each mount is a new empty one.
#[derive(Debug)]
pub struct Image {
    options: Options,
    backing: Option<File>,
}

impl Image {
    /// A fresh, small file system.
    pub fn new(fs: Fs) -> Result<Self, Skipped> {
        Self::with(&Options::new(fs))
    }

    pub fn with(options: &Options) -> Result<Self, Skipped> {
        let backing = match options.fs {
            Fs::Tmpfs => None,
            Fs::Btrfs if !btrfs_mounts_clones() => Some(format(options)?),
            _ => Some(copy(&*template(options)?).expect("a copy of the template")),
        };
        Ok(Self { options: options.clone(), backing })
    }

    pub fn fs(&self) -> Fs {
        self.options.fs
    }

    /// A copy of what is on the disk now. Of a mounted image that is what a
    /// power cut would leave; to have everything, sync or unmount first.
    pub fn snapshot(&self) -> Self {
        let backing = self.backing.as_ref().expect("tmpfs has no image");
        Self { options: self.options.clone(), backing: Some(copy(backing).expect("a copy")) }
    }

    /// Where tools find the image (`fsck`, `debugfs`), while this process lives.
    pub fn file(&self) -> PathBuf {
        proc_path(self.backing.as_ref().expect("tmpfs has no image"))
    }

    /// Mounts it in the thread's own mount namespace.
    pub fn mount(&self) -> Result<Mounted, Skipped> {
        let path = isolation::new_directory();
        let fs = self.options.fs;
        let (source, _device) = match &self.backing {
            None => (PathBuf::from("tmpfs"), None),
            Some(backing) => {
                let (device, path) =
                    attach(backing).map_err(|e| skipped(fs, "a loop device", &e))?;
                (path, Some(device))
            }
        };
        let own = match fs {
            // Copies of a template share its UUID.
            Fs::Xfs => "nouuid".into(),
            Fs::Tmpfs => format!("mode=0755,size={}m", self.options.size_mib),
            Fs::Ext4 | Fs::Btrfs => String::new(),
        };
        let data = [own.as_str(), self.options.mount].join(",");
        sys::mount(&source, &path, fs.name(), 0, data.trim_matches(','))
            .map_err(|e| skipped(fs, &format!("mount with {:?}", self.options), &e))?;
        Ok(Mounted { path })
    }
}

fn skipped(fs: Fs, what: &str, error: &io::Error) -> Skipped {
    Skipped::new(format!("{}: {what}: {error}", fs.name()))
}

fn proc_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd()))
}

/// A mounted file system, unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
}

impl Mounted {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn remount_read_only(&self) {
        self.remount(libc::MS_RDONLY);
    }

    pub fn remount_writable(&self) {
        self.remount(0);
    }

    fn remount(&self, flags: libc::c_ulong) {
        sys::mount(Path::new("none"), &self.path, "", libc::MS_REMOUNT | flags, "")
            .expect("a remount");
    }

    /// Writes everything to the image.
    pub fn sync(&self) {
        sys::sync_file_system(&File::open(&self.path).expect("the root")).expect("a sync");
    }

    /// Unmounts it and all that is mounted below, and panics if that is busy.
    pub fn unmount(self) {
        drop(self);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let busy = isolation::unmount_all(&self.path);
        let _ = fs::remove_dir(&self.path);
        if !std::thread::panicking() {
            assert_eq!(busy, Busy::No, "something still uses {}", self.path.display());
        }
    }
}

/// A loop device for the file, gone with its last user.
fn attach(backing: &File) -> io::Result<(File, PathBuf)> {
    let open = |p: &Path| OpenOptions::new().read(true).write(true).open(p);
    let control = open(Path::new("/dev/loop-control"))?;
    let mut tries = 0;
    loop {
        let path = PathBuf::from(format!("/dev/loop{}", sys::free_loop_device(&control)?));
        let result = open(&path).and_then(|d| sys::configure_loop_device(&d, backing).map(|()| d));
        tries += 1;
        match result {
            Ok(device) => return Ok((device, path)),
            // Another test was faster with this number.
            Err(e) if tries < 100 && e.raw_os_error() == Some(libc::EBUSY) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Before Linux 6.7 no two btrfs with the same UUID can be mounted at a time;
/// there, every image is formatted anew, and a snapshot has to wait until its
/// original is unmounted.
fn btrfs_mounts_clones() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6u32), Some(7u32))
}

type Templates = Mutex<Option<HashMap<Options, Result<Arc<File>, Skipped>>>>;
static TEMPLATES: Templates = Mutex::new(None);

fn template(options: &Options) -> Result<Arc<File>, Skipped> {
    let mut templates = TEMPLATES.lock().expect("no panic while locked");
    let known = templates.get_or_insert_default().entry(options.clone());
    known.or_insert_with(|| format(options).map(Arc::new)).clone()
}

fn format(options: &Options) -> Result<File, Skipped> {
    let fs = options.fs;
    let mkfs = format!("mkfs.{}", fs.name());
    let file = sys::memory_file(c"image", options.size_mib << 20)
        .map_err(|e| skipped(fs, "a memory file", &e))?;
    let mut command = Command::new(&mkfs);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).arg("-q");
    if fs == Fs::Ext4 {
        // No kernel thread that goes on writing after the mount.
        command.args(["-E", "lazy_itable_init=0,lazy_journal_init=0"]);
    }
    command.args(&options.mkfs).arg(proc_path(&file)).stdin(Stdio::null());
    let output = command.output().map_err(|e| skipped(fs, &mkfs, &e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Skipped::new(format!("{mkfs} {:?}: {said}", options.mkfs)));
    }
    // The copy leaves out the zeros that mkfs wrote (64 MB of log on xfs).
    copy(&file).map_err(|e| skipped(fs, "a copy", &e))
}

/// A copy in which every block of zeros is a hole.
fn copy(from: &File) -> io::Result<File> {
    const BLOCK: usize = 64 << 10;
    let to = sys::memory_file(c"image", from.metadata()?.len())?;
    let (mut buffer, zeros) = (vec![0u8; BLOCK], vec![0u8; BLOCK]);
    let mut at = 0;
    while let Some(start) = sys::seek_extent(from, at, libc::SEEK_DATA)? {
        at = sys::seek_extent(from, start, libc::SEEK_HOLE)?.expect("a hole at the end");
        let mut offset = start;
        while offset < at {
            let length = usize::try_from(at - offset).map_or(BLOCK, |n| n.min(BLOCK));
            from.read_exact_at(&mut buffer[..length], offset)?;
            // Slices compare by memcmp, which is fast in a debug build too.
            if buffer[..length] != zeros[..length] {
                to.write_all_at(&buffer[..length], offset)?;
            }
            offset += length as u64;
        }
    }
    Ok(to)
}
