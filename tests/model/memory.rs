//! A file system in memory that loses its power after a chosen number of
//! changes. Each change is atomic; nothing is lost that was done before.
//!
//! It may have little space: a number of inodes, and of bytes for contents and for
//! directories, which grow by blocks of [`NAMES`] names and never shrink.

#![allow(unreachable_pub)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;
use nixos_lustrate::error::OpError;
use nixos_lustrate::fs::mounts::Mount;
use nixos_lustrate::fs::name::{Name, RelPath};
use nixos_lustrate::fs::sys::{APPEND, IMMUTABLE, Kind, PROJECT};
use nixos_lustrate::fs::tree::{Moved, Result, Stat, Tree};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Dir(BTreeMap<Name, usize>),
    File(Vec<u8>),
    Link(Vec<u8>),
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a property by itself
pub struct Inode {
    pub content: Content,
    pub flags: u32,
    pub project: u32,
    /// The subvolume that it is in; 0 is that of the root.
    pub volume: usize,
    /// It is the top of a subvolume.
    pub top: bool,
    /// A subvolume that cannot be changed.
    pub read_only: bool,
    /// A directory that takes no more directories.
    pub full: bool,
    /// Something is mounted there.
    pub mounted: bool,
    /// Bytes that it has taken: blocks of a directory, or a reserve.
    taken: usize,
}

impl Inode {
    /// What is there already has its room.
    fn new(content: Content) -> Self {
        let (flags, project, volume, taken) = (0, 0, 0, 0);
        let (top, read_only, full, mounted) = (false, false, false, false);
        Self { content, flags, project, volume, top, read_only, full, mounted, taken }
    }

    pub fn is_dir(&self) -> bool {
        matches!(self.content, Content::Dir(_))
    }
}

/// How many names a block of a directory holds.
const NAMES: usize = 4;
/// The bytes of such a block.
pub const BLOCK: usize = 100;

/// What is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    pub files: usize,
    pub bytes: usize,
}

#[derive(Clone, Debug)]
pub struct Memory {
    inodes: RefCell<Vec<Inode>>,
    /// Changes until the power is cut.
    left: Cell<usize>,
    /// Changes made.
    pub made: Cell<usize>,
    pub exchanges: bool,
    pub free: Cell<Free>,
    /// What is mounted hinders.
    pub busy: Cell<bool>,
    /// The inode that gives back what it has taken, and what it keeps of it.
    held: Cell<Option<(usize, usize)>>,
}

pub const ROOT: usize = 0;

impl Memory {
    pub fn new() -> Self {
        let root = Inode::new(Content::Dir(BTreeMap::new()));
        Self {
            inodes: RefCell::new(vec![root]),
            left: Cell::new(usize::MAX),
            made: Cell::new(0),
            exchanges: true,
            free: Cell::new(Free { files: usize::MAX / 2, bytes: usize::MAX / 2 }),
            busy: Cell::new(true),
            held: Cell::new(None),
        }
    }

    /// A process ends, and with it what it held.
    pub fn forget(&self) {
        self.held.set(None);
    }

    /// Does what may need space; when there is none, once more with the reserve.
    fn with_room<T>(&self, act: impl Fn() -> Result<T>) -> Result<T> {
        match act() {
            Err(error) if error.errno() == Errno::ENOSPC => {}
            done => return done,
        }
        if let Some((inode, floor)) = self.held.take() {
            self.change()?;
            let taken = self.inodes.borrow()[inode].taken;
            self.inodes.borrow_mut()[inode].taken = taken.min(floor);
            self.give(0, taken.saturating_sub(floor));
        }
        act()
    }

    fn pay(&self, files: usize, bytes: usize) -> Result<()> {
        let free = self.free.get();
        let left = (free.files.checked_sub(files), free.bytes.checked_sub(bytes));
        let (Some(files), Some(bytes)) = left else { return Err(fail(Errno::ENOSPC)) };
        self.free.set(Free { files, bytes });
        Ok(())
    }

    fn give(&self, files: usize, bytes: usize) {
        let free = self.free.get();
        self.free.set(Free { files: free.files + files, bytes: free.bytes + bytes });
    }

