//! Files below a root, by path, as the system whose root it is sees them: links
//! are followed with the root as their `/`. Nothing is opened for writing, and
//! nothing but a regular file is read (a FIFO would block).

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::OpError;
use crate::fs::name::{Name, Shown};
use crate::fs::sys::errno;
use crate::fs::walk::{Turn, Way};

/// Longer than any text file that is read here.
const MAX_TEXT: u64 = 16 << 20;

/// A `Result` of reading.
pub(crate) type Result<T> = std::result::Result<T, OpError>;

/// The files below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    base: PathBuf,
}

impl Files {
    /// Those below `base`.
    pub(crate) fn new(base: impl Into<PathBuf>) -> Self {
        Self { base: base.into() }
    }

    /// The path from outside of a path below the root.
    #[must_use]
    pub(crate) fn outside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.base.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path from outside, for a message.
    #[must_use]
    pub(crate) fn show(&self, path: impl AsRef<Path>) -> String {
        show(&self.outside(path))
    }

    /// Where a path leads, links followed: as seen inside, beginning with `/`.
    /// `None` when nothing is there.
    ///
    /// # Errors
    /// What the file system answers; `ELOOP` for too many links.
    pub(crate) fn real(&self, path: impl AsRef<Path>) -> Result<Option<PathBuf>> {
        let path = path.as_ref();
        let mut way = Way::new(&[]);
        let mut turn = way.add(path.as_os_str().as_bytes());
        loop {
            match turn {
                Turn::On => {}
                Turn::Nowhere => return Ok(None),
                Turn::Loop => return Err(OpError::new("follow", self.show(path), Errno::ELOOP)),
            }
            let Some(name) = way.next() else { return Ok(Some(inside(&way.real))) };
            let outside = self.outside(inside(&way.real).join(name.as_os_str()));
            let metadata = match fs::symlink_metadata(&outside) {
                Ok(metadata) => metadata,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(failed("look at", &outside, &error)),
            };
            turn = if metadata.is_symlink() {
                let target = fs::read_link(&outside).map_err(|e| failed("read", &outside, &e))?;
                way.turn(target.as_os_str().as_bytes())
            } else {
                way.real.push(name);
                Turn::On
            };
        }
    }

    /// What a path leads to.
    pub(crate) fn metadata(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>> {
        let Some(real) = self.real(path)? else { return Ok(None) };
        let outside = self.outside(real);
        found(fs::symlink_metadata(&outside)).map_err(|e| failed("look at", &outside, &e))
    }

    /// What is at a path, where only the last name may be a link, which is not
    /// followed: quicker, for the names in a directory.
    pub(crate) fn metadata_of(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>> {
        let outside = self.outside(path);
        found(fs::symlink_metadata(&outside)).map_err(|e| failed("look at", &outside, &e))
    }

    /// Whether there is anything at the path.
    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        Ok(self.real(path)?.is_some())
    }

    /// Where the link at the path leads; `None` when it is no link.
    pub(crate) fn link(&self, path: impl AsRef<Path>) -> Result<Option<PathBuf>> {
        let path = path.as_ref();
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let Some(parent) = self.real(parent)? else { return Ok(None) };
        let outside = self.outside(parent.join(name));
        match fs::read_link(&outside) {
            Ok(target) => Ok(Some(target)),
            Err(error) if is_missing(&error) || error.raw_os_error() == Some(libc::EINVAL) => {
                Ok(None)
            }
            Err(error) => Err(failed("read", &outside, &error)),
        }
    }

    /// Opens a regular file; `None` when there is none.
    pub(crate) fn open(&self, path: impl AsRef<Path>) -> Result<Option<File>> {
        let Some(real) = self.real(path)? else { return Ok(None) };
        let outside = self.outside(real);
        let metadata = fs::symlink_metadata(&outside);
        let metadata = found(metadata).map_err(|e| failed("look at", &outside, &e))?;
        if !metadata.is_some_and(|m| m.is_file()) {
            return Ok(None);
        }
        File::open(&outside).map(Some).map_err(|e| failed("open", &outside, &e))
    }

    /// The content of a regular file, up to 16 MiB of it.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        let Some(file) = self.open(path)? else { return Ok(None) };
        let mut content = Vec::new();
        let read = file.take(MAX_TEXT).read_to_end(&mut content);
        read.map_err(|e| failed("read", &self.outside(path), &e))?;
        Ok(Some(content))
    }

    /// All of a regular file, however long.
    pub(crate) fn read_whole(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        let Some(mut file) = self.open(path)? else { return Ok(None) };
        let mut content = Vec::new();
        let read = file.read_to_end(&mut content);
        read.map_err(|e| failed("read", &self.outside(path), &e))?;
        Ok(Some(content))
    }

    /// The content of a file as text; what is no UTF-8 is replaced.
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let content = self.read(path)?;
        Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
    }

    /// The names in a directory, sorted; none when there is no such directory.
    pub(crate) fn list(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>> {
        let Some(real) = self.real(path)? else { return Ok(Vec::new()) };
        let outside = self.outside(real);
        let list = match fs::read_dir(&outside) {
            Ok(list) => list,
            Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &outside, &error)),
        };
        let names = list.map(|entry| entry.map(|entry| entry.file_name()));
        let names: io::Result<Vec<_>> = names.collect();
        let mut names = names.map_err(|e| failed("list", &outside, &e))?;
        names.sort();
        Ok(names)
    }
}

