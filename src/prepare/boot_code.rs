//! The code that a BIOS starts: of each disk that the boot loader's installer writes, the
//! first 440 bytes and where GRUB embeds its core image. A core image of one version
//! cannot load the modules of another: put back with the files, or neither boots.
//!
//! It is written back only where there is what the installer left, and the partition
//! table is the same: the core image first, then the sector that leads to it. No disk
//! does that in one piece.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::durable::{damaged, failed, not_json, parent, put};
use super::escape;
use super::notes::{Key, Wrong};
use super::site::Site;
use super::step::Result;
use crate::bootloader::disk::{CODE, Layout, SECTOR, layout};
use crate::error::{OpError, Stop};
use crate::fs::name::{Name, RelPath, joined};
use crate::fs::sys::{self, Links, errno};
use crate::fs::tree::Tree;
use crate::fs::walk;

/// Of a disk, this much has its tables: those of a GPT with blocks of 4 KiB too.
const START: usize = 256 << 10;
const MOST: u64 = 1 << 20;
/// What the installer left, as the hashes of the areas.
const AFTER: Name = Name::literal("boot-code.after");
/// There while it is written back: what is half-written then is ours.
const BEGUN: Name = Name::literal("boot-code.begun");

/// The code of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Code {
    /// Its path in the root.
    disk: String,
    /// The hash of its partition table.
    table: String,
    /// The first sector's, and then the core image.
    areas: Vec<Area>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Area {
    offset: u64,
    length: u64,
    hash: String,
}

/// What was saved.
pub(crate) const CODES: Key<Vec<Code>> =
    Key::checked("boot-code", |codes| codes.iter().find_map(Code::wrong));

impl Code {
    fn wrong(&self) -> Option<Wrong> {
        let is_disk = escape::path(&self.disk).is_some_and(|path| path.first() == Some(&DEV));
        let is_area = |area: &Area| {
            let first = area.offset == 0 && area.length == CODE;
            first || area.offset >= SECTOR && area.length <= MOST
        };
        let is_ours = is_disk && self.areas.iter().all(is_area);
        (!is_ours).then(|| Wrong::Never(format!("the boot code of '{}'", self.disk)))
    }
}

const DEV: Name = Name::literal("dev");

fn hash(bytes: &[u8]) -> String {
    escape::hex(&Sha256::digest(bytes))
}

/// What was saved of an area.
fn file(disk: usize, area: usize) -> Option<Name> {
    Name::new(format!("boot-code.{disk}.{area}").as_bytes()).ok()
}

/// Opens a disk by its path in the root; to write it back also by that in the rescue
/// system that the root is mounted in: whether it is that disk shows in its partition
/// table. `None` when it is not there.
fn open(site: &Site, disk: &str, write: OFlag) -> Result<Option<File>> {
    let path = escape::path(disk).unwrap_or_default();
    let Some(real) = walk::real(&site.disk, &site.root, &path)? else {
        if write != OFlag::O_RDWR {
            return Ok(None);
        }
        let path = [b"/", joined(&path).as_slice()].concat();
        let opened = File::options().read(true).write(true).open(OsStr::from_bytes(&path));
        // Whatever has that name there may be no disk, or have no medium.
        return Ok(opened.ok().filter(|file| table(file).is_ok_and(|table| table.is_some())));
    };
    let Some((dir, name)) = parent(&site.disk, &site.root, &real)? else { return Ok(None) };
    let opened = sys::open_beneath(&dir, name.as_bytes(), write, Links::Refuse);
    let wrong = failed(&site.disk, "open", &dir, Some(&name));
    Ok(Some(opened.map(File::from).map_err(wrong)?))
}

fn wrong<'a>(
    site: &'a Site,
    op: &'static str,
    disk: &'a str,
) -> impl Fn(std::io::Error) -> Stop + use<'a> {
    move |error| OpError::new(op, format!("{}/{disk}", site.base()), errno(&error)).into()
}

/// As much of it as there is.
fn start(file: &File) -> std::io::Result<Vec<u8>> {
    let mut start = vec![0; START];
    let mut length = 0;
    while length < START {
        match file.read_at(&mut start[length..], length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    start.truncate(length);
    Ok(start)
}

/// The table of a disk, whose blocks are of either size.
fn table(file: &File) -> std::io::Result<Option<Layout>> {
    let start = start(file)?;
    Ok(layout(&start, 512).or_else(|| layout(&start, 4096)))
}

fn read(file: &File, area: (u64, u64)) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(area.1).unwrap_or(0)];
    file.read_exact_at(&mut bytes, area.0)?;
    Ok(bytes)
}

