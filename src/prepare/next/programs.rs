//! Which program the firmware starts, and whether it is one of NixOS's boot loader.

use std::path::{Path, PathBuf};

use super::super::catalog::{self, Catalog, Item};
use super::super::places::Place;
use super::super::saving::list_name;
use super::super::site::Site;
use super::super::step::Result;
use super::super::{clear_esp, efi, escape};
use super::{Elsewhere, Fix};
use crate::bootloader::firmware::{LoadOption, load_option, numbers, order};
use crate::fs::name::{Name, word};
use crate::fs::tree::Tree;
use crate::machine::devices::{Devices, Target};
use crate::machine::mounts::Mounts;
use crate::machine::sources::Sources;

/// What the firmware starts without an entry.
const REMOVABLE: [&str; 4] = [
    "EFI/BOOT/BOOTX64.EFI",
    "EFI/BOOT/BOOTAA64.EFI",
    "EFI/BOOT/BOOTIA32.EFI",
    "EFI/BOOT/BOOTRISCV64.EFI",
];

/// An ESP, as a path below the root.
type Esp = Vec<Name>;

/// What an entry leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// To nothing that is there, or that is known: the firmware tries the next.
    Nowhere,
    /// To the boot loader of NixOS.
    There,
    /// To something else.
    Elsewhere,
}

/// A file of a boot loader's, by the name that the firmware has for it.
fn path_of(program: &str) -> Vec<Name> {
    let parts = program.split(['\\', '/']).filter(|part| !part.is_empty());
    parts.filter_map(|part| Name::new(part.as_bytes()).ok()).collect()
}

/// The same, as it is written: on an ESP, upper and lower case are the same.
fn written_as(site: &Site, esp: &[Name], path: &[Name]) -> Result<Option<Vec<Name>>> {
    let mut found: Vec<Name> = Vec::new();
    for part in path {
        let here = [esp, &found].concat();
        let Some(dir) = site.disk.open(&site.root, &here)? else { return Ok(None) };
        let names = site.disk.list(&dir)?;
        let same = |name: &&Name| name.as_bytes().eq_ignore_ascii_case(part.as_bytes());
        let Some(name) = names.iter().find(|n| *n == part).or(names.iter().find(same)) else {
            return Ok(None);
        };
        found.push(name.clone());
    }
    Ok(Some(found))
}

/// What was in a place before the installer, and after it.
fn lists(site: &Site, place: &Place) -> Result<(Catalog, Catalog)> {
    let home = site.home()?;
    let load = |when| {
        let name = list_name(place, when);
        match site.disk.stat(home, &name)? {
            Some(_) => catalog::load(&site.disk, home, &name),
            None => Ok(Catalog::new()),
        }
    };
    Ok((load("before")?, load("after")?))
}

fn is_new(before: &Catalog, path: &[Name], left: &Item) -> bool {
    before.get(path).is_none_or(|old| !old.same_content(left))
}

/// Whether the installer wrote a file of a place.
pub(super) fn is_written(site: &Site, place: &Place, path: &[Name]) -> Result<bool> {
    let (before, after) = lists(site, place)?;
    Ok(after.get(path).is_some_and(|left| is_new(&before, path, left)))
}

/// Whether a directory below `EFI` is one that a boot loader of NixOS has its program
/// in, when its menu is `config`: it may be there already, and the same.
fn is_of_loader(config: &str, path: &[Name]) -> bool {
    let Some(dir) = path.get(1).filter(|_| path.len() > 2) else { return false };
    let dir = dir.as_bytes().to_ascii_lowercase();
    if config.contains("/loader/entries/") {
        return dir == b"systemd";
    }
    let (limine, refind) = (config.ends_with("limine.conf"), config.ends_with("refind.conf"));
    limine && dir == b"limine" || refind && dir == b"refind" || dir.starts_with(b"nixos")
}

/// Whether a program of an ESP is the boot loader of NixOS.
fn is_there(site: &Site, esp: &[Name], path: &[Name], config: &str) -> Result<bool> {
    let places = site.places()?;
    let Some(place) = places.iter().find(|place| esp.starts_with(place.path.names())) else {
        return Ok(false);
    };
    let (before, after) = lists(site, place)?;
    let inner = &esp[place.path.names().len()..];
    let is_its = |path: &[Name], left: &Item| {
        let below = path.strip_prefix(inner).unwrap_or_default();
        is_of_loader(config, below) || is_new(&before, path, left)
    };
    let path = [inner, path].concat();
    let Some(left) = after.get(&path) else { return Ok(false) };
    // One that was there may be the same as what was written under another name.
    let is_copy = || {
        let mut others = after.iter().filter(|(other, item)| is_its(other, item));
        left.hash.is_some() && others.any(|(_, item)| item.hash == left.hash)
    };
    Ok(is_its(&path, left) || is_copy())
}

