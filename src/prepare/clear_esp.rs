//! `--clear-esp`: the files of the old distribution's boot loader leave the ESP,
//! to make room. They are saved, and nothing of anybody else's is touched: what
//! goes is `EFI/ID`, by the `ID=` of its os-release, and what kernel-install names
//! after its machine id.

use crate::engine::names::ETC;
use crate::engine::osrelease;
use crate::fs::name::{Name, RelPath};
use crate::fs::tree::Tree;
use crate::fs::walk;
use crate::prepare::durable::{read, remove};
use crate::prepare::escape;
use crate::prepare::places::{Kept, is_esp};
use crate::prepare::site::Site;
use crate::prepare::step::Result;

/// What of the ESPs is the old boot loader's: paths below the root.
pub(crate) fn owned(site: &Site) -> Result<Vec<Vec<Name>>> {
    let etc_file = |name: &'static str, max| -> Result<Vec<u8>> {
        let path = [ETC, Name::literal(name)];
        let Some(real) = walk::real(&site.disk, &site.root, &path)? else { return Ok(Vec::new()) };
        Ok(read(&site.disk, &site.root, &real, max)?.unwrap_or_default())
    };
    let release = etc_file("os-release", 64 << 10)?;
    let id = osrelease::parse(&release).id.unwrap_or_default();
    let machine = etc_file("machine-id", 64)?.trim_ascii().to_vec();
    let machine = (machine.len() == 32).then_some(machine);
    let mut found = Vec::new();
    for base in esps(site)? {
        let Some(dir) = site.disk.open(&site.root, &base)? else { continue };
        let below = |path: &str| [base.clone(), escape::path(path).unwrap_or_default()].concat();
        if let Some(efi) = site.disk.open(&dir, &escape::path("EFI").unwrap_or_default())? {
            let is_its = |name: &Name| name.as_bytes().eq_ignore_ascii_case(id.as_bytes());
            let names =
                site.disk.list(&efi)?.into_iter().filter(|name| !id.is_empty() && is_its(name));
            found.extend(names.map(|name| [below("EFI"), vec![name]].concat()));
        }
        let Some(machine) = &machine else { continue };
        found.extend(
            site.disk
                .list(&dir)?
                .into_iter()
                .filter(|name| name.as_bytes() == machine)
                .map(|name| [base.clone(), vec![name]].concat()),
        );
        for folder in ["loader/entries", "EFI/Linux"] {
            let Some(opened) = site.disk.open(&dir, &escape::path(folder).unwrap_or_default())?
            else {
                continue;
            };
            let names = site.disk.list(&opened)?.into_iter();
            let names = names.filter(|name| name.as_bytes().starts_with(machine));
            found.extend(names.map(|name| [below(folder), vec![name]].concat()));
        }
    }
    Ok(found)
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

/// Removes it.
pub(crate) fn old_loader(site: &Site) -> Result<()> {
    for path in owned(site)? {
        let Some((name, parents)) = path.split_last() else { continue };
        let dir = site.dir(parents)?;
        remove(&site.disk, &dir, name, &site.watch)?;
    }
    Ok(())
}