/// Saves it, of each disk that the installer is going to write, once.
pub(crate) fn save(site: &mut Site) -> Result<()> {
    let mut codes = site.state.notes.get(&CODES)?;
    for path in site.wish.written.disks.clone() {
        let Ok(path) = RelPath::parse(path.as_bytes()) else { continue };
        let disk = path.to_string();
        if *path.entry() != DEV || codes.iter().any(|code| code.disk == disk) {
            continue;
        }
        // `check` says what is not there.
        let Some(file) = open(site, &disk, OFlag::O_RDONLY)? else { continue };
        let failed = wrong(site, "read", &disk);
        let Some(layout) = table(&file).map_err(&failed)? else { continue };
        let (number, mut areas) = (codes.len(), Vec::new());
        for (at, area) in [(0, CODE)].into_iter().chain(layout.embedding).enumerate() {
            let bytes = read(&file, area).map_err(&failed)?;
            if let Some(name) = self::file(number, at) {
                put(&site.disk, site.home()?, &name, &bytes)?;
            }
            areas.push(Area { offset: area.0, length: area.1, hash: hash(&bytes) });
        }
        drop(failed);
        codes.push(Code { disk, table: hash(&layout.table), areas });
    }
    site.state.notes.set(&CODES, &codes)
}

/// Notes what the installer left.
pub(crate) fn has_ended(site: &Site) -> Result<()> {
    let mut all = Vec::new();
    for code in site.state.notes.get(&CODES)? {
        let mut hashes = Vec::new();
        if let Some(file) = open(site, &code.disk, OFlag::O_RDONLY)? {
            for area in &code.areas {
                let bytes = read(&file, (area.offset, area.length));
                hashes.push(hash(&bytes.map_err(wrong(site, "read", &code.disk))?));
            }
        }
        all.push(hashes);
    }
    let text = serde_json::to_string(&all).map_err(|error| not_json(&error))?;
    put(&site.disk, site.home()?, &AFTER, text.as_bytes())
}

/// Whether the code of a disk was saved that the installer wrote.
pub(crate) fn is_saved(site: &Site) -> Result<bool> {
    Ok(!site.state.notes.get(&CODES)?.is_empty())
}

/// Writes it back. What was not comes back, in sentences.
pub(crate) fn put_back(site: &Site) -> Result<Vec<String>> {
    let codes = site.state.notes.get(&CODES)?;
    let home = site.home()?;
    let after = site.disk.read(home, &AFTER, 1 << 20)?;
    let after = after.map(|text| serde_json::from_slice::<Vec<Vec<String>>>(&text));
    let after = after.transpose().map_err(|_| damaged(&site.disk, home, &AFTER))?;
    let begun = site.disk.read(home, &BEGUN, 1 << 20)?;
    let mut rest = Vec::new();
    for (number, code) in codes.iter().enumerate() {
        let shown = format!("/{}", code.disk);
        let left = after.as_ref().and_then(|after| after.get(number));
        let stays = |why: &str| {
            format!(
                "The boot code of {shown} stays: {why}. If the disk boots by it, install the old \
                 boot loader again, for example: grub-install {shown}"
            )
        };
        let Some(file) = open(site, &code.disk, OFlag::O_RDWR)? else {
            rest.push(stays("there is no such disk now"));
            continue;
        };
        let failed = wrong(site, "read", &code.disk);
        let now = table(&file).map_err(&failed)?;
        let same = now.is_some_and(|now| hash(&now.table) == code.table);
        let ours = begun.as_deref() == Some(code.disk.as_bytes());
        let mut due = Vec::new();
        let mut others = false;
        for (at, area) in code.areas.iter().enumerate() {
            let now = match read(&file, (area.offset, area.length)) {
                Ok(bytes) => hash(&bytes),
                Err(_) if !same => String::new(), // a smaller disk, perhaps
                Err(error) => return Err(failed(error)),
            };
            if now != area.hash {
                let its = ours || left.and_then(|left| left.get(at)) == Some(&now);
                others |= !its;
                due.push((at, area));
            }
        }
        if due.is_empty() {
            continue;
        }
        if !same {
            rest.push(stays("its partition table is another one now"));
            continue;
        }
        if others {
            rest.push(stays(match left {
                Some(_) => "somebody else has changed it since",
                None => "nobody saw whether the boot loader's installer changed it, or somebody else since",
            }));
            continue;
        }
        put(&site.disk, home, &BEGUN, code.disk.as_bytes())?;
        // The core image before the sector that leads to it.
        for (at, area) in due.into_iter().rev() {
            let saved = match self::file(number, at) {
                Some(name) => site.disk.read(home, &name, 2 << 20)?.map(|bytes| (name, bytes)),
                None => None,
            };
            let Some((_, bytes)) = saved.filter(|(_, bytes)| hash(bytes) == area.hash) else {
                rest.push(stays("what was saved of it is missing or damaged"));
                break;
            };
            let written = file.write_all_at(&bytes, area.offset).and_then(|()| file.sync_all());
            written.map_err(wrong(site, "write", &code.disk))?;
        }
        site.disk.remove_file(home, &BEGUN)?;
    }
    Ok(rest)
}