/// The ESPs, with what is known of their devices.
struct Machine<'a> {
    site: &'a Site,
    config: &'a str,
    esps: Vec<(Esp, Vec<String>)>,
    devices: Devices,
}

impl<'a> Machine<'a> {
    fn new(site: &'a Site, config: &'a str) -> Result<Self> {
        let sources = Sources::of(&*site.shown);
        let (devices, mounts) = (Devices::of(&sources), Mounts::read(&sources)?);
        let mut esps = Vec::new();
        for esp in clear_esp::esps(site)? {
            let point = Path::new("/").join(escape::of_path(&esp));
            let under = mounts.at(&point).map(|mount| devices.under(mount)).transpose()?;
            esps.push((esp, under.unwrap_or_default()));
        }
        Ok(Self { site, config, esps, devices })
    }

    fn option(&self, number: u16) -> Result<Option<LoadOption>> {
        let name = format!("Boot{number:04X}");
        let value = efi::variable(&self.site.disk, &self.site.root, &name)?;
        Ok(value.as_deref().and_then(load_option))
    }

    fn leads(&self, option: &LoadOption) -> Result<Leads> {
        let device = match &option.partition {
            Some(id) => Some(self.devices.resolve(&format!("PARTUUID={id}"))?),
            None => None,
        };
        let programs = match &option.program {
            Some(program) => vec![path_of(program)],
            None if option.partition.is_some() => REMOVABLE.map(path_of).to_vec(),
            // A network, a shell, the firmware itself.
            None if option.whole => return Ok(Leads::Nowhere),
            None => return Ok(Leads::Elsewhere),
        };
        let is_its = |under: &Vec<String>| match &device {
            Some(Target::Device(name)) => under.contains(name),
            _ => true,
        };
        for (esp, _) in self.esps.iter().filter(|(_, under)| is_its(under)) {
            for program in &programs {
                if let Some(path) = written_as(self.site, esp, program)? {
                    let there = is_there(self.site, esp, &path, self.config)?;
                    return Ok(if there { Leads::There } else { Leads::Elsewhere });
                }
            }
        }
        let known = self.esps.iter().any(|(_, under)| is_its(under));
        Ok(match device {
            // Left over from a disk that is gone, or from a file that is.
            Some(Target::Missing) => Leads::Nowhere,
            Some(Target::Device(_)) if known => Leads::Nowhere,
            // Another disk's system.
            _ => Leads::Elsewhere,
        })
    }

    /// A program of NixOS's boot loader on an ESP, below it: that for removable media
    /// only if there is no other.
    fn program(&self, esp: &[Name]) -> Result<Option<Vec<Name>>> {
        let Some(efi) = written_as(self.site, esp, &path_of("EFI"))? else { return Ok(None) };
        let mut found = None;
        for name in self.list(esp, &efi)? {
            if [&b"nixos"[..], b"Linux"].contains(&name.as_bytes()) {
                continue; // kernels
            }
            let dir = [efi.as_slice(), std::slice::from_ref(&name)].concat();
            for file in self.list(esp, &dir)? {
                let path = [dir.as_slice(), std::slice::from_ref(&file)].concat();
                let is_program = file.as_bytes().to_ascii_lowercase().ends_with(b".efi");
                if is_program && is_there(self.site, esp, &path, self.config)? {
                    if !name.as_bytes().eq_ignore_ascii_case(b"BOOT") {
                        return Ok(Some(path));
                    }
                    found = found.or(Some(path));
                }
            }
        }
        Ok(found)
    }

    fn list(&self, esp: &[Name], path: &[Name]) -> Result<Vec<Name>> {
        match self.site.disk.open(&self.site.root, &[esp, path].concat())? {
            Some(dir) => Ok(self.site.disk.list(&dir)?),
            None => Ok(Vec::new()),
        }
    }

    /// The command that makes an entry for it, which comes first in the order.
    fn creation(&self) -> Result<Fix> {
        for (esp, under) in &self.esps {
            let Some(path) = self.program(esp)? else { continue };
            let program = format!("\\{}", escape::of_path(&path).replace('/', "\\"));
            let known = match under.first() {
                Some(name) => self.disk_of(name)?,
                None => None,
            };
            let unknown = || ("DISK".into(), format!("PART-OF-/{}", escape::of_path(esp)));
            let (disk, part) = known.unwrap_or_else(unknown);
            let program = word(&program);
            let command = format!("efibootmgr -c -d {disk} -p {part} -L NixOS -l {program}");
            return Ok(Fix::Command(command));
        }
        Ok(Fix::Words(
            "See that the configuration's boot loader is one for UEFI, and that the ESP is \
             mounted where it expects it; then prepare again",
        ))
    }

