//! A list of all files of a place with the hashes of their contents: what was
//! there before the boot loader's installer, and what after. Between the two
//! lies what the installer did; what differs from both, somebody else did since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::durable::{From, Hash, failed, hash, not_json, put};
use super::escape;
use super::places::is_vfat;
use super::step::Result;
use crate::fs::disk::{Dir, Disk};
use crate::fs::name::Name;
use crate::fs::sys::{Kind, Stat, errno};
use crate::fs::tree::Tree;
use crate::term::progress::Progress;

/// A path below a place; empty is the place itself.
pub(crate) type Path = Vec<Name>;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Last modification.
    pub modified: (i64, u32),
    /// The content of a regular file.
    pub hash: Option<Hash>,
    /// Where a link leads.
    pub target: Option<Vec<u8>>,
    /// The inode number.
    pub inode: u64,
    /// How long a regular file is.
    pub size: u64,
    /// It is on vfat.
    pub vfat: bool,
}

/// All files of a place, parents before what is in them.
pub(crate) type Catalog = BTreeMap<Path, Item>;

impl Item {
    /// Whether two files have the same content.
    #[must_use]
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.kind == other.kind && self.hash == other.hash && self.target == other.target
    }

    /// Whether owner, mode and, but for directories, the time are the same.
    #[must_use]
    pub(crate) fn same_metadata(&self, other: &Self) -> bool {
        self.vfat
            || (self.mode, self.owner) == (other.mode, other.owner)
                && (self.kind == Kind::Dir || self.modified == other.modified)
    }

    /// What it should be, for those who set it.
    #[must_use]
    pub(crate) fn stat(&self, now: &Stat) -> Stat {
        let (mode, modified) = (self.mode, self.modified);
        Stat { mode, uid: self.owner.0, gid: self.owner.1, modified, ..*now }
    }
}

/// Reads a place, with what is mounted in it. `skip` is left out.
pub(crate) fn read(
    disk: &Disk,
    place: &Dir,
    skip: Option<&Name>,
    from: From,
    watch: &Progress,
) -> Result<Catalog> {
    let mut catalog = Catalog::new();
    let stat = disk.stat_dir(place)?;
    let vfat = is_vfat(disk, place)?;
    catalog.insert(Vec::new(), item(&stat, vfat));
    let reader = Reader { disk, skip, from, watch };
    reader.directory(&mut catalog, place, &[], stat.device, vfat)?;
    Ok(catalog)
}

fn item(stat: &Stat, vfat: bool) -> Item {
    Item {
        kind: stat.kind,
        mode: stat.mode,
        owner: (stat.uid, stat.gid),
        modified: stat.modified,
        hash: None,
        target: None,
        inode: stat.inode,
        size: 0,
        vfat,
    }
}

struct Reader<'a> {
    disk: &'a Disk,
    skip: Option<&'a Name>,
    from: From,
    watch: &'a Progress,
}

impl Reader<'_> {
    fn directory(
        &self,
        catalog: &mut Catalog,
        dir: &Dir,
        path: &[Name],
        device: (u32, u32),
        vfat: bool,
    ) -> Result<()> {
        for name in self.disk.list(dir)? {
            if path.is_empty() && Some(&name) == self.skip {
                continue;
            }
            let Some(stat) = self.disk.stat(dir, &name)? else { continue };
            let below = [path, std::slice::from_ref(&name)].concat();
            let mut found = item(&stat, vfat);
            match stat.kind {
                Kind::Dir => {
                    let inner = self.disk.open(dir, std::slice::from_ref(&name))?;
                    let Some(inner) = inner else { continue };
                    let vfat =
                        if stat.device == device { vfat } else { is_vfat(self.disk, &inner)? };
                    // Opened again: an automount has another inode by now.
                    found = item(&self.disk.stat_dir(&inner)?, vfat);
                    catalog.insert(below.clone(), found);
                    self.directory(catalog, &inner, &below, stat.device, vfat)?;
                    continue;
                }
                Kind::File => {
                    if self.from != From::Nowhere {
                        found.hash = Some(hash(self.disk, dir, &name, self.from, self.watch)?);
                    }
                    let file = super::durable::open(self.disk, dir, &name)?;
                    let size = file.metadata().map(|metadata| metadata.len());
                    found.size = size
                        .map_err(|e| failed(self.disk, "look at", dir, Some(&name))(errno(&e)))?;
                }
                Kind::Link => found.target = Some(self.disk.read_link(dir, &name)?),
                Kind::Special => {}
            }
            catalog.insert(below, found);
        }
        Ok(())
    }
}

/// How many bytes the files have.
#[must_use]
pub(crate) fn size(catalog: &Catalog) -> u64 {
    catalog.values().map(|item| item.size).sum()
}

/// How many bytes a copy needs, on a file system with blocks of 4 KiB.
#[must_use]
pub(crate) fn room(catalog: &Catalog) -> u64 {
    catalog.values().map(|item| item.size.div_ceil(4096) * 4096 + 4096).sum()
}

#[derive(Serialize, Deserialize)]
struct CatalogLine {
    path: String,
    kind: char,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, u32),
    #[serde(skip_serializing_if = "Option::is_none", default)]
    hash: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    target: Option<String>,
    inode: u64,
    size: u64,
    vfat: bool,
}

const KINDS: [(Kind, char); 4] =
    [(Kind::Dir, 'd'), (Kind::File, 'f'), (Kind::Link, 'l'), (Kind::Special, 's')];

/// Writes a catalog, one line of JSON for each file.
pub(crate) fn write(disk: &Disk, dir: &Dir, name: &Name, catalog: &Catalog) -> Result<()> {
    let mut text = String::new();
    for (path, item) in catalog {
        let line = CatalogLine {
            path: escape::of_path(path),
            kind: KINDS.iter().find(|(kind, _)| *kind == item.kind).map_or('s', |(_, c)| *c),
            mode: item.mode,
            owner: item.owner,
            modified: item.modified,
            hash: item.hash,
            target: item.target.as_deref().map(escape::escape),
            inode: item.inode,
            size: item.size,
            vfat: item.vfat,
        };
        text.push_str(&serde_json::to_string(&line).map_err(|error| not_json(&error))?);
        text.push('\n');
    }
    put(disk, dir, name, text.as_bytes())
}

/// Reads a catalog that was written.
///
/// # Errors
/// When it is missing or damaged.
pub(crate) fn load(disk: &Disk, dir: &Dir, name: &Name) -> Result<Catalog> {
    let text = disk.read(dir, name, usize::MAX - 1)?.unwrap_or_default();
    let damaged = || super::durable::damaged(disk, dir, name);
    let mut catalog = Catalog::new();
    for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let line: CatalogLine = serde_json::from_slice(line).map_err(|_| damaged())?;
        let kind = KINDS.iter().find(|(_, c)| *c == line.kind).ok_or_else(damaged)?.0;
        let target = line.target.as_deref().map(|t| escape::unescape(t).ok_or_else(damaged));
        let item = Item {
            kind,
            mode: line.mode,
            owner: line.owner,
            modified: line.modified,
            hash: line.hash,
            target: target.transpose()?,
            inode: line.inode,
            size: line.size,
            vfat: line.vfat,
        };
        catalog.insert(escape::path(&line.path).ok_or_else(damaged)?, item);
    }
    if catalog.is_empty() {
        return Err(damaged());
    }
    Ok(catalog)
}
