//! The real file system below a root, opened once.
//!
//! Every operation is (open directory, single name) (I2). It also notes whether
//! anything was changed, which decides between "refused" and "stopped".

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, UtimensatFlags};
use nix::sys::time::TimeSpec;
use nix::unistd::UnlinkatFlags;

use crate::error::OpError;
use crate::fs::name::{Name, RelPath, Shown, joined};
use crate::fs::sys::{self, Kind, Links, Onto, Stat};
use crate::fs::tree::{Moved, Result, Tree};

/// An open directory of the root's file system, and its path for messages.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: Vec<u8>,
}

impl AsFd for Dir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The file system of a root.
#[derive(Debug, Default)]
pub struct Disk {
    /// Something was changed by this process.
    touched: Cell<bool>,
    /// `RENAME_NOREPLACE` is unsupported: look first, then rename. Nobody else
    /// runs in an initrd.
    looks: Cell<bool>,
    /// The file that gives its space back when there is none, and what it keeps.
    held: RefCell<Option<(OwnedFd, u64)>>,
}

impl Disk {
    /// Whether this process has changed anything.
    #[must_use]
    pub fn touched(&self) -> bool {
        self.touched.get()
    }

    /// Opens a root by the path that the user gave.
    ///
    /// # Errors
    /// Any failure of openat(2).
    pub fn open_root(path: &OsStr) -> Result<Dir> {
        let fd = sys::open_root(path).map_err(|errno| failed("open", path.as_bytes(), errno))?;
        Ok(Dir { fd, path: path.as_bytes().to_vec() })
    }

    /// Opens the file system of `/` without what is mounted on it.
    ///
    /// # Errors
    /// Any failure of `open_tree`; `ENOSYS` before Linux 5.2.
    pub(crate) fn clone_root() -> Result<Dir> {
        let fd =
            sys::clone_root().map_err(|errno| failed("look below the mounts of", b"/", errno))?;
        Ok(Dir { fd, path: b"/".to_vec() })
    }

    /// Opens a root anew, without what is mounted at these paths below it.
    ///
    /// # Errors
    /// Any failure of unshare(2), mount(2) or openat(2).
    pub(crate) fn leave_mounts<'a>(
        root: &Dir,
        paths: impl Iterator<Item = &'a RelPath>,
    ) -> Result<Dir> {
        let left = sys::leave_mounts(OsStr::from_bytes(&root.path), paths);
        let fd = left.map_err(root.failed("leave the mounts of", None))?;
        Ok(Dir { fd, path: root.path.clone() })
    }

    fn change<T>(&self, done: sys::Result<T>) -> sys::Result<T> {
        if done.is_ok() {
            self.touched.set(true);
        }
        done
    }

    /// Does what may need space; when there is none, once more with what was
    /// taken for that. What is given back can be had again only once the journal
    /// has been written.
    fn with_room(&self, dir: &Dir, act: &dyn Fn() -> sys::Result<()>) -> sys::Result<()> {
        match act() {
            Err(Errno::ENOSPC | Errno::EDQUOT) => {}
            done => return self.change(done),
        }
        if let Some((file, floor)) = self.held.take() {
            sys::space::shrink(&file, floor)?;
        }
        nix::unistd::syncfs(dir)?;
        self.change(act())
    }
}

impl Dir {
    fn join(&self, name: Option<&[u8]>) -> Vec<u8> {
        let mut path = self.path.clone();
        if let Some(name) = name {
            if path.last() != Some(&b'/') {
                path.push(b'/');
            }
            path.extend(name);
        }
        path
    }

    /// Only in an error there is a text.
    fn failed(&self, op: &'static str, name: Option<&Name>) -> impl FnOnce(Errno) -> OpError {
        move |errno| failed(op, &self.join(name.map(Name::as_bytes)), errno)
    }
}

