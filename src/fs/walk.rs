//! Where a path really leads, below the root.
//!
//! Links are followed here by name, with the root as their `/`, so that none
//! leads out of it (I2), and each is remembered: the real path is kept and the
//! links on the way are recreated.

#[cfg(feature = "full")]
use nix::errno::Errno;

use crate::error::OpError;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Kind;
use crate::fs::tree::{Stat, Tree};

/// As many links as the kernel follows in a path (`MAXSYMLINKS`, `linux/namei.h`).
const MAX_LINKS: usize = 40;

/// Whether the last component is followed when it is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// It is: where does it lead?
    Follow,
    /// It is not: a keeper that is a link stays a link.
    Keep,
    /// It is, and what is mounted on the way is entered, as the running system
    /// does: for reading only.
    Through,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// More links than anybody means.
    Loop,
    /// The root itself, through a link.
    Root,
    /// A file of the root's file system.
    Here {
        /// The real path.
        real: RelPath,
        /// The links on the way, by their real paths.
        links: Vec<RelPath>,
        /// What it is.
        stat: Stat,
        /// What the directory that holds it is.
        parent: Stat,
    },
    /// Something mounted at `at` is in the way.
    Mount {
        /// The mount point, by its real path.
        at: RelPath,
    },
    /// A btrfs subvolume at `at` is in the way: no rename crosses it.
    Subvolume {
        /// The subvolume, by its real path.
        at: RelPath,
        /// The links on the way, by their real paths.
        links: Vec<RelPath>,
        /// What the subvolume is.
        stat: Stat,
        /// What the directory that holds it is.
        parent: Stat,
        /// It is read-only, and so cannot be moved.
        read_only: bool,
    },
}

/// Follows a path from the root.
///
/// # Errors
/// What the file system answers, but for files that are not there.
pub fn resolve<T: Tree>(
    tree: &T,
    root: &T::Dir,
    path: &RelPath,
    last: Last,
) -> Result<Found, OpError> {
    resolve_in(tree, (root, &tree.stat_dir(root)?), path, last)
}

/// The same in a root that was looked at.
///
/// # Errors
/// The same.
pub(crate) fn resolve_in<T: Tree>(
    tree: &T,
    (root, here): (&T::Dir, &Stat),
    path: &RelPath,
    last: Last,
) -> Result<Found, OpError> {
    match straight(tree, root, here, path, last)? {
        Some(found) => Ok(found),
        None => walk(tree, root, here, path, last),
    }
}

/// The common case: no links on the way, nothing crossed.
fn straight<T: Tree>(
    tree: &T,
    root: &T::Dir,
    here: &Stat,
    path: &RelPath,
    last: Last,
) -> Result<Option<Found>, OpError> {
    let opened = match path.parents() {
        [] => None,
        parents => match tree.open(root, parents)? {
            None => return Ok(None),
            opened => opened,
        },
    };
    let dir = opened.as_ref().unwrap_or(root);
    let parent = opened.as_ref().map_or(Ok(*here), |dir| tree.stat_dir(dir))?;
    if last != Last::Through && !same_tree(here, &parent) {
        return Ok(None);
    }
    let Some(stat) = tree.stat(dir, path.last())? else { return Ok(Some(Found::Missing)) };
    let crosses = match stat.kind {
        Kind::Dir => !same_tree(here, &stat),
        _ => stat.mount != here.mount,
    };
    let crosses = crosses && last != Last::Through;
    if crosses || (stat.kind == Kind::Link && last != Last::Keep) {
        return Ok(None);
    }
    Ok(Some(Found::Here { real: path.clone(), links: Vec::new(), stat, parent }))
}

fn same_tree(here: &Stat, there: &Stat) -> bool {
    here.device == there.device && here.mount == there.mount
}

enum Part {
    Down(Name),
    Up,
}

/// A way through names and links: where it is, and what is still to go. Pure, and the
/// one answer of all who follow links: a `..` of the root is the root, a `/` at the end
/// says nothing, and a name that no file can have leads nowhere.
pub(crate) struct Way {
    /// What is still to go, the next part at the end.
    todo: Vec<Part>,
    /// The real path so far.
    pub(crate) real: Vec<Name>,
    links: usize,
}

/// What a link leads to.
pub(crate) enum Turn {
    /// The way goes on.
    On,
    /// Nowhere: a name in it can be no file's.
    Nowhere,
    /// There were more links than anybody means.
    Loop,
}