/// A path for a message.
#[must_use]
pub(crate) fn show(path: &Path) -> String {
    Shown(path.as_os_str().as_bytes()).to_string()
}

pub(crate) fn failed(op: &'static str, path: &Path, error: &io::Error) -> OpError {
    OpError::new(op, show(path), errno(error))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if is_missing(&error) => Ok(None),
        result => result.map(Some),
    }
}

/// A real path as seen inside.
fn inside(names: &[Name]) -> PathBuf {
    names.iter().fold(PathBuf::from("/"), |path, name| path.join(name.as_os_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_with_the_root_as_their_slash() {
        let base = std::env::temp_dir().join(format!("files-{}", std::process::id()));
        fs::create_dir_all(base.join("nix/store/x")).expect("a directory");
        fs::write(base.join("nix/store/x/init"), "hello").expect("a file");
        symlink("/nix/store/x", base.join("nix/link")).expect("a link");
        symlink("../../../../nix/link", base.join("nix/store/up")).expect("a link");
        symlink("/loop", base.join("loop")).expect("a link");
        let files = Files::new(&base);
        let read = |path: &str| files.read(path).expect("readable");
        assert_eq!(read("/nix/store/up/init").as_deref(), Some(&b"hello"[..]));
        assert_eq!(files.real("/nix/link").expect("real"), Some("/nix/store/x".into()));
        assert_eq!(read("/nix/link/none"), None);
        assert_eq!(read("/nix/link"), None, "a directory is no file");
        assert_eq!(files.real("/loop").map_err(|e| e.errno()), Err(Errno::ELOOP));
        assert_eq!(files.link("/nix/link").expect("a link"), Some("/nix/store/x".into()));
        assert_eq!(files.link("/nix/store").expect("no link"), None);
        assert_eq!(files.list("/nix/link").expect("a list"), ["init"]);
        fs::remove_dir_all(base).expect("removed");
    }
    /// All who follow links are asked the same.
    #[test]
    fn all_walkers_have_one_answer() {
        use crate::fs::disk::Disk;
        use crate::fs::name::RelPath;
        use crate::fs::walk::{Found, Last, real, resolve};

        let base = std::env::temp_dir().join(format!("walkers-{}", std::process::id()));
        fs::create_dir_all(base.join("a/b")).expect("a directory");
        fs::write(base.join("a/file"), "").expect("a file");
        let long = "x".repeat(256);
        for (name, target) in [
            ("long", format!("a/{long}")),
            ("long-dir", format!("{long}/../a")),
            ("loop", "loop".to_owned()),
            ("out", "../../../a/file".to_owned()),
            ("root", "../../..".to_owned()),
            ("absolute", "/a/file".to_owned()),
            ("slash", "a/b/".to_owned()),
            ("slashes", "//a//./b".to_owned()),
            ("dangling", "a/none".to_owned()),
            ("through-file", "a/file/x".to_owned()),
            ("up", "a/b/..".to_owned()),
            ("a/here", ".".to_owned()),
            ("0", "a/file".to_owned()),
        ] {
            symlink(target, base.join(name)).expect("a link");
        }
        for number in 1..=40 {
            symlink((number - 1).to_string(), base.join(number.to_string())).expect("a link");
        }
        let (disk, root) = (Disk::default(), Disk::open_root(base.as_os_str()).expect("a root"));
        let files = Files::new(&base);
        for (path, want) in [
            ("a/file", Ok(Some("/a/file"))),
            ("long", Ok(None)),
            ("long-dir", Ok(None)),
            ("loop", Err(Errno::ELOOP)),
            ("39", Ok(Some("/a/file"))), // forty links
            ("40", Err(Errno::ELOOP)),
            ("out", Ok(Some("/a/file"))),
            ("root", Ok(Some("/"))),
            ("root/a/file", Ok(Some("/a/file"))),
            ("absolute", Ok(Some("/a/file"))),
            ("slash", Ok(Some("/a/b"))),
            ("a/b/", Ok(Some("/a/b"))),
            ("slash/", Ok(Some("/a/b"))),
            ("slashes", Ok(Some("/a/b"))),
            ("up", Ok(Some("/a"))),
            ("a/here", Ok(Some("/a"))),
            ("up/here/file", Ok(Some("/a/file"))),
            ("dangling", Ok(None)),
            ("through-file", Ok(None)),
            ("none", Ok(None)),
        ] {
            let want = want.map(|path| path.map(PathBuf::from));
            let asked = RelPath::parse(path.as_bytes()).expect("a path");
            let prepare = real(&disk, &root, asked.names());
            let prepare = prepare.map(|path| path.map(|path| inside(&path)));
            assert_eq!(prepare.map_err(|e| e.errno()), want, "{path}");
            assert_eq!(files.real(path).map_err(|e| e.errno()), want, "{path}");
            let engine = match resolve(&disk, &root, &asked, Last::Follow).expect("an answer") {
                Found::Missing => Ok(None),
                Found::Loop => Err(Errno::ELOOP),
                Found::Root => Ok(Some("/".into())),
                Found::Here { real, .. } => Ok(Some(inside(real.names()))),
                other => panic!("{path}: {other:?}"),
            };
            assert_eq!(engine, want, "{path}");
        }
        assert_eq!(files.real(format!("a/{long}")).expect("an answer"), None);
        fs::remove_dir_all(base).expect("removed");
    }
}