    fn disk_of(&self, partition: &str) -> Result<Option<(String, String)>> {
        let path = Path::new("/class/block").join(partition);
        let Some(number) = self.devices.sys().text(path.join("partition"))? else {
            return Ok(None);
        };
        let real: Option<PathBuf> = self.devices.sys().real(&path)?;
        let disk = real.as_deref().and_then(Path::parent).and_then(Path::file_name);
        let disk = disk.map(|name| format!("/dev/{}", name.to_string_lossy().replace('!', "/")));
        Ok(disk.map(|disk| (disk, number.trim().to_owned())))
    }
}

/// Why the firmware goes elsewhere, as far as its variables say.
pub(super) fn elsewhere(site: &Site, config: &str) -> Result<Option<Elsewhere>> {
    let machine = Machine::new(site, config)?;
    let variable = |name: &str| efi::variable(&site.disk, &site.root, name);
    let next: Vec<u16> = variable("BootNext")?.as_deref().map(numbers).unwrap_or_default();
    let ordered = variable("BootOrder")?.as_deref().map(numbers).unwrap_or_default();
    for (number, only_next) in
        next.iter().map(|n| (*n, true)).chain(ordered.iter().map(|n| (*n, false)))
    {
        let Some(option) = machine.option(number)? else { continue };
        if !option.active && !only_next {
            continue;
        }
        match machine.leads(&option)? {
            Leads::Nowhere => {}
            Leads::There => return Ok(None),
            Leads::Elsewhere => {
                let program = option.program.as_deref().unwrap_or("something that is not known");
                let what = if only_next { "once (BootNext)" } else { "first" };
                let found = format!(
                    "the firmware starts {program} {what}, by its entry {number:04X} ({}), and \
                     that is not the boot loader of NixOS",
                    option.name
                );
                let fix = if only_next {
                    Fix::Command("efibootmgr -N".to_owned())
                } else {
                    reordered(&machine, &ordered)?
                };
                return Ok(Some(Elsewhere { found, fix }));
            }
        }
    }
    // Without an entry that leads anywhere.
    for (esp, _) in &machine.esps {
        for program in REMOVABLE.map(path_of) {
            if let Some(path) = written_as(site, esp, &program)? {
                if is_there(site, esp, &path, config)? {
                    return Ok(None);
                }
                let found = format!(
                    "the firmware has no entry that leads to a boot loader, and \
                     /{} is not the one of NixOS",
                    escape::of_path(&[esp.as_slice(), &path].concat())
                );
                return Ok(Some(Elsewhere { found, fix: machine.creation()? }));
            }
        }
    }
    let found = "the firmware has no entry that leads to a boot loader".to_owned();
    Ok(Some(Elsewhere { found, fix: machine.creation()? }))
}

/// An entry that leads there comes first, the others in their order behind it.
fn reordered(machine: &Machine<'_>, ordered: &[u16]) -> Result<Fix> {
    let all = efi::entries(&machine.site.disk, &machine.site.root)?;
    for number in ordered.iter().chain(all.iter().filter(|n| !ordered.contains(n))) {
        let Some(option) = machine.option(*number)? else { continue };
        if option.active && machine.leads(&option)? == Leads::There {
            let rest = ordered.iter().filter(|other| *other != number);
            let order = order(&std::iter::once(number).chain(rest).copied().collect::<Vec<_>>());
            return Ok(Fix::Command(format!("efibootmgr -o {order}")));
        }
    }
    machine.creation()
}

/// For what reads an ESP by paths of the root.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_the_menu_that_they_read() {
        let of = |config: &str, program: &str| is_of_loader(config, &path_of(program));
        let entries = "/boot/loader/entries/nixos-generation-1.conf";
        assert!(of(entries, "\\EFI\\systemd\\systemd-bootx64.efi"));
        assert!(!of("/boot/grub/grub.cfg", "\\EFI\\systemd\\systemd-bootx64.efi"));
        assert!(of("/boot/grub/grub.cfg", "\\EFI\\NixOS-boot\\grubx64.efi"));
        assert!(!of("/boot/grub/grub.cfg", "\\EFI\\debian\\grubx64.efi"));
        assert!(!of(entries, "\\EFI\\BOOT\\BOOTX64.EFI"));
        assert!(of("/boot/limine/limine.conf", "\\EFI\\limine\\BOOTX64.EFI"));
    }
}
