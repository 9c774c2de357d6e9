//! The boot loader of NixOS: its installer runs, and then what it wrote is looked
//! at. This is the commit of `prepare`, and the time in which neither system may
//! boot (P2).

use crate::error::Stop;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::prepare::installation::{self, Known};
use crate::prepare::loader::{clear, installed, named};
use crate::prepare::places::places;
use crate::prepare::saving::{How, Note};
use crate::prepare::site::Site;
use crate::prepare::step::{Ledger, Look, Result, Step};
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
        let ended = installation::known(site)? == Known::Ended(None);
        let whole = ended && !site.state.window && site.mark(NAME).is_some();
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
        named::note_others(site)?;
        adopt::adopt(site)?;
        let wanted = site.wish.system.as_ref().map(ToString::to_string).unwrap_or_default();
        site.state.system = wanted;
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
        installation::begins(site)?;
        if site.wish.clear_esp {
            clear::old_loader(site)?;
        }
        current_system(site, true)?;
        let ended = installer::run(site);
        current_system(site, false)?;
        let trouble = match ended? {
            Some(how) => Some(how),
            None => installed::look(site, &site.state.system)?.err(),
        };
        if let Some(trouble) = trouble {
            site.failed = true;
            return Err(Stop::changed(trouble));
        }
        site.window(false)
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        may_leave(site)?; // before anything that it boots goes
        site.window(true)?;
        current_system(site, false)?;
        let mut rest = Vec::new();
        let mut absent = false;
        for place in places(&site.disk, &site.root, &site.mounts)? {
            let Some(note) = site.state.notes.saved.get(&place.name.to_string()).cloned() else {
                continue;
            };
            absent |= note.how == How::Absent;
            let left = restore::restore(site, &place, &note)?;
            rest.extend(left.said);
            if left.stays {
                let note = Note { stays: true, ..note };
                site.state.notes.saved.insert(place.name.to_string(), note);
            }
        }
        sync(site)?;
        may_leave(site)?;
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

/// Stops while a configuration names NixOS: the marker has to stay (P1).
///
/// # Errors
/// [`Stop`] when one does.
pub fn may_leave(site: &Site) -> Result<()> {
    named::remains(site)?.map_or(Ok(()), Err)
}

/// Writes everything that the installer wrote.
///
/// # Errors
/// Any failure of a system call.
pub fn sync(site: &Site) -> Result<()> {
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
