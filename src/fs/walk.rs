//! Where a path of the keep-list really leads, below the root.
//!
//! Links are followed here by name, with the root as their `/`, so that none
//! leads out of it (I2), and each is remembered: the real path is kept and the
//! links on the way are recreated.

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

impl Last {
    /// The same of a path without links.
    fn and_stay(self) -> Self {
        if self == Self::Through { self } else { Self::Keep }
    }
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
    let here = tree.stat_dir(root)?;
    match straight(tree, root, &here, path, last)? {
        Some(found) => Ok(found),
        None => walk(tree, root, &here, path, last),
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
    let parent = tree.stat_dir(dir)?;
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

fn walk<T: Tree>(
    tree: &T,
    root: &T::Dir,
    here: &Stat,
    path: &RelPath,
    last: Last,
) -> Result<Found, OpError> {
    // What is still to go, the next part at the end.
    let mut todo: Vec<Part> = path.names().iter().rev().cloned().map(Part::Down).collect();
    let mut real: Vec<Name> = Vec::new();
    let mut links: Vec<RelPath> = Vec::new();
    while let Some(part) = todo.pop() {
        let Part::Down(name) = part else {
            real.pop();
            continue;
        };
        let opened = if real.is_empty() { None } else { tree.open(root, &real)? };
        if opened.is_none() && !real.is_empty() {
            return Ok(Found::Missing); // a file on the way
        }
        let dir = opened.as_ref().unwrap_or(root);
        let Some(stat) = tree.stat(dir, &name)? else { return Ok(Found::Missing) };
        let target = match stat.kind {
            Kind::Link if last != Last::Keep || !todo.is_empty() => {
                Some(tree.read_link(dir, &name)?)
            }
            _ => None,
        };
        real.push(name);
        let Some(at) = RelPath::new(real.clone()) else { return Ok(Found::Root) };
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
            if todo.is_empty() {
                let parent = tree.stat_dir(dir)?;
                return Ok(Found::Here { real: at, links, stat, parent });
            }
            continue;
        };
        if links.len() == MAX_LINKS {
            return Ok(Found::Loop);
        }
        links.push(at);
        real.pop();
        if target.starts_with(b"/") {
            real.clear();
        }
        for part in target.rsplit(|&b| b == b'/').filter(|p| !p.is_empty() && *p != b".") {
            match Name::new(part) {
                Ok(name) => todo.push(Part::Down(name)),
                Err(_) if part == b".." => todo.push(Part::Up),
                Err(_) => return Ok(Found::Missing), // a name that no file can have
            }
        }
    }
    // The last part was a `..`, or a link to `/`: a directory on the way.
    match RelPath::new(real) {
        None => Ok(Found::Root),
        Some(real) => match straight(tree, root, here, &real, last.and_stay())? {
            Some(Found::Here { real, stat, parent, .. }) => {
                Ok(Found::Here { real, links, stat, parent })
            }
            _ => Ok(Found::Missing),
        },
    }
}