    /// What a new name in a directory costs.
    fn growth(&self, dir: usize, name: &Name) -> usize {
        let inode = &self.inodes.borrow()[dir];
        let Content::Dir(entries) = &inode.content else { return 0 };
        let fits =
            entries.contains_key(name) || entries.len() < NAMES + inode.taken / BLOCK * NAMES;
        if fits { 0 } else { BLOCK }
    }

    fn grown(&self, dir: usize, bytes: usize) {
        self.inodes.borrow_mut()[dir].taken += bytes;
    }

    fn size(&self, inode: usize) -> usize {
        let inode = &self.inodes.borrow()[inode];
        inode.taken
            + match &inode.content {
                Content::Dir(_) => 0,
                Content::File(bytes) | Content::Link(bytes) => bytes.len(),
            }
    }

    /// The power goes after that many changes from now.
    pub fn cut_after(&self, changes: usize) {
        self.left.set(changes);
        self.made.set(0);
    }

    pub fn power_on(&self) {
        self.cut_after(usize::MAX);
    }

    fn change(&self) -> Result<()> {
        match self.left.get() {
            0 => Err(fail(Errno::EIO)),
            left => {
                self.left.set(left - 1);
                self.made.set(self.made.get() + 1);
                Ok(())
            }
        }
    }

    fn lookup(&self, dir: usize, name: &Name) -> Option<usize> {
        match &self.inodes.borrow()[dir].content {
            Content::Dir(entries) => entries.get(name).copied(),
            _ => None,
        }
    }

    /// Puts an inode there, without any rule.
    pub fn link(&self, dir: usize, name: &Name, inode: usize) {
        if let Content::Dir(entries) = &mut self.inodes.borrow_mut()[dir].content {
            entries.insert(name.clone(), inode);
        }
    }

    /// Takes a name away, without any rule.
    pub fn unlink(&self, dir: usize, name: &Name) {
        if let Content::Dir(entries) = &mut self.inodes.borrow_mut()[dir].content {
            entries.remove(name);
        }
    }

    fn create(&self, dir: usize, name: &Name, content: &Content) -> Result<usize> {
        if self.lookup(dir, name).is_some() {
            return Err(fail(Errno::EEXIST));
        }
        self.may_change(dir)?;
        self.with_room(|| {
            let growth = self.growth(dir, name);
            self.pay(1, growth)?;
            self.change()?;
            self.grown(dir, growth);
            Ok(self.add(dir, name, content.clone()))
        })
    }

    /// Gives a file another content.
    fn write(&self, inode: usize, content: &[u8]) -> Result<()> {
        self.with_room(|| {
            let before = self.size(inode) - self.inodes.borrow()[inode].taken;
            self.pay(0, content.len().saturating_sub(before))?;
            self.change()?;
            self.give(0, before.saturating_sub(content.len()));
            self.inodes.borrow_mut()[inode].content = Content::File(content.to_vec());
            Ok(())
        })
    }

    /// Adds a file, as whoever makes the tree does.
    pub fn add(&self, dir: usize, name: &Name, content: Content) -> usize {
        let inode = self.inodes.borrow().len();
        let Inode { volume, flags, project, .. } = self.inodes.borrow()[dir];
        let mut made = Inode { volume, ..Inode::new(content) };
        if flags & PROJECT != 0 {
            made.project = project;
            made.flags = if made.is_dir() { PROJECT } else { 0 };
        }
        self.inodes.borrow_mut().push(made);
        self.link(dir, name, inode);
        inode
    }

    pub fn flag(&self, inode: usize, flags: u32) {
        self.inodes.borrow_mut()[inode].flags |= flags;
    }

    pub fn change_inode(&self, inode: usize, change: impl FnOnce(&mut Inode)) {
        change(&mut self.inodes.borrow_mut()[inode]);
    }

    /// Makes a directory a subvolume, with all that is in it.
    pub fn make_subvolume(&self, dir: usize) {
        let mut todo = vec![dir];
        while let Some(at) = todo.pop() {
            let inner = self.inode(at).top && at != dir;
            if !inner {
                self.change_inode(at, |inode| inode.volume = dir);
                if let Content::Dir(entries) = &self.inode(at).content {
                    todo.extend(entries.values());
                }
            }
        }
        self.change_inode(dir, |inode| inode.top = true);
    }

