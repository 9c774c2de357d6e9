//! The boot loader of NixOS: its installer runs, and then what it wrote is looked
//! at. This is the commit of `prepare`, and the time in which neither system may
//! boot (P2).

use crate::error::Stop;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::prepare::catalog;
use crate::prepare::files::From;
use crate::prepare::loader::{clear, installed};
use crate::prepare::places::{Kept, places};
use crate::prepare::saving::{How, list_name};
use crate::prepare::site::Site;
use crate::prepare::step::{Ledger, Look, Result, Step};
use crate::prepare::watch::Unit;
use crate::prepare::{adopt, efi, installer, restore};

/// Its name in the record.
pub const NAME: &str = "boot-loader";
const RUN: Name = Name::literal("run");
const CURRENT: Name = Name::literal("current-system");

/// The step.
#[derive(Debug)]
pub struct Loader;

impl Step<Site> for Loader {
    fn name(&self) -> &'static str {
        NAME
    }

    fn look(&self, site: &Site) -> Result<Look> {
        let wanted = site.wish.system.as_ref().map(ToString::to_string).unwrap_or_default();
        let whole = site.state.notes.listed && !site.state.window && site.mark(NAME).is_some();
        if whole
            && site.state.system == wanted
            && let Ok(found) = installed::look(site, &wanted)?
        {
            return Ok(Look::Skip(format!("installed before: {found}")));
        }
        Ok(Look::Due(format!("/{wanted}/bin/switch-to-configuration boot")))
    }

    fn record(&self, site: &mut Site) -> Result<()> {
        if site.state.notes.efi.is_none() {
            site.state.notes.efi = efi::read(&site.disk, &site.root)?;
        }
        adopt::adopt(site)?;
        let wanted = site.wish.system.as_ref().map(ToString::to_string).unwrap_or_default();
        site.state.system = wanted;
        site.state.notes.listed = false;
        site.state.notes.current_system = match site.disk.open(&site.root, &[RUN])? {
            Some(run) => {
                site.state.notes.current_system || site.disk.stat(&run, &CURRENT)?.is_none()
            }
            None => false,
        };
        Ok(())
    }

    fn carry_out(&self, site: &mut Site) -> Result<()> {
        // Read by others too, so it is complete before anything begins.
        site.disk.sync(&site.root)?;
        site.window(true)?;
        if site.wish.clear_esp {
            clear::old_loader(site)?;
        }
        current_system(site, true)?;
        let ended = installer::run(site);
        current_system(site, false)?;
        sync(site)?;
        let trouble = match ended? {
            Some(how) => Some(how),
            None => installed::look(site, &site.state.system)?.err(),
        };
        if let Some(trouble) = trouble {
            site.failed = true;
            return Err(Stop::changed(trouble));
        }
        for place in places(&site.disk, &site.root, &site.mounts)? {
            if place.kept == Kept::Missing {
                continue;
            }
            site.watch.begin("Listing the new boot files", Unit::Bytes, None);
            let dir = site.dir(std::slice::from_ref(&place.name))?;
            let skip = (place.kept == Kept::Mount).then_some(&place.saved);
            let after = catalog::read(&site.disk, &dir, skip, From::Cache, &site.watch)?;
            site.watch.end();
            catalog::write(&site.disk, site.home()?, &list_name(&place, "after"), &after)?;
        }
        site.state.notes.listed = true;
        site.window(false)
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        site.window(true)?;
        current_system(site, false)?;
        let mut rest = Vec::new();
        let mut absent = false;
        for place in places(&site.disk, &site.root, &site.mounts)? {
            let Some(note) = site.state.notes.saved.get(&place.name.to_string()).cloned() else {
                continue;
            };
            absent |= note.how == How::Absent;
            rest.extend(restore::restore(site, &place, &note)?);
        }
        sync(site)?;
        if let Some(config) = installed::names(site, &site.state.system)? {
            return Err(Stop::changed(format!(
                "{config} still names NixOS, so that the marker has to stay. Write the old boot \
                 loader's configuration anew, for example with update-grub, then try again"
            )));
        }
        let now = efi::read(&site.disk, &site.root)?;
        match (&site.state.notes.efi, &now) {
            (Some(before), Some(now)) => rest.extend(efi::changes(before, now)),
            (Some(_), None) => rest.push(
                "The firmware's boot entries cannot be looked at from here; efibootmgr shows them"
                    .to_owned(),
            ),
            (None, _) if !absent => rest.push(
                "A boot sector that the boot loader of NixOS wrote stays. If the disk boots by it, \
                 install the old one again, for example: grub-install /dev/sda"
                    .to_owned(),
            ),
            (None, _) => {}
        }
        site.window(false)?;
        Ok(rest)
    }
}

/// Writes everything that the installer wrote.
fn sync(site: &Site) -> Result<()> {
    site.disk.sync(&site.root)?;
    for place in places(&site.disk, &site.root, &site.mounts)? {
        let base = vec![place.name.clone()];
        let nested = place.nested.iter().map(|n| [base.as_slice(), n.names()].concat());
        for path in std::iter::once(base.clone()).chain(nested) {
            if let Some(dir) = site.disk.open(&site.root, &path)? {
                site.disk.sync(&dir)?;
            }
        }
    }
    Ok(())
}

/// `/run/current-system`, which switch-to-configuration of some releases wants to
/// be there (nixpkgs#349049). Only while it runs.
fn current_system(site: &Site, there: bool) -> Result<()> {
    if !site.state.notes.current_system {
        return Ok(());
    }
    let Some(run) = site.disk.open(&site.root, &[RUN])? else { return Ok(()) };
    let target = format!("/{}", site.state.system);
    let found = site.disk.stat(&run, &CURRENT)?;
    if there && found.is_none() {
        let like = site.disk.stat_dir(&run)?;
        site.disk.make_link(&run, &CURRENT, target.as_bytes(), &like)?;
    }
    let is_link = found.is_some_and(|stat| stat.kind == Kind::Link);
    if !there && is_link && site.disk.read_link(&run, &CURRENT)? == target.as_bytes() {
        site.disk.remove_file(&run, &CURRENT)?;
    }
    Ok(())
}
