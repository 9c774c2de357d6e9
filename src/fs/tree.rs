//! What the exchange needs of a file system, as (directory, single name).
//!
//! [`crate::fs::disk::Disk`] is the real one. The tests have another in memory that
//! loses its power after any chosen step, so that the engine itself, not a
//! copy of it, is what the model checks.

use crate::error::OpError;
use crate::fs::name::Name;
pub use crate::fs::sys::Stat;

/// A `Result` of one operation.
pub type Result<T> = std::result::Result<T, OpError>;

/// What became of a rename that must not replace anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The file has its new name.
    Done,
    /// There was no such file.
    Missing,
    /// Another file has the new name. Nothing changed.
    Taken,
}

/// A file system that holds a root.
pub trait Tree {
    /// An open directory; renames do not make it invalid.
    type Dir;

    /// Opens the directory `path` below `dir`; `None` when it, or one on the
    /// way, is missing or no directory. A symbolic link is no directory.
    ///
    /// # Errors
    /// Any other failure of openat2(2).
    fn open(&self, dir: &Self::Dir, path: &[Name]) -> Result<Option<Self::Dir>>;

    /// What `name` is, `None` when there is no such file.
    ///
    /// # Errors
    /// Any other failure of statx(2).
    fn stat(&self, dir: &Self::Dir, name: &Name) -> Result<Option<Stat>>;

    /// What the directory itself is.
    ///
    /// # Errors
    /// Any failure of statx(2).
    fn stat_dir(&self, dir: &Self::Dir) -> Result<Stat>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// Any failure of open(2) or getdents64(2).
    fn list(&self, dir: &Self::Dir) -> Result<Vec<Name>>;

    /// The content of a regular file, at most `max` + 1 bytes; `None` when
    /// there is none, or when it is not a regular file.
    ///
    /// # Errors
    /// Any other failure of openat2(2) or read(2).
    fn read(&self, dir: &Self::Dir, name: &Name, max: usize) -> Result<Option<Vec<u8>>>;

    /// Whether what `name` is lies on a read-only btrfs subvolume.
    ///
    /// # Errors
    /// Any failure of faccessat(2) but `EROFS` and `EACCES`.
    fn is_read_only(&self, dir: &Self::Dir, name: &Name) -> Result<bool>;

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// Any failure of readlinkat(2).
    fn read_link(&self, dir: &Self::Dir, name: &Name) -> Result<Vec<u8>>;

    /// Makes a directory; one that is there will do.
    ///
    /// # Errors
    /// Any failure of mkdirat(2); `ENOTDIR` when something else has the name.
    fn make_dir(&self, dir: &Self::Dir, name: &Name, mode: u32) -> Result<()>;

    /// Makes a regular file that was not there, its content on the disk.
    ///
    /// # Errors
    /// Any failure of openat(2), write(2), syncfs(2) or fsync(2).
    fn make_file(&self, dir: &Self::Dir, name: &Name, content: &[u8]) -> Result<()>;

    /// Makes an empty regular file of our own; one that is there will do.
    ///
    /// # Errors
    /// Any failure of mknodat(2).
    fn make_empty(&self, dir: &Self::Dir, name: &Name) -> Result<()>;

    /// Writes the whole content of a file of our own, which is not on the disk
    /// before the next [`Tree::sync`]; `false` when there is no such file.
    ///
    /// # Errors
    /// Any other failure of openat(2) or write(2).
    fn fill(&self, dir: &Self::Dir, name: &Name, content: &[u8]) -> Result<bool>;

    /// Takes `size` bytes in the file `name`, made if `size` is not 0. From here on
    /// a change that finds no space makes that file no longer than `floor`, and is
    /// repeated (I9).
    ///
    /// # Errors
    /// Any failure of openat(2) or fallocate(2): the space is not there.
    fn reserve(&self, dir: &Self::Dir, name: &Name, size: u64, floor: u64) -> Result<()>;

    /// Makes a symbolic link with the owner and times of `like`.
    ///
    /// # Errors
    /// Any failure of symlinkat(2), fchownat(2) or utimensat(2).
    fn make_link(&self, dir: &Self::Dir, name: &Name, target: &[u8], like: &Stat) -> Result<()>;

    /// Gives `to` the owner, mode, extended attributes and times of `from`; the
    /// names of attributes that could not be read or set come back.
    ///
    /// # Errors
    /// Any failure of the system calls for the rest.
    fn copy_metadata(&self, from: &Self::Dir, to: &Self::Dir) -> Result<Vec<String>>;

    /// Gives a directory the permission bits, whatever the umask.
    ///
    /// # Errors
    /// Any failure of fchmod(2).
    fn set_mode(&self, dir: &Self::Dir, mode: u32) -> Result<()>;

    /// Gives a directory an owner.
    ///
    /// # Errors
    /// Any failure of fchown(2).
    fn set_owner(&self, dir: &Self::Dir, owner: (u32, u32)) -> Result<()>;

    /// Gives a directory the access and modification times of `like`.
    ///
    /// # Errors
    /// Any failure of futimens(3).
    fn set_times(&self, dir: &Self::Dir, like: &Stat) -> Result<()>;

    /// Renames; never replaces.
    ///
    /// # Errors
    /// Any failure of renameat2(2) but `ENOENT` and `EEXIST`.
    fn rename(&self, from: (&Self::Dir, &Name), to: (&Self::Dir, &Name)) -> Result<Moved>;

    /// Renames a file of our own over another of our own.
    ///
    /// # Errors
    /// Any failure of renameat(2).
    fn replace(&self, from: (&Self::Dir, &Name), to: (&Self::Dir, &Name)) -> Result<()>;

    /// Lets two files change places, in one step; `false`, and nothing done,
    /// where the file system has no `RENAME_EXCHANGE`.
    ///
    /// # Errors
    /// Any failure of renameat2(2) but `EINVAL` and `ENOSYS`.
    fn exchange(&self, a: (&Self::Dir, &Name), b: (&Self::Dir, &Name)) -> Result<bool>;

    /// Removes a file of our own; one that is not there will do.
    ///
    /// # Errors
    /// Any failure of unlinkat(2) but `ENOENT`.
    fn remove_file(&self, dir: &Self::Dir, name: &Name) -> Result<()>;

    /// Removes an empty directory of our own; one that is not there will do.
    ///
    /// # Errors
    /// Any failure of unlinkat(2) but `ENOENT`.
    fn remove_dir(&self, dir: &Self::Dir, name: &Name) -> Result<()>;

    /// The inode flags of a directory, or of a file or directory in it.
    ///
    /// # Errors
    /// Any failure of openat2(2) or of the ioctl but `ENOTTY` and `EOPNOTSUPP`.
    fn flags(&self, dir: &Self::Dir, name: Option<&Name>) -> Result<u32>;

    /// Sets them.
    ///
    /// # Errors
    /// Any failure of openat2(2) or of the ioctl.
    fn set_flags(&self, dir: &Self::Dir, name: Option<&Name>, flags: u32) -> Result<()>;

    /// Writes everything of the file system to the disk.
    ///
    /// # Errors
    /// Any failure of syncfs(2).
    fn sync(&self, dir: &Self::Dir) -> Result<()>;

    /// The path of `name` in `dir` for a message.
    fn show(&self, dir: &Self::Dir, name: Option<&Name>) -> String;
}