    /// Why an inode cannot go from one directory to another.
    pub fn hinders(&self, from: usize, to: usize, inode: usize) -> Option<Errno> {
        let inodes = self.inodes.borrow();
        let (from_dir, to_dir, moved) = (&inodes[from], &inodes[to], &inodes[inode]);
        let read_only = |dir: &Inode| inodes[dir.volume].read_only;
        if moved.mounted && self.busy.get() {
            return Some(Errno::EBUSY);
        }
        if read_only(from_dir) || read_only(to_dir) || (moved.read_only && from != to) {
            Some(Errno::EROFS)
        } else if from_dir.volume != to_dir.volume && !moved.top {
            Some(Errno::EXDEV)
        } else if to_dir.full && moved.is_dir() && from != to {
            Some(Errno::EMLINK)
        } else if to_dir.flags & PROJECT != 0 && to_dir.project != moved.project {
            Some(Errno::EXDEV)
        } else {
            None
        }
    }

    /// What is mounted on entries of the root.
    pub fn mounts(&self) -> Vec<Mount> {
        let mut mounts = Vec::new();
        for name in self.list(&ROOT).unwrap() {
            if self.lookup(ROOT, &name).is_some_and(|inode| self.inode(inode).mounted) {
                mounts.push(Mount { point: RelPath::from(name), fs_type: "tmpfs".to_owned() });
            }
        }
        mounts
    }

    pub fn inode(&self, inode: usize) -> Inode {
        self.inodes.borrow()[inode].clone()
    }

    pub fn count(&self) -> usize {
        self.inodes.borrow().len()
    }

    fn may_change(&self, inode: usize) -> Result<()> {
        let inodes = self.inodes.borrow();
        let Inode { flags, volume, top, .. } = inodes[inode];
        if inodes[volume].read_only && !top {
            return Err(fail(Errno::EROFS));
        }
        if flags & (IMMUTABLE | APPEND) == 0 {
            Ok(())
        } else {
            Err(OpError::new("change the immutable", format!("inode {inode}"), Errno::EPERM))
        }
    }

    /// Every path and its inode.
    pub fn paths(&self) -> BTreeMap<Vec<Name>, usize> {
        let mut paths = BTreeMap::new();
        let mut todo = vec![(Vec::new(), ROOT)];
        let mut seen = BTreeSet::new();
        while let Some((path, inode)) = todo.pop() {
            if let Content::Dir(entries) = &self.inodes.borrow()[inode].content {
                assert!(seen.insert(inode), "a directory in two places: {path:?}");
                for (name, child) in entries {
                    let mut path = path.clone();
                    path.push(name.clone());
                    todo.push((path, *child));
                }
            }
            paths.insert(path, inode);
        }
        paths
    }
}

fn fail(errno: Errno) -> OpError {
    OpError::new("change", "the model".to_owned(), errno)
}

impl Tree for Memory {
    type Dir = usize;

    fn open(&self, dir: &usize, path: &[Name]) -> Result<Option<usize>> {
        let mut at = *dir;
        for name in path {
            match self.lookup(at, name) {
                Some(inode) => at = inode,
                None => return Ok(None),
            }
        }
        let is_dir = matches!(self.inodes.borrow()[at].content, Content::Dir(_));
        Ok(is_dir.then_some(at))
    }

    fn stat(&self, dir: &usize, name: &Name) -> Result<Option<Stat>> {
        self.lookup(*dir, name).map(|inode| self.stat_dir(&inode)).transpose()
    }

    fn stat_dir(&self, dir: &usize) -> Result<Stat> {
        let inode = &self.inodes.borrow()[*dir];
        Ok(Stat {
            kind: match inode.content {
                Content::Dir(_) => Kind::Dir,
                Content::File(_) => Kind::File,
                Content::Link(_) => Kind::Link,
            },
            mode: 0o700,
            uid: 0,
            gid: 0,
            inode: *dir as u64,
            device: (1, u32::try_from(inode.volume).unwrap()),
            mount: std::num::NonZeroU64::new(1),
            flags: inode.flags & !PROJECT,
            accessed: (0, 0),
            modified: (0, 0),
        })
    }