impl Way {
    pub(crate) fn new(path: &[Name]) -> Self {
        let todo = path.iter().rev().cloned().map(Part::Down).collect();
        Self { todo, real: Vec::new(), links: 0 }
    }

    /// The next name, to be looked up in `real`; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Name> {
        loop {
            match self.todo.pop()? {
                Part::Down(name) => return Some(name),
                Part::Up => drop(self.real.pop()),
            }
        }
    }

    /// Whether nothing is left to go.
    pub(crate) fn ends(&self) -> bool {
        self.todo.is_empty()
    }

    /// Goes on where a link in `real` leads.
    pub(crate) fn turn(&mut self, target: &[u8]) -> Turn {
        if self.links == MAX_LINKS {
            return Turn::Loop;
        }
        self.links += 1;
        if target.starts_with(b"/") {
            self.real.clear();
        }
        self.add(target)
    }

    /// Puts a path before what is still to go.
    pub(crate) fn add(&mut self, path: &[u8]) -> Turn {
        for part in path.rsplit(|&b| b == b'/').filter(|p| !p.is_empty() && *p != b".") {
            match Name::new(part) {
                Ok(name) => self.todo.push(Part::Down(name)),
                Err(_) if part == b".." => self.todo.push(Part::Up),
                Err(_) => return Turn::Nowhere,
            }
        }
        Turn::On
    }
}

/// The real path, over links and across mounts; `None` when nothing is there.
///
/// # Errors
/// What the file system answers; `ELOOP` for more links than anybody means.
#[cfg(feature = "full")]
pub(crate) fn real<T: Tree>(
    tree: &T,
    root: &T::Dir,
    path: &[Name],
) -> Result<Option<Vec<Name>>, OpError> {
    let mut way = Way::new(path);
    while let Some(name) = way.next() {
        let opened = if way.real.is_empty() { None } else { tree.open(root, &way.real)? };
        if opened.is_none() && !way.real.is_empty() {
            return Ok(None); // a file on the way
        }
        let dir = opened.as_ref().unwrap_or(root);
        let Some(stat) = tree.stat(dir, &name)? else { return Ok(None) };
        if stat.kind != Kind::Link {
            way.real.push(name);
            continue;
        }
        match way.turn(&tree.read_link(dir, &name)?) {
            Turn::On => {}
            Turn::Nowhere => return Ok(None),
            Turn::Loop => {
                return Err(OpError::new("follow", tree.show(dir, Some(&name)), Errno::ELOOP));
            }
        }
    }
    Ok(Some(way.real))
}

fn walk<T: Tree>(
    tree: &T,
    root: &T::Dir,
    here: &Stat,
    path: &RelPath,
    last: Last,
) -> Result<Found, OpError> {
    let mut way = Way::new(path.names());
    let mut links: Vec<RelPath> = Vec::new();
    loop {
        // After a `..` or a link to `/` at the end: the directory where it is then.
        let Some(name) = way.next().or_else(|| way.real.pop()) else { return Ok(Found::Root) };
        let opened = if way.real.is_empty() { None } else { tree.open(root, &way.real)? };
        if opened.is_none() && !way.real.is_empty() {
            return Ok(Found::Missing); // a file on the way
        }
        let dir = opened.as_ref().unwrap_or(root);
        let Some(stat) = tree.stat(dir, &name)? else { return Ok(Found::Missing) };
        let target = match stat.kind {
            Kind::Link if last != Last::Keep || !way.ends() => Some(tree.read_link(dir, &name)?),
            _ => None,
        };
        way.real.push(name);
        let Some(at) = RelPath::new(way.real.clone()) else { return Ok(Found::Root) };
        let stops = last != Last::Through;
        if stops && stat.mount != here.mount {
            return Ok(Found::Mount { at });
        }
        // Only a directory can be a subvolume; on an overlay a file may have any device.
        if stops && stat.device != here.device && stat.kind == Kind::Dir {
            let parent = tree.stat_dir(dir)?;
            let read_only = tree.is_read_only(dir, at.last())?;
            return Ok(Found::Subvolume { at, links, stat, parent, read_only });
        }
        let Some(target) = target else {
            if way.ends() {
                let parent = tree.stat_dir(dir)?;
                return Ok(Found::Here { real: at, links, stat, parent });
            }
            continue;
        };
        way.real.pop();
        match way.turn(&target) {
            Turn::On => links.push(at),
            Turn::Nowhere => return Ok(Found::Missing),
            Turn::Loop => return Ok(Found::Loop),
        }
    }
}
