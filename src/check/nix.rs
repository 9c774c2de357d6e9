//! `/nix`: whose it is, and how Nix is installed.

use std::os::unix::fs::MetadataExt;

use super::{Finding, Machine};
use crate::machine::files::{Result, show};

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    for (id, found) in [("nix-owner", owner(machine)), ("nix-install", install(machine))] {
        match found {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::unread(id, &error)),
        }
    }
}

/// NixOS's Nix has a store of root's; a single-user install has one of a user's.
fn owner(machine: &Machine<'_>) -> Result<Option<Finding>> {
    let id = "nix-owner";
    let files = &machine.files;
    let Some(nix) = files.metadata("/nix")? else { return Ok(None) };
    let mut foreign = None;
    let mut paths =
        vec!["/nix".into(), "/nix/store".into(), "/nix/var".into(), "/nix/var/nix".into()];
    paths.extend(machine.closure.iter().map(|closure| closure.top.clone()));
    for path in paths {
        let metadata = files.metadata(&path)?;
        if let Some(uid) = metadata.map(|m| m.uid()).filter(|uid| *uid != 0) {
            foreign.get_or_insert((show(&path), uid));
        }
    }
    if let Some((path, uid)) = foreign {
        return Ok(Some(Finding::warning(
            id,
            format!(
                "{path} belongs to the user with the id {uid}: Nix is a single-user installation"
            ),
            "NixOS's Nix refuses a store that is not root's; prepare fixes it",
            "chown -R 0:0 /nix",
        )));
    }
    let store = files.metadata("/nix/store")?.map_or(0o755, |m| m.mode());
    let open = |mode: u32| mode & 0o002 != 0 && mode & 0o1000 == 0;
    if nix.mode() & 0o022 != 0 || open(store) {
        return Ok(Some(Finding::warning(
            id,
            "others than root may write in /nix or /nix/store",
            "Any user could change the system",
            "chmod 755 /nix; chmod 1775 /nix/store",
        )));
    }
    Ok(Some(Finding::ok(id, "/nix is root's")))
}

fn install(machine: &Machine<'_>) -> Result<Option<Finding>> {
    let id = "nix-install";
    let files = &machine.files;
    if !files.exists("/nix/store")? {
        return Ok(Some(Finding::blocker(
            id,
            "there is no /nix/store",
            "There is no system to boot",
            "Install Nix (https://nixos.org/download) and build the system",
        )));
    }
    if !files.exists("/nix/var/nix/db/db.sqlite")? {
        return Ok(Some(Finding::warning(
            id,
            "there is no database of Nix (/nix/var/nix/db/db.sqlite)",
            "NixOS would boot, but Nix would think that its store is empty",
            "Copy the system with Nix instead: nix copy --to 'local?root=/' …",
        )));
    }
    let multi = files.exists("/nix/var/nix/daemon-socket/socket")?;
    let how = if multi {
        "a multi-user installation of Nix, with its daemon"
    } else {
        "Nix without a daemon"
    };
    Ok(Some(Finding::ok(id, how)))
}