/// An error with the path that it is about.
fn failed(op: &'static str, path: &[u8], errno: Errno) -> OpError {
    OpError::new(op, Shown(path).to_string(), errno)
}

fn time(stat: (i64, u32)) -> TimeSpec {
    TimeSpec::new(stat.0, stat.1.into())
}

impl Tree for Disk {
    type Dir = Dir;

    fn open(&self, dir: &Dir, path: &[Name]) -> Result<Option<Dir>> {
        // openat2(2) takes at most PATH_MAX, 4096 bytes.
        if path.len() > 1 && path.iter().map(|n| n.as_bytes().len() + 1).sum::<usize>() > 4_000 {
            let (upper, lower) = path.split_at(path.len() / 2);
            return match self.open(dir, upper)? {
                Some(upper) => self.open(&upper, lower),
                None => Ok(None),
            };
        }
        let below = joined(path);
        let path = dir.join(Some(&below).filter(|below| !below.is_empty()).map(Vec::as_slice));
        let below = if below.is_empty() { b"." } else { below.as_slice() };
        match sys::open_beneath(dir, below, OFlag::O_DIRECTORY, Links::Refuse) {
            Ok(fd) => Ok(Some(Dir { fd, path })),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(failed("open", &path, errno)),
        }
    }

    fn stat(&self, dir: &Dir, name: &Name) -> Result<Option<Stat>> {
        match sys::stat(dir, Some(name)) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(dir.failed("look at", Some(name))(errno)),
        }
    }

    fn stat_dir(&self, dir: &Dir) -> Result<Stat> {
        sys::stat(dir, None).map_err(dir.failed("look at", None))
    }

    fn list(&self, dir: &Dir) -> Result<Vec<Name>> {
        let mut names = sys::list(dir.as_fd()).map_err(dir.failed("list", None))?;
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, dir: &Dir, name: &Name, max: usize) -> Result<Option<Vec<u8>>> {
        match sys::read(dir, name.as_bytes(), Links::Refuse, max) {
            Ok(content) => Ok(Some(content)),
            // EINVAL: not a regular file; ENXIO: a socket; ELOOP: a link.
            Err(Errno::ENOENT | Errno::EINVAL | Errno::ELOOP | Errno::ENXIO) => Ok(None),
            Err(errno) => Err(dir.failed("read", Some(name))(errno)),
        }
    }

    fn is_read_only(&self, dir: &Dir, name: &Name) -> Result<bool> {
        let mode = nix::unistd::AccessFlags::W_OK;
        // No AT_SYMLINK_NOFOLLOW: musl emulates that with more calls, and what
        // is asked about is the root of a subvolume, a directory.
        match nix::unistd::faccessat(dir, name.as_os_str(), mode, AtFlags::empty()) {
            Ok(()) | Err(Errno::EACCES | Errno::EPERM) => Ok(false),
            Err(Errno::EROFS) => Ok(true),
            Err(errno) => Err(dir.failed("look at", Some(name))(errno)),
        }
    }

    fn read_link(&self, dir: &Dir, name: &Name) -> Result<Vec<u8>> {
        sys::read_link(dir, name).map_err(dir.failed("read the link", Some(name)))
    }

    fn make_dir(&self, dir: &Dir, name: &Name, mode: u32) -> Result<()> {
        let bits = Mode::from_bits_truncate(mode);
        let make = || nix::sys::stat::mkdirat(dir, name.as_os_str(), bits);
        let is_dir = || sys::stat(dir, Some(name)).map(|s| s.kind == Kind::Dir);
        match self.with_room(dir, &make) {
            Err(Errno::EEXIST) if is_dir() == Ok(true) => Ok(()),
            result => result.map_err(dir.failed("make the directory", Some(name))),
        }
    }

    fn make_file(&self, dir: &Dir, name: &Name, content: &[u8]) -> Result<()> {
        self.change(sys::make_file(dir, name))
            .and_then(|file| sys::fill_file(&file, content))
            .map_err(dir.failed("write", Some(name)))
    }

    fn make_empty(&self, dir: &Dir, name: &Name) -> Result<()> {
        match self.with_room(dir, &|| sys::space::make_empty(dir, name)) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(dir.failed("write", Some(name))(errno)),
        }
    }

    fn fill(&self, dir: &Dir, name: &Name, content: &[u8]) -> Result<bool> {
        let filled = self.with_room(dir, &|| {
            let file = sys::space::open_own(dir, name, OFlag::O_TRUNC)?;
            sys::write_all(&file, content)
        });
        match filled {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(dir.failed("write", Some(name))(errno)),
        }
    }

    fn reserve(&self, dir: &Dir, name: &Name, size: u64, floor: u64) -> Result<()> {
        let flags = if size == 0 { OFlag::empty() } else { OFlag::O_CREAT };
        let file = match self.change(sys::space::open_own(dir, name, flags)) {
            Err(Errno::ENOENT) if size == 0 => return Ok(()),
            opened => opened.map_err(dir.failed("write", Some(name)))?,
        };
        if size > 0 {
            sys::space::allocate(&file, size).map_err(dir.failed("write", Some(name)))?;
        }
        self.held.replace(Some((file, floor)));
        Ok(())
    }

    fn make_link(&self, dir: &Dir, name: &Name, target: &[u8], like: &Stat) -> Result<()> {
        let (os_name, target) = (name.as_os_str(), OsStr::from_bytes(target));
        let owner = (Some(like.uid.into()), Some(like.gid.into()));
        let (accessed, modified) = (time(like.accessed), time(like.modified));
        self.change(nix::unistd::symlinkat(target, dir, os_name))
            .and_then(|()| {
                let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
                nix::unistd::fchownat(dir, os_name, owner.0, owner.1, flags)
            })
            .and_then(|()| {
                let flags = UtimensatFlags::NoFollowSymlink;
                nix::sys::stat::utimensat(dir, os_name, &accessed, &modified, flags)
            })
            .map_err(dir.failed("make the link", Some(name)))
    }

    fn copy_metadata(&self, from: &Dir, to: &Dir) -> Result<Vec<String>> {
        let like = self.stat_dir(from)?;
        self.set_owner(to, (like.uid, like.gid))?;
        self.set_mode(to, like.mode)?;
        let all = |errno: Errno| vec![format!("* ({})", errno.desc())];
        let missing = sys::copy_xattrs(from, to).unwrap_or_else(all);
        self.set_times(to, &like)?;
        Ok(missing)
    }

    fn set_mode(&self, dir: &Dir, mode: u32) -> Result<()> {
        let set = nix::sys::stat::fchmod(dir, Mode::from_bits_truncate(mode));
        self.change(set).map_err(dir.failed("set owner and mode of", None))
    }

    fn set_owner(&self, dir: &Dir, (user, group): (u32, u32)) -> Result<()> {
        let set = nix::unistd::fchown(dir, Some(user.into()), Some(group.into()));
        self.change(set).map_err(dir.failed("set owner and mode of", None))
    }

    fn set_times(&self, dir: &Dir, like: &Stat) -> Result<()> {
        let (accessed, modified) = (time(like.accessed), time(like.modified));
        nix::sys::stat::futimens(dir, &accessed, &modified)
            .map_err(dir.failed("set the times of", None))
    }

    fn rename(&self, from: (&Dir, &Name), to: (&Dir, &Name)) -> Result<Moved> {
        // In the kernel's order: whether there is something to move comes first.
        let looked = |onto| {
            sys::stat(from.0, Some(from.1))?;
            match sys::stat(to.0, Some(to.1)) {
                Ok(_) => Err(Errno::EEXIST),
                Err(Errno::ENOENT) => sys::rename(from.0, from.1, to.0, to.1, onto),
                Err(errno) => Err(errno),
            }
        };
        let rename = || {
            if self.looks.get() {
                return looked(Onto::Replace);
            }
            match sys::rename(from.0, from.1, to.0, to.1, Onto::Nothing) {
                Err(Errno::EINVAL | Errno::ENOSYS) => {
                    let done = looked(Onto::Replace);
                    self.looks.set(done.is_ok());
                    done
                }
                done => done,
            }
        };
        match self.with_room(to.0, &rename) {
            Ok(()) => Ok(Moved::Done),
            Err(Errno::EEXIST) => Ok(Moved::Taken),
            // ENOENT may also mean that a directory was removed under us.
            Err(Errno::ENOENT) if self.stat(from.0, from.1)?.is_none() => Ok(Moved::Missing),
            Err(errno) => Err(between("rename", from, to, errno)),
        }
    }

    fn replace(&self, from: (&Dir, &Name), to: (&Dir, &Name)) -> Result<()> {
        self.with_room(to.0, &|| sys::rename(from.0, from.1, to.0, to.1, Onto::Replace))
            .map_err(|errno| between("rename", from, to, errno))
    }

    fn exchange(&self, a: (&Dir, &Name), b: (&Dir, &Name)) -> Result<bool> {
        match self.with_room(b.0, &|| sys::rename(a.0, a.1, b.0, b.1, Onto::Exchange)) {
            Ok(()) => Ok(true),
            Err(Errno::EINVAL | Errno::ENOSYS) => Ok(false),
            Err(errno) => Err(between("exchange", a, b, errno)),
        }
    }

    fn remove_file(&self, dir: &Dir, name: &Name) -> Result<()> {
        remove(self, dir, name, UnlinkatFlags::NoRemoveDir)
    }

    fn remove_dir(&self, dir: &Dir, name: &Name) -> Result<()> {
        remove(self, dir, name, UnlinkatFlags::RemoveDir)
    }

    fn flags(&self, dir: &Dir, name: Option<&Name>) -> Result<u32> {
        let read = match name {
            Some(name) => open_for_flags(dir, name).and_then(|fd| sys::inode_flags(&fd)),
            None => sys::inode_flags(dir),
        };
        match read {
            // No such flags here: not a regular file or directory, or vfat.
            Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::ENXIO) => Ok(0),
            flags => flags.map_err(dir.failed("read the flags of", name)),
        }
    }

    fn set_flags(&self, dir: &Dir, name: Option<&Name>, flags: u32) -> Result<()> {
        let set = match name {
            Some(name) => open_for_flags(dir, name).and_then(|fd| sys::set_flags(&fd, flags)),
            None => sys::set_flags(dir, flags),
        };
        self.change(set).map_err(dir.failed("set the flags of", name))
    }

    fn sync(&self, dir: &Dir) -> Result<()> {
        nix::unistd::syncfs(dir).map_err(dir.failed("write to the disk", None))
    }

    fn show(&self, dir: &Dir, name: Option<&Name>) -> String {
        Shown(&dir.join(name.map(Name::as_bytes))).to_string()
    }
}

fn remove(disk: &Disk, dir: &Dir, name: &Name, how: UnlinkatFlags) -> Result<()> {
    match disk.change(nix::unistd::unlinkat(dir, name.as_os_str(), how)) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(dir.failed("remove", Some(name))(errno)),
    }
}

fn between(op: &'static str, a: (&Dir, &Name), b: (&Dir, &Name), errno: Errno) -> OpError {
    let (a, b) = (a.0.join(Some(a.1.as_bytes())), b.0.join(Some(b.1.as_bytes())));
    OpError::new(op, format!("{}' to '{}", Shown(&a), Shown(&b)), errno)
}

fn open_for_flags(dir: &Dir, name: &Name) -> sys::Result<OwnedFd> {
    sys::open_beneath(dir, name.as_bytes(), OFlag::O_RDONLY | OFlag::O_NONBLOCK, Links::Refuse)
}
