//! Who uses files of a root: mounts, overlays and processes, of all mount namespaces
//! that a process is in, and loop devices. Where a file lies, its device and the
//! directory that is mounted tell, not by which mount somebody has reached it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fs::mounts::{Table, unescape};
use crate::fs::name::RelPath;
use crate::fs::sys::loops::loop_file;

/// Something of the root that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// What.
    pub source: RelPath,
    /// By whom.
    pub by: By,
}

/// Who uses something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// It is mounted there; in the mount namespace of that process, if not in ours.
    Mount(Vec<u8>, Option<Process>),
    /// It is a layer of the overlay there.
    Overlay(Vec<u8>, Option<Process>),
    /// This loop device.
    Loop(String),
    /// A file of it is open, mapped or run, or it is a working directory.
    Process(Process),
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
}

/// A mount namespace that is not ours.
struct Namespace {
    mountinfo: Vec<u8>,
    of: Process,
}

/// Finds them, for a root as our own mount table has it. `proc` and `sys` are where
/// those are mounted.
///
/// # Errors
/// When the processes cannot be listed.
pub(crate) fn uses(own: &Table<'_>, proc: &Path, sys: &Path) -> io::Result<Vec<Use>> {
    let processes = processes(proc)?;
    let ours = namespace(&proc.join("self"));
    let mut others: BTreeMap<OsString, Namespace> = BTreeMap::new();
    for (process, path, home) in &processes {
        if Some(home) == ours.as_ref() {
            continue;
        }
        // One that has changed its root sees less of it.
        let Ok(mountinfo) = fs::read(path.join("mountinfo")) else { continue };
        let longest = others.get(home).map_or(0, |other| other.mountinfo.len());
        if mountinfo.len() > longest {
            others.insert(home.clone(), Namespace { mountinfo, of: process.clone() });
        }
    }
    let others: BTreeMap<&OsString, (Table<'_>, &Process)> = others
        .iter()
        .map(|(home, other)| (home, (Table::new(&other.mountinfo, b"/", None), &other.of)))
        .collect();
    let mut uses = mounted(own, own, None);
    for (table, of) in others.values() {
        uses.extend(mounted(own, table, Some(of)));
    }
    let mut views = vec![(own, PathBuf::from("/"))];
    views.extend(
        others.values().map(|(table, of)| (table, proc.join(of.id.to_string()).join("root"))),
    );
    uses.extend(loops(own, sys, &views));
    for (process, path, home) in &processes {
        let table = others.get(home).map_or(own, |(table, _)| table);
        let found = files(path).into_iter().filter_map(|file| own.reached(table, &file));
        uses.extend(found.map(|source| Use { source, by: By::Process(process.clone()) }));
    }
    Ok(uses)
}

/// All but this one, each with its directory and its mount namespace. What ends
/// meanwhile uses nothing.
fn processes(proc: &Path) -> io::Result<Vec<(Process, PathBuf, OsString)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(proc)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(id) = id.filter(|id| *id != std::process::id()) else { continue };
        let path = entry.path();
        let Some(home) = namespace(&path) else { continue };
        let name = fs::read(path.join("comm")).unwrap_or_default();
        let name = String::from_utf8_lossy(name.trim_ascii_end()).into_owned();
        all.push((Process { id, name }, path, home));
    }
    all.sort_unstable_by_key(|(process, ..)| process.id);
    Ok(all)
}

fn namespace(process: &Path) -> Option<OsString> {
    Some(fs::read_link(process.join("ns/mnt")).ok()?.into_os_string())
}

/// What of the root a table mounts somewhere, and what is a layer of its overlays.
fn mounted(own: &Table<'_>, table: &Table<'_>, of: Option<&Process>) -> Vec<Use> {
    let mounts = own
        .sources(table)
        .map(|(source, line)| Use { source, by: By::Mount(line.point.clone(), of.cloned()) });
    let mut uses: Vec<Use> = mounts.collect();
    for (line, layers) in table.overlays() {
        let layers = layers.iter().filter_map(|layer| own.reached(table, layer));
        let by = || By::Overlay(line.point.clone(), of.cloned());
        uses.extend(layers.map(|source| Use { source, by: by() }));
    }
    uses
}

/// Files that are block devices (`drivers/block/loop.c`). Without sysfs there are
/// none to see. The path is that of whoever has set it up, so that the numbers of the
/// file decide in which mount namespace it is meant.
fn loops<'t>(own: &Table<'_>, sys: &Path, views: &[(&'t Table<'t>, PathBuf)]) -> Vec<Use> {
    let devices = fs::read_dir(sys.join("block")).into_iter().flatten().flatten();
    let used = devices.filter_map(|device| {
        let file = fs::read(device.path().join("loop/backing_file")).ok()?;
        let file = file.strip_suffix(b"\n").unwrap_or(&file);
        let name = format!("/dev/{}", device.file_name().to_string_lossy());
        let numbers = loop_file(&name);
        let source = views.iter().find_map(|(table, base)| {
            let below = file.strip_prefix(b"/").unwrap_or(file);
            let found = fs::metadata(base.join(OsStr::from_bytes(below))).ok()?;
            let found = ((major(found.dev()), minor(found.dev())), found.ino());
            // Without the device itself, a container's: as if it were this one.
            let same = numbers.is_err() || numbers == Ok(Some(found));
            own.reached(table, file).filter(|_| same)
        })?;
        Some(Use { source, by: By::Loop(name) })
    });
    used.collect()
}

fn major(device: u64) -> u32 {
    u32::try_from(nix::sys::stat::major(device)).unwrap_or(u32::MAX)
}

fn minor(device: u64) -> u32 {
    u32::try_from(nix::sys::stat::minor(device)).unwrap_or(u32::MAX)
}

/// What a process runs, has open or mapped, and where it is. What cannot be read is
/// of a process that has ended, or is hidden from this one.
fn files(process: &Path) -> Vec<Vec<u8>> {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let links = ["cwd", "root", "exe"].map(|name| process.join(name));
    let links = links.into_iter().chain(open.map(|file| file.path()));
    let mut files: Vec<Vec<u8>> = links
        .filter_map(|link| Some(fs::read_link(link).ok()?.into_os_string().into_vec()))
        .collect();
    let maps = fs::read(process.join("maps")).unwrap_or_default();
    // The path is the last field, and the only one with a slash.
    let mapped = maps.split(|&b| b == b'\n').filter_map(|line| {
        let at = line.iter().position(|&b| b == b'/')?;
        Some(unescape(&line[at..]))
    });
    files.extend(mapped);
    // Nothing is lost with what has no name any more.
    files.retain(|file| file.starts_with(b"/") && !file.ends_with(b" (deleted)"));
    files.sort_unstable();
    files.dedup();
    files
}
