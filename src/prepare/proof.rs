//! A look at what a boot loader's installer wrote: its exit status proves nothing
//! (users.md 14). There has to be a configuration with an entry for this very
//! system, whose kernel and initrd are on the disk with the right content.

use std::io::{ErrorKind, Read};

use crate::bootloader::configurations::{FILES, FOLDERS, is_image};
use crate::bootloader::entries::{MenuEntry, components, entries, image_boots};
use crate::engine::names::{BOOT, NIX};
use crate::error::{OpError, Stop};
use crate::fs::disk::Dir;
use crate::fs::name::Name;
use crate::fs::sys::{Kind, errno};
use crate::fs::tree::Tree;
use crate::fs::walk;
use crate::prepare::durable::{open, parent};
use crate::prepare::escape;
use crate::prepare::places::Kept;
use crate::prepare::site::Site;
use crate::prepare::step::Result;

/// No configuration is larger.
const MAX: usize = 8 << 20;
/// No unified kernel image is larger.
const MAX_IMAGE: usize = 1 << 30;

/// Where files of boot loaders may be: paths below the root, each the root of
/// what a configuration calls `/`.
pub(super) fn bases(site: &Site) -> Result<Vec<Vec<Name>>> {
    let mut found = Vec::new();
    for place in site.places()? {
        if place.kept == Kept::Missing {
            continue;
        }
        found.extend(place.nested.iter().map(|n| place.below(n.names())));
        found.push(place.path.names().to_vec());
    }
    for dir in &site.known.written {
        if !found.iter().any(|base| base == dir.names()) {
            found.push(dir.names().to_vec());
        }
    }
    Ok(found)
}

/// The configurations of a base: each with its path below it.
fn configurations(site: &Site, base: &Dir) -> Result<Vec<Vec<Name>>> {
    let path = |text: &str| escape::path(text).unwrap_or_default();
    let mut found = Vec::new();
    found.extend(FILES.iter().map(|file| path(file)));
    for (dir, end) in FOLDERS {
        let Some(opened) = site.disk.open(base, &path(dir))? else { continue };
        let names = site.disk.list(&opened)?;
        let names = names.into_iter().filter(|name| name.as_bytes().ends_with(end));
        found.extend(names.map(|name| [path(dir), vec![name]].concat()));
    }
    Ok(found)
}

fn read(site: &Site, base: &Dir, path: &[Name], max: usize) -> Result<Option<Vec<u8>>> {
    let Some((dir, name)) = parent(&site.disk, base, path)? else { return Ok(None) };
    match site.disk.stat(&dir, &name)? {
        Some(stat) if stat.kind == Kind::File => Ok(site.disk.read(&dir, &name, max)?),
        _ => Ok(None),
    }
}

/// What boots the system at `/SYSTEM`, or what is missing for that.
pub(crate) fn look(site: &Site, system: &str) -> Result<std::result::Result<String, String>> {
    let bases = bases(site)?;
    // A machine may start by any copy of its boot loader.
    let mirrors = site.wish.written.mirrors.iter().map(|path| path.names().to_vec());
    let mut found = None;
    for mirror in mirrors.filter(|path| bases.contains(path)) {
        match one_of(site, std::slice::from_ref(&mirror), system)? {
            Ok(shown) => found = found.or(Some(shown)),
            Err(lacks) => return Ok(Err(lacks)),
        }
    }
    match found {
        Some(shown) => Ok(Ok(shown)),
        None => one_of(site, &bases, system),
    }
}

/// The same, below some of the bases.
fn one_of(
    site: &Site,
    bases: &[Vec<Name>],
    system: &str,
) -> Result<std::result::Result<String, String>> {
    let mut missing = None;
    for base in bases {
        let Some(dir) = site.disk.open(&site.root, base)? else { continue };
        for path in configurations(site, &dir)? {
            let shown = format!("/{}", escape::of_path(&[base.clone(), path.clone()].concat()));
            if path.last().is_some_and(|name| is_image(name.as_bytes())) {
                let image = read(site, &dir, &path, MAX_IMAGE)?;
                if image.is_some_and(|image| image_boots(&image, system)) {
                    return Ok(Ok(shown));
                }
                continue;
            }
            let Some(content) = read(site, &dir, &path, MAX)? else { continue };
            let entries = entries(&String::from_utf8_lossy(&content));
            for entry in entries.iter().filter(|entry| entry.boots(system)) {
                match lacks(site, base, &path, entry, system)? {
                    None => return Ok(Ok(shown)),
                    Some(lacks) => missing = Some(format!("{shown} names {lacks}")),
                }
            }
        }
    }
    let none = || {
        let all =
            bases.iter().filter(|path| !bases.iter().any(|b| *b != **path && path.starts_with(b)));
        let all: Vec<_> = all.map(|path| format!("/{}", escape::of_path(path))).collect();
        let all = if all.is_empty() { "/boot".to_owned() } else { all.join(", ") };
        format!("nothing below {all} names init=/{system}/init")
    };
    Ok(Err(missing.unwrap_or_else(none)))
}