    fn list(&self, dir: &usize) -> Result<Vec<Name>> {
        match &self.inodes.borrow()[*dir].content {
            Content::Dir(entries) => Ok(entries.keys().cloned().collect()),
            _ => Err(fail(Errno::ENOTDIR)),
        }
    }

    fn read(&self, dir: &usize, name: &Name, max: usize) -> Result<Option<Vec<u8>>> {
        let Some(inode) = self.lookup(*dir, name) else { return Ok(None) };
        Ok(match &self.inodes.borrow()[inode].content {
            Content::File(bytes) => Some(bytes.iter().copied().take(max + 1).collect()),
            _ => None,
        })
    }

    fn is_read_only(&self, dir: &usize, name: &Name) -> Result<bool> {
        let inode = self.lookup(*dir, name).ok_or_else(|| fail(Errno::ENOENT))?;
        let inodes = self.inodes.borrow();
        Ok(inodes[inodes[inode].volume].read_only)
    }

    fn read_link(&self, dir: &usize, name: &Name) -> Result<Vec<u8>> {
        let inode = self.lookup(*dir, name).ok_or_else(|| fail(Errno::ENOENT))?;
        match &self.inodes.borrow()[inode].content {
            Content::Link(target) => Ok(target.clone()),
            _ => Err(fail(Errno::EINVAL)),
        }
    }

    fn make_dir(&self, dir: &usize, name: &Name, _: u32) -> Result<()> {
        match self.open(dir, std::slice::from_ref(name))? {
            Some(_) => Ok(()),
            None => self.create(*dir, name, &Content::Dir(BTreeMap::new())).map(drop),
        }
    }

    fn make_file(&self, dir: &usize, name: &Name, content: &[u8]) -> Result<()> {
        // Not atomic: first the empty file, then its content.
        let inode = self.create(*dir, name, &Content::File(Vec::new()))?;
        if content.is_empty() { Ok(()) } else { self.write(inode, content) }
    }

    fn make_empty(&self, dir: &usize, name: &Name) -> Result<()> {
        if self.lookup(*dir, name).is_some() {
            return Ok(());
        }
        self.create(*dir, name, &Content::File(Vec::new())).map(drop)
    }

    fn fill(&self, dir: &usize, name: &Name, content: &[u8]) -> Result<bool> {
        let Some(inode) = self.lookup(*dir, name) else { return Ok(false) };
        self.write(inode, content).map(|()| true)
    }

    fn reserve(&self, dir: &usize, name: &Name, size: u64, floor: u64) -> Result<()> {
        let (size, floor) = (usize::try_from(size).unwrap(), usize::try_from(floor).unwrap());
        let inode = match self.lookup(*dir, name) {
            Some(inode) => inode,
            None if size == 0 => return Ok(()),
            None => self.create(*dir, name, &Content::File(Vec::new()))?,
        };
        let more = size.saturating_sub(self.inodes.borrow()[inode].taken);
        if more > 0 {
            self.pay(0, more)?;
            self.change()?;
            self.grown(inode, more);
        }
        self.held.set(Some((inode, floor)));
        Ok(())
    }

    fn make_link(&self, dir: &usize, name: &Name, target: &[u8], _: &Stat) -> Result<()> {
        self.create(*dir, name, &Content::Link(target.to_vec())).map(drop)
    }

    fn copy_metadata(&self, _: &usize, _: &usize) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn set_times(&self, dir: &usize, _: &Stat) -> Result<()> {
        self.may_change(*dir)
    }

    fn set_mode(&self, dir: &usize, _: u32) -> Result<()> {
        self.may_change(*dir)
    }

    fn set_owner(&self, dir: &usize, _: (u32, u32)) -> Result<()> {
        self.may_change(*dir)
    }

