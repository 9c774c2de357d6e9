//! Where a path leads below the root, over links and mounts: the system profile,
//! the kernel of a system. The root is the `/` of every link.

use crate::fs::disk::{Dir, Disk};
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::prepare::step::Result;

/// As many links as the kernel follows in a path (`MAXSYMLINKS`, `linux/namei.h`).
const MAX_LINKS: usize = 40;

/// The real path; `None` when it leads to nothing.
///
/// # Errors
/// Any failure of a system call.
pub fn follow(disk: &Disk, root: &Dir, path: &[Name]) -> Result<Option<Vec<Name>>> {
    let mut real = Vec::new();
    let mut todo: Vec<Option<Name>> = path.iter().rev().cloned().map(Some).collect();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        let Some(name) = part else {
            real.pop();
            continue;
        };
        let opened = if real.is_empty() { None } else { disk.open(root, &real)? };
        if !real.is_empty() && opened.is_none() {
            return Ok(None);
        }
        let dir = opened.as_ref().unwrap_or(root);
        match disk.stat(dir, &name)? {
            None => return Ok(None),
            Some(stat) if stat.kind == Kind::Link => {
                links += 1;
                if links > MAX_LINKS {
                    return Ok(None);
                }
                let target = disk.read_link(dir, &name)?;
                if target.starts_with(b"/") {
                    real.clear();
                }
                let parts = target.split(|&b| b == b'/').rev();
                for part in parts.filter(|part| !part.is_empty() && *part != b".") {
                    todo.push(if part == b".." { None } else { Name::new(part).ok() });
                }
            }
            Some(_) => real.push(name),
        }
    }
    Ok(Some(real))
}

/// The directory that holds a path, which is not the root.
///
/// # Errors
/// Any failure of a system call.
pub fn parent(disk: &Disk, root: &Dir, path: &[Name]) -> Result<Option<(Dir, Name)>> {
    let Some((last, parents)) = path.split_last() else { return Ok(None) };
    let dir = disk.open(root, parents)?;
    Ok(dir.map(|dir| (dir, last.clone())))
}

/// The content of a file, by its real path; `None` when there is none.
///
/// # Errors
/// Any failure of a system call.
pub fn read(disk: &Disk, root: &Dir, path: &[Name], max: usize) -> Result<Option<Vec<u8>>> {
    match parent(disk, root, path)? {
        Some((dir, name)) => Ok(disk.read(&dir, &name, max)?),
        None => Ok(None),
    }
}
