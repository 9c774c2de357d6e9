//! `--clear-esp`: the files of the old distribution's boot loader leave the ESP,
//! to make room. They are saved, and nothing of anybody else's is touched: what
//! goes is the distribution's directory below `EFI`, what kernel-install names after
//! the machine id or the entry token, and the entries and unified kernel images that
//! boot this root, with the kernels that only those name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::bootloader::distributions::{has, is_token, searched};
use crate::bootloader::entries::{MenuEntry, components, entries};
use crate::bootloader::nixos;
use crate::engine::names::ETC;
use crate::engine::osrelease;
use crate::error::Stop;
use crate::fs::disk::Dir;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::fs::walk;
use crate::machine::devices::{Devices, Target};
use crate::machine::mounts::Mounts;
use crate::machine::sources::Sources;
use crate::prepare::catalog;
use crate::prepare::durable::{From, read, remove};
use crate::prepare::escape;
use crate::prepare::places::{Kept, is_esp};
use crate::prepare::site::Site;
use crate::prepare::step::Result;

/// No entry is larger.
const MAX: usize = 1 << 20;
/// No unified kernel image is larger.
const MAX_IMAGE: usize = 1 << 30;

/// The old system, as an ESP knows it.
struct Old {
    id: String,
    /// How kernel-install names what is its.
    tokens: Vec<String>,
    /// Its machine id.
    machine: Option<String>,
    devices: Devices,
    /// The devices of the root, and of all that has boot files.
    root: Vec<String>,
    boot: Vec<String>,
}

fn path(text: &str) -> Vec<Name> {
    escape::path(text).unwrap_or_default()
}

fn etc_file(site: &Site, name: &str, max: usize) -> Result<String> {
    let file = [&[ETC], path(name).as_slice()].concat();
    let real = walk::real(&site.disk, &site.root, &file)?;
    let content = match real {
        Some(real) => read(&site.disk, &site.root, &real, max)?,
        None => None,
    };
    Ok(String::from_utf8_lossy(&content.unwrap_or_default()).trim().to_owned())
}

impl Old {
    fn of(site: &Site) -> Result<Self> {
        let release = etc_file(site, "os-release", 64 << 10)?;
        let machine = etc_file(site, "machine-id", 64)?;
        let machine = Some(machine).filter(|id| id.len() == 32);
        let token = etc_file(site, "kernel/entry-token", 256)?;
        let tokens = machine.iter().cloned().chain([token]);
        let sources = Sources::of(&*site.shown);
        let (devices, mounts) = (Devices::of(&sources), Mounts::read(&sources)?);
        let under = |point: &Path| -> Result<Vec<String>> {
            let mount = mounts.at(point).map(|mount| devices.under(mount)).transpose()?;
            Ok(mount.unwrap_or_default())
        };
        let root = under(Path::new("/"))?;
        let mut boot = root.clone();
        for place in site.places()? {
            boot.extend(under(&Path::new("/").join(place.key()))?);
            for nested in &place.nested {
                let nested = escape::of_path(&place.below(nested.names()));
                boot.extend(under(&Path::new("/").join(nested))?);
            }
        }
        Ok(Self {
            id: osrelease::parse(release.as_bytes()).id.unwrap_or_default(),
            tokens: tokens.filter(|token| is_token(token)).collect(),
            machine,
            devices,
            root,
            boot,
        })
    }

    /// Whether a device is another one than these; `None` when it cannot be told.
    fn is_other(&self, spec: &str, these: &[String]) -> Result<Option<bool>> {
        Ok(match self.devices.resolve(spec)? {
            Target::Device(name) if !these.is_empty() => Some(!these.contains(&name)),
            _ => None,
        })
    }

    /// Whether a file name begins with a token.
    fn names(&self, file: &str) -> bool {
        self.tokens.iter().any(|token| {
            file.strip_prefix(token.as_str()).is_some_and(|rest| rest.starts_with(['-', '.', '+']))
        })
    }