    fn rename(&self, from: (&usize, &Name), to: (&usize, &Name)) -> Result<Moved> {
        let Some(inode) = self.lookup(*from.0, from.1) else { return Ok(Moved::Missing) };
        if self.lookup(*to.0, to.1).is_some() {
            return Ok(Moved::Taken);
        }
        for touched in [*from.0, *to.0, inode] {
            self.may_change(touched)?;
        }
        if let Some(errno) = self.hinders(*from.0, *to.0, inode) {
            return Err(OpError::new("rename", format!("{from:?} to {to:?}"), errno));
        }
        self.with_room(|| {
            let growth = self.growth(*to.0, to.1);
            self.pay(0, growth)?;
            self.change()?;
            self.grown(*to.0, growth);
            self.unlink(*from.0, from.1);
            self.link(*to.0, to.1, inode);
            Ok(Moved::Done)
        })
    }

    fn replace(&self, from: (&usize, &Name), to: (&usize, &Name)) -> Result<()> {
        let inode = self.lookup(*from.0, from.1).ok_or_else(|| fail(Errno::ENOENT))?;
        if let Some(errno) = self.hinders(*from.0, *to.0, inode) {
            return Err(OpError::new("rename", format!("{from:?} to {to:?}"), errno));
        }
        self.with_room(|| {
            let growth = self.growth(*to.0, to.1);
            self.pay(0, growth)?;
            self.change()?;
            self.grown(*to.0, growth);
            if let Some(replaced) = self.lookup(*to.0, to.1) {
                self.give(1, self.size(replaced));
            }
            self.unlink(*from.0, from.1);
            self.link(*to.0, to.1, inode);
            Ok(())
        })
    }

    fn exchange(&self, a: (&usize, &Name), b: (&usize, &Name)) -> Result<bool> {
        if !self.exchanges {
            return Ok(false);
        }
        let inode =
            |at: (&usize, &Name)| self.lookup(*at.0, at.1).ok_or_else(|| fail(Errno::ENOENT));
        let (first, second) = (inode(a)?, inode(b)?);
        for touched in [*a.0, *b.0, first, second] {
            self.may_change(touched)?;
        }
        let hindered = self.hinders(*a.0, *b.0, first).or(self.hinders(*b.0, *a.0, second));
        // One directory for another needs no more links.
        let both = self.inode(first).is_dir() && self.inode(second).is_dir();
        if let Some(errno) = hindered.filter(|errno| !both || *errno != Errno::EMLINK) {
            return Err(OpError::new("exchange", format!("{a:?} and {b:?}"), errno));
        }
        self.change()?;
        self.link(*a.0, a.1, second);
        self.link(*b.0, b.1, first);
        Ok(true)
    }

    fn remove_file(&self, dir: &usize, name: &Name) -> Result<()> {
        if let Some(inode) = self.lookup(*dir, name) {
            self.may_change(*dir)?;
            self.change()?;
            self.give(1, self.size(inode));
            self.unlink(*dir, name);
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &usize, name: &Name) -> Result<()> {
        match self.open(dir, std::slice::from_ref(name))? {
            Some(found) if !self.list(&found)?.is_empty() => Err(fail(Errno::ENOTEMPTY)),
            Some(_) => self.remove_file(dir, name),
            None => Ok(()),
        }
    }

    fn flags(&self, dir: &usize, name: Option<&Name>) -> Result<u32> {
        let inode = name.map_or(Some(*dir), |name| self.lookup(*dir, name));
        Ok(self.inodes.borrow()[inode.ok_or_else(|| fail(Errno::ENOENT))?].flags)
    }

    fn set_flags(&self, dir: &usize, name: Option<&Name>, flags: u32) -> Result<()> {
        let inode = name.map_or(Some(*dir), |name| self.lookup(*dir, name));
        let inode = inode.ok_or_else(|| fail(Errno::ENOENT))?;
        self.change()?;
        self.inodes.borrow_mut()[inode].flags = flags;
        Ok(())
    }

    fn sync(&self, _: &usize) -> Result<()> {
        Ok(())
    }

    fn show(&self, dir: &usize, name: Option<&Name>) -> String {
        format!("<{dir}>/{}", name.map(ToString::to_string).unwrap_or_default())
    }
}
