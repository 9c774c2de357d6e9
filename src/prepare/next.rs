//! Whether the machine goes to what was prepared. That a configuration boots NixOS is
//! one thing (`proof.rs`); that the firmware starts the boot loader which reads it is
//! another: the boot order, the entry that it begins with, and the program that this
//! names, or the boot sector; and then systemd-boot's own choice.

mod programs;
mod systemd_boot;

use std::fs::File;
use std::io::Read;

use super::output::say;
use super::places::Kept;
use super::site::Site;
use super::step::Result;
use super::{efi, escape, proof};
use crate::bootloader::configurations::FILES;
use crate::error::{Error, Stop};
use crate::fs::name::word;
use crate::fs::tree::Tree;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// It goes there.
    Lustrates,
    /// It goes there if the machine starts what was found: why that is not known.
    Perhaps(String),
    /// It goes elsewhere.
    Elsewhere(Elsewhere),
}

/// Why it goes elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// What is not so.
    pub found: String,
    /// What makes it so.
    pub fix: Fix,
}

/// What makes it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fix {
    /// This command.
    Command(String),
    /// In words.
    Words(&'static str),
}

/// Looks, and says it.
///
/// # Errors
/// When something cannot be read; and, where a `reboot` was asked for, when that would
/// not go to NixOS.
pub(crate) fn tell(site: &Site, reboot: bool) -> std::result::Result<(), Error> {
    let root =
        if site.shown == "/" { String::new() } else { format!(" --root {}", word(&site.shown)) };
    let back = format!("Until then the way back is: nixos-lustrate cancel{root}\n");
    match look(site)? {
        Next::Lustrates => say(&format!("\nThe next boot lustrates. {back}")),
        Next::Perhaps(why) => say(&format!("\nThe next boot lustrates, if {why}.\n{back}")),
        Next::Elsewhere(Elsewhere { found, fix }) => {
            let fix = match &fix {
                Fix::Command(command) => format!("To let it go to NixOS:\n\n  {command}\n\n"),
                Fix::Words(words) => format!("{words}.\n"),
            };
            say(&format!(
                "\nThe next boot does not lustrate: {found}.\n\
                 It would start the old system, or something else, and nothing would be moved.\n\
                 {fix}{back}"
            ));
            if reboot {
                return Err(Stop::wrong(
                    format!("the next boot does not lustrate: {found}"),
                    "The machine is prepared, and was not rebooted",
                    "Do what is said above, then reboot it by hand",
                )
                .into());
            }
        }
    }
    Ok(())
}

fn look(site: &Site) -> Result<Next> {
    let found = match proof::look(site, &site.state.system)? {
        Ok(found) => found,
        Err(trouble) => {
            return Ok(Next::Elsewhere(Elsewhere {
                found: trouble,
                fix: Fix::Words("Prepare it again"),
            }));
        }
    };
    if efi::read(&site.disk, &site.root)?.is_some() {
        if let Some(elsewhere) = programs::elsewhere(site, &found)? {
            return Ok(Next::Elsewhere(elsewhere));
        }
        let chosen = systemd_boot::elsewhere(site, &found)?;
        return Ok(chosen.map_or(Next::Lustrates, Next::Elsewhere));
    }
    if let Some(elsewhere) = systemd_boot::elsewhere(site, &found)? {
        return Ok(Next::Elsewhere(elsewhere));
    }
    boot_sectors(site, &found)
}

/// Without the variables of UEFI.
fn boot_sectors(site: &Site, found: &str) -> Result<Next> {
    if let Some(other) = other_menu(site, found)? {
        return Ok(Next::Perhaps(format!(
            "the machine starts by {found} and not by {other}, which is there too and names no NixOS"
        )));
    }
    let firmware = escape::path("sys/firmware/efi").unwrap_or_default();
    if site.disk.open(&site.root, &firmware)?.is_some() {
        let mount = "mount -t efivarfs efivarfs /sys/firmware/efi/efivars";
        return Ok(Next::Perhaps(format!(
            "the firmware starts what reads {found}: its boot order cannot be read ({mount})"
        )));
    }
    let disks = &site.wish.written.disks;
    if !site.is_running()? || disks.is_empty() {
        return Ok(Next::Perhaps(format!("the machine starts by {found}")));
    }
    for disk in disks {
        let mut sector = [0; 512];
        // What cannot be read here is not known.
        let read = File::open(disk).and_then(|mut file| file.read_exact(&mut sector));
        if read.is_err() {
            return Ok(Next::Perhaps(format!(
                "the boot sector of {disk}, which is not known, reads {found}"
            )));
        }
        if !starts_grub(&sector) && found.ends_with("grub.cfg") {
            let found = format!("the boot sector of {disk} does not start GRUB");
            let fix = "Prepare the machine with boot.loader.grub.devices set to the disk that it \
                       starts from";
            return Ok(Next::Elsewhere(Elsewhere { found, fix: Fix::Words(fix) }));
        }
    }
    Ok(Next::Lustrates)
}

/// GRUB's boot sector has its name in it, for its messages.
fn starts_grub(sector: &[u8; 512]) -> bool {
    sector.ends_with(&[0x55, 0xaa]) && sector.windows(5).any(|window| window == b"GRUB ")
}

/// A menu of another boot loader, which the installer left as it was.
fn other_menu(site: &Site, found: &str) -> Result<Option<String>> {
    for place in site.places()?.iter().filter(|place| place.kept != Kept::Missing) {
        for file in FILES {
            let path = place.below(&escape::path(file).unwrap_or_default());
            let shown = format!("/{}", escape::of_path(&path));
            let Some((name, parents)) = path.split_last() else { continue };
            let Some(dir) = site.disk.open(&site.root, parents)? else { continue };
            let of_another = shown.rsplit('/').next() != found.rsplit('/').next();
            if of_another
                && site.disk.stat(&dir, name)?.is_some()
                && !programs::is_written(site, place, &escape::path(file).unwrap_or_default())?
            {
                return Ok(Some(shown));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_sector_of_grub_is_known() {
        let mut sector = [0; 512];
        assert!(!starts_grub(&sector));
        sector[0x180..0x185].copy_from_slice(b"GRUB ");
        assert!(!starts_grub(&sector), "it is no boot sector");
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert!(starts_grub(&sector));
    }
}