    /// Whether a command line has this root.
    fn has_root(&self, arguments: &str) -> Result<bool> {
        let specs = arguments.split_whitespace().filter_map(|word| word.strip_prefix("root="));
        for spec in specs {
            if self.is_other(spec, &self.root)? == Some(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an entry of `loader/entries` boots it.
    fn boots(&self, file: &str, text: &str, entries: &[MenuEntry]) -> Result<bool> {
        if !nixos::systems(text.as_bytes()).is_empty() {
            return Ok(false);
        }
        let field = text.lines().filter_map(|line| line.trim().strip_prefix("machine-id"));
        let mut machines = field.map(str::trim);
        if self.names(file) || machines.any(|id| Some(id) == self.machine.as_deref()) {
            return Ok(true);
        }
        for entry in entries {
            if self.has_root(&entry.arguments)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What of the ESPs is the old boot loader's: paths below the root.
pub(crate) fn owned(site: &Site) -> Result<Vec<Vec<Name>>> {
    let old = Old::of(site)?;
    let mut found = Vec::new();
    for base in esps(site)? {
        if let Some(dir) = site.disk.open(&site.root, &base)? {
            let below = of_esp(site, &old, &dir)?;
            found.extend(below.into_iter().map(|path| [base.as_slice(), &path].concat()));
        }
    }
    // What is in a directory that goes, goes with it.
    let all = found.clone();
    found.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
    Ok(found)
}

/// The names in a directory of an ESP.
fn list(site: &Site, esp: &Dir, folder: &str) -> Result<Vec<Name>> {
    match site.disk.open(esp, &path(folder))? {
        Some(dir) => Ok(site.disk.list(&dir)?),
        None => Ok(Vec::new()),
    }
}

fn of_esp(site: &Site, old: &Old, esp: &Dir) -> Result<BTreeSet<Vec<Name>>> {
    let mut found = BTreeSet::new();
    let content = |path: &[Name], max| read(&site.disk, esp, path, max);
    for name in list(site, esp, "EFI")? {
        if has(&old.id, &name.to_string()) && !leads_elsewhere(site, old, esp, &name)? {
            found.insert([path("EFI"), vec![name]].concat());
        }
    }
    let tops = site.disk.list(esp)?;
    let is_its = |name: &&Name| old.tokens.iter().any(|token| token.as_bytes() == name.as_bytes());
    found.extend(tops.iter().filter(is_its).map(|name| vec![name.clone()]));
    // Entries, and then what only those name.
    let (mut goes, mut stays) = (BTreeSet::new(), BTreeSet::new());
    let folder = path("loader/entries");
    for name in list(site, esp, "loader/entries")? {
        let file = [folder.as_slice(), std::slice::from_ref(&name)].concat();
        let Some(text) = content(&file, MAX)? else { continue };
        let text = String::from_utf8_lossy(&text).into_owned();
        let entries = entries(&text);
        let its = old.boots(&name.to_string(), &text, &entries)?;
        let files = entries.iter().flat_map(|entry| entry.initrds.iter().chain([&entry.kernel]));
        let files = files.map(|file| components(file, &folder));
        if its {
            goes.extend(files);
            found.insert(file);
        } else {
            stays.extend(files);
        }
    }
    for file in goes.difference(&stays).filter(|file| is_kernel(file)) {
        let Some((name, parents)) = file.split_last() else { continue };
        let Some(dir) = site.disk.open(esp, parents)? else { continue };
        if site.disk.stat(&dir, name)?.is_some_and(|stat| stat.kind == Kind::File) {
            found.insert(file.clone());
        }
    }
    for name in list(site, esp, "EFI/Linux")? {
        let file = [path("EFI/Linux"), vec![name.clone()]].concat();
        let its = old.names(&name.to_string()) || image_boots(old, content(&file, MAX_IMAGE)?)?;
        if its {
            found.insert(file);
        }
    }
    Ok(found)
}

/// Whether what an entry names is no program that others start, too.
fn is_kernel(file: &[Name]) -> bool {
    let upper = |at: usize| file.get(at).map(|name| name.as_bytes().to_ascii_lowercase());
    let of_others: [&[u8]; 4] = [b"boot", b"microsoft", b"systemd", b"nixos"];
    let in_efi = upper(0).is_some_and(|name| name == b"efi");
    !(in_efi && upper(1).is_none_or(|name| of_others.contains(&name.as_slice())))
}

/// Whether a unified kernel image has a command line with this root.
fn image_boots(old: &Old, image: Option<Vec<u8>>) -> Result<bool> {
    let image = image.unwrap_or_default();
    if !nixos::systems(&image).is_empty() {
        return Ok(false);
    }
    let starts = image.windows(5).enumerate().filter(|(_, window)| *window == b"root=");
    for (at, _) in starts {
        let rest = image.get(at..).unwrap_or_default();
        let end = rest.iter().position(|b| !b.is_ascii_graphic()).unwrap_or(rest.len());
        if old.has_root(&String::from_utf8_lossy(rest.get(..end.min(200)).unwrap_or_default()))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a directory below `EFI` leads to another system of the same kind.
fn leads_elsewhere(site: &Site, old: &Old, esp: &Dir, name: &Name) -> Result<bool> {
    let text = name.to_string();
    if let Some(uuid) = text.get(..7).filter(|start| start.eq_ignore_ascii_case("pop_os-")) {
        let uuid = text.get(uuid.len()..).unwrap_or_default();
        return Ok(old.is_other(&format!("UUID={uuid}"), &old.root)? == Some(true));
    }
    let cfg = [path("EFI"), vec![name.clone()], path("grub.cfg")].concat();
    let cfg = read(&site.disk, esp, &cfg, MAX)?.unwrap_or_default();
    let cfg = String::from_utf8_lossy(&cfg).into_owned();
    let Some(uuid) = searched(&cfg) else { return Ok(false) };
    Ok(old.is_other(&format!("UUID={uuid}"), &old.boot)? == Some(true))
}

/// The ESPs among the places.
pub(super) fn esps(site: &Site) -> Result<Vec<Vec<Name>>> {
    let mut found = Vec::new();
    for place in site.places()? {
        let base = place.path.names().to_vec();
        if place.kept == Kept::Mount && place.esp {
            found.push(base.clone());
        }
        for nested in place.nested.iter().map(RelPath::names) {
            let path = [base.as_slice(), nested].concat();
            if let Some(dir) = site.disk.open(&site.root, &path)?
                && is_esp(&site.disk, &dir)?
            {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// How many bytes it frees, for each ESP by its mount point.
pub(crate) fn frees(site: &Site) -> Result<Vec<(PathBuf, u64)>> {
    let owned = owned(site)?;
    let mut found = Vec::new();
    for esp in esps(site)? {
        let mut bytes = 0;
        for path in owned.iter().filter(|path| path.starts_with(&esp)) {
            bytes += size(site, path)?;
        }
        found.push((Path::new("/").join(escape::of_path(&esp)), bytes));
    }
    Ok(found)
}

fn size(site: &Site, path: &[Name]) -> Result<u64> {
    if let Some(dir) = site.disk.open(&site.root, path)? {
        let files = catalog::read(&site.disk, &dir, None, From::Nowhere, &site.watch)?;
        return Ok(catalog::size(&files));
    }
    let Some((name, parents)) = path.split_last() else { return Ok(0) };
    let file = crate::prepare::durable::open(&site.disk, &site.dir(parents)?, name)?;
    file.metadata().map(|file| file.len()).map_err(|error| -> Stop {
        let (op, shown) = ("look at", site.shown_below(path));
        crate::error::OpError::new(op, shown, crate::fs::sys::errno(&error)).into()
    })
}

/// Removes it.
pub(crate) fn old_loader(site: &Site) -> Result<()> {
    for path in owned(site)? {
        let Some((name, parents)) = path.split_last() else { continue };
        let dir = site.dir(parents)?;
        remove(&site.disk, &dir, name, &site.watch)?;
    }
    Ok(())
}
