//! Copies the files of a list, and reads the copy back from the disk.

use nix::errno::Errno;

use super::catalog::{self, Catalog};
use super::durable::{self, From, dress, failed};
use super::site::Site;
use super::step::Result;
use crate::error::{OpError, Stop};
use crate::fs::disk::Dir;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::term::progress::Unit;

/// Copies the files of the list from one directory into another, and compares. Device nodes and the like are not copied: no boot
/// loader has any.
///
/// # Errors
/// Any failure of a system call; and when the copy is not the same.
pub(crate) fn tree(site: &Site, from: &Dir, to: &Dir, files: &Catalog) -> Result<()> {
    let bytes = catalog::size(files);
    site.watch.begin("Copying the boot files", Unit::Bytes, usize::try_from(bytes).ok());
    for (path, item) in files {
        let Some((name, parents)) = path.split_last() else { continue };
        let (source, target) = (opened(site, from, parents)?, opened(site, to, parents)?);
        let stat = site.disk.stat(&source, name)?.filter(|stat| stat.kind == item.kind);
        let stat = stat.ok_or_else(|| changed(site, &source, name))?;
        match item.kind {
            Kind::Dir => site.disk.make_dir(&target, name, 0o700)?,
            Kind::File => {
                durable::copy(&site.disk, (&source, name), (&target, name), &stat, &site.watch)?;
            }
            Kind::Link => {
                let link = item.target.clone().unwrap_or_default();
                site.disk.make_link(&target, name, &link, &stat)?;
            }
            Kind::Special => {}
        }
    }
    // The times of a directory only after everything is in it.
    for (path, _) in files.iter().filter(|(_, item)| item.kind == Kind::Dir) {
        let (source, target) = (opened(site, from, path)?, opened(site, to, path)?);
        let stat = site.disk.stat_dir(&source)?;
        dress(&target, &source, &stat).map_err(failed(
            &site.disk,
            "set the owner of",
            &target,
            None,
        ))?;
    }
    site.watch.end();
    site.disk.sync(to)?;
    compare(site, to, files)
}

fn compare(site: &Site, to: &Dir, files: &Catalog) -> Result<()> {
    site.watch.begin("Reading the copy back", Unit::Bytes, None);
    let copied = catalog::read(&site.disk, to, None, From::Disk, &site.watch)?;
    site.watch.end();
    for (path, item) in files.iter().filter(|(_, item)| item.kind != Kind::Special) {
        let same = copied.get(path).is_some_and(|copy| copy.same_content(item));
        if !same {
            let shown = site.show_below(to, path);
            return Err(Stop::wrong(
                format!("{shown} is not what was copied"),
                "The original changed meanwhile, or the disk is faulty",
                "Try again",
            ));
        }
    }
    Ok(())
}

fn opened(site: &Site, dir: &Dir, path: &[Name]) -> Result<Dir> {
    let path =
        if path.is_empty() { site.disk.open(dir, &[])? } else { site.disk.open(dir, path)? };
    Ok(path.ok_or_else(|| OpError::new("open", site.disk.show(dir, None), Errno::ENOENT))?)
}

fn changed(site: &Site, dir: &Dir, name: &Name) -> Stop {
    let shown = site.disk.show(dir, Some(name));
    Stop::wrong(
        format!("{shown} changed while it was copied"),
        "What was saved would have been half the one and half the other",
        "Try again",
    )
}
