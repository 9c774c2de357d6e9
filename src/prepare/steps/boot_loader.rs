//! The boot loader of NixOS: its installer runs, and then what it wrote is looked
//! at. This is the commit of `prepare`, and the time in which neither system may
//! boot (P2).

use crate::error::Stop;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::prepare::installer_record::{self, Known, STEP};
use crate::prepare::notes::Key;
use crate::prepare::saving::{SAVED, SavedHow};
use crate::prepare::site::Site;
use crate::prepare::state_file::{HOME, LOG};
use crate::prepare::step::{Look, Result, Step};
use crate::prepare::{adopt, boot_code, clear_esp, efi, escape, installer, named, proof, restore};

/// Whether `/run/current-system` is made for the boot loader's installer.
pub(crate) const MADE_CURRENT: Key<bool> = Key::new("current-system");
const RUN: Name = Name::literal("run");
const CURRENT: Name = Name::literal("current-system");

/// The step.
#[derive(Debug)]
pub(crate) struct BootLoader;

impl Step<Site> for BootLoader {
    fn name(&self) -> &'static str {
        STEP
    }

    fn title(&self) -> &'static str {
        "boot loader of NixOS"
    }

    fn look(&self, site: &Site) -> Result<Look> {
        let wanted = site.wish.system.as_ref().map(ToString::to_string).unwrap_or_default();
        let ended = installer_record::known(site)? == Known::Ended(None);
        let whole = ended && !site.state.window && installer_record::has_begun(site);
        if whole
            && site.state.system == wanted
            && let Ok(found) = proof::look(site, &wanted)?
        {
            return Ok(Look::Skip(format!("installed before: {found}")));
        }
        Ok(Look::Due(format!("/{wanted}/bin/switch-to-configuration boot")))
    }

    fn record(&self, site: &mut Site) -> Result<()> {
        if site.state.notes.get(&efi::BEFORE)?.is_none() {
            let variables = efi::read(&site.disk, &site.root)?;
            site.state.notes.set(&efi::BEFORE, &variables)?;
        }
        named::note_others(site)?;
        adopt::adopt(site)?;
        boot_code::save(site)?;
        let wanted = site.wish.system.as_ref().map(ToString::to_string).unwrap_or_default();
        site.state.system = wanted;
        let made = match site.disk.open(&site.root, &[RUN])? {
            Some(run) => {
                site.state.notes.get(&MADE_CURRENT)? || site.disk.stat(&run, &CURRENT)?.is_none()
            }
            None => false,
        };
        site.state.notes.set(&MADE_CURRENT, &made)
    }

    fn carry_out(&self, site: &mut Site) -> Result<()> {
        // Read by others too, so it is complete before anything begins.
        site.disk.sync(&site.root)?;
        site.window(true)?;
        installer_record::begins(site)?;
        if site.wish.clear_esp {
            clear_esp::old_loader(site)?;
        }
        current_system(site, true)?;
        let ended = installer::run(site);
        current_system(site, false)?;
        let trouble = match ended? {
            Some(how) => Some(how),
            None => proof::look(site, &site.state.system)?.err(),
        };
        if let Some(trouble) = trouble {
            site.failed = true;
            let log = [&HOME[..], &[LOG]].concat();
            return Err(Stop::wrong(
                format!("the boot loader of NixOS is not there: {trouble}"),
                "NixOS would not have booted",
                format!("See what its installer said, in {}", escape::of_path(&log)),
            ));
        }
        site.window(false)
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        named::may_leave(site)?; // before anything that it boots goes
        site.window(true)?;
        current_system(site, false)?;
        let mut rest = Vec::new();
        let mut absent = false;
        let mut saved = site.state.notes.get(&SAVED)?;
        for place in site.places()? {
            let Some(note) = saved.get(&place.key()).cloned() else { continue };
            absent |= note.how == SavedHow::Absent;
            let left = restore::restore(site, &place, &note)?;
            rest.extend(left.said);
            if left.stays {
                saved.insert(place.key(), note.staying());
                site.state.notes.set(&SAVED, &saved)?;
            }
        }
        rest.extend(boot_code::put_back(site)?);
        site.sync()?;
        named::may_leave(site)?;
        let now = efi::read(&site.disk, &site.root)?;
        match (&site.state.notes.get(&efi::BEFORE)?, &now) {
            (Some(before), Some(now)) => rest.extend(efi::changes(before, now)),
            (Some(_), None) => rest.push(
                "The firmware's boot entries cannot be looked at from here; efibootmgr shows them"
                    .to_owned(),
            ),
            (None, _) if !absent && !boot_code::is_saved(site)? => rest.push(
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

/// `/run/current-system`, which switch-to-configuration of some releases wants to
/// be there (nixpkgs#349049). Only while it runs.
fn current_system(site: &Site, there: bool) -> Result<()> {
    if !site.state.notes.get(&MADE_CURRENT)? {
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