/// What an entry names that is not there, or is something else.
fn lacks(
    site: &Site,
    base: &[Name],
    config: &[Name],
    entry: &MenuEntry,
    system: &str,
) -> Result<Option<String>> {
    let files = [("kernel", std::slice::from_ref(&entry.kernel)), ("initrd", &entry.initrds)];
    for (what, paths) in files {
        let system = escape::path(&format!("{system}/{what}")).unwrap_or_default();
        let Some(wanted) = walk::real(&site.disk, &site.root, &system)? else {
            return Ok(Some(format!("a system without {what}")));
        };
        if what == "initrd" && paths.is_empty() {
            return Ok(Some("no initrd".to_owned()));
        }
        // More initrds, with microcode or secrets, may stand beside it.
        let (mut is_there, mut other) = (false, None);
        for path in paths {
            match find(site, base, config, path, &wanted)? {
                Seen::Wanted => is_there = true,
                Seen::Other => other = Some(format!("{path}, which is not that of the system")),
                Seen::Missing => return Ok(Some(format!("{path}, which is missing"))),
            }
        }
        if let Some(other) = other.filter(|_| !is_there) {
            return Ok(Some(other));
        }
    }
    if let Some(path) = &entry.hypervisor
        && find(site, base, config, path, &[])? == Seen::Missing
    {
        return Ok(Some(format!("{path}, which is missing")));
    }
    Ok(None)
}

/// What a configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Nothing is there.
    Missing,
    /// Something else.
    Other,
    /// A file with the wanted content.
    Wanted,
}

/// What is there, and whether it is the wanted file.
fn find(site: &Site, base: &[Name], config: &[Name], path: &str, wanted: &[Name]) -> Result<Seen> {
    let here = config.split_last().map_or(&[][..], |(_, dir)| dir);
    let named = components(path, here);
    let mut places = vec![base.to_vec(), Vec::new()];
    places.extend(bases(site)?);
    // What GRUB calls / may be above the root: the top of a btrfs with subvolumes, far
    // above with snapshots, or a pool of ZFS.
    let deep = |tail: &&[Name]| tail.first().is_some_and(|name| [NIX, BOOT].contains(name));
    let all = (0..named.len()).map(|skip| (skip, &named[skip..]));
    let tails = all.filter(|(skip, tail)| *skip < 3 || deep(tail)).map(|(_, tail)| tail);
    let mut seen = Seen::Missing;
    for tail in tails {
        for place in &places {
            let candidate = [place.as_slice(), tail].concat();
            let Some(real) = walk::real(&site.disk, &site.root, &candidate)? else { continue };
            seen = Seen::Other;
            if begins_with(site, &real, wanted)? {
                return Ok(Seen::Wanted);
            }
        }
    }
    Ok(seen)
}

/// Whether a file has the content of another, perhaps with more behind it:
/// secrets are appended to an initrd.
fn begins_with(site: &Site, path: &[Name], wanted_path: &[Name]) -> Result<bool> {
    let opened = |path: &[Name]| match parent(&site.disk, &site.root, path)? {
        Some((dir, name)) => {
            let is_file = site.disk.stat(&dir, &name)?.is_some_and(|s| s.kind == Kind::File);
            if is_file { open(&site.disk, &dir, &name).map(Some) } else { Ok(None) }
        }
        None => Ok(None),
    };
    let (Some(mut file), Some(mut wanted)) = (opened(path)?, opened(wanted_path)?) else {
        return Ok(false);
    };
    let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let length = wanted.read(&mut theirs).map_err(|error| unread(site, wanted_path, &error))?;
        if length == 0 {
            return Ok(true);
        }
        let ours = &mut ours[..length];
        match file.read_exact(ours) {
            Ok(()) if ours == &theirs[..length] => {}
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
                return Err(unread(site, path, &error));
            }
            _ => return Ok(false), // another, or a shorter one
        }
    }
}

fn unread(site: &Site, path: &[Name], error: &std::io::Error) -> Stop {
    OpError::new("read", site.show_below(&site.root, path), errno(error)).into()
}
