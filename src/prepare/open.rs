//! What `prepare` and `cancel` have in common before they begin: the root, who
//! may, and in what state.

use std::path::Path;
use std::process::Command;

use super::site::{Access, Site};
use super::steps::KEYS;
use super::{saving, untouched};
use crate::engine::environment::View;
use crate::engine::facts::Marker;
use crate::engine::names::{MARKER, OLD_ROOT};
use crate::engine::root::{Root, needs_root};
use crate::engine::survey::{look, older_came_back};
use crate::error::{Error, OpError, Refusal, Stop};
use crate::fs::sys::errno;
use crate::fs::tree::Tree;

/// Opens the root, locks it, and reads the state.
///
/// # Errors
/// A refusal.
pub(crate) fn site(root: &Path, access: Access, verb: &str) -> Result<Site, Error> {
    let root = Root::open(Some(root.as_os_str()))?;
    if access == Access::Write {
        needs_root(verb, "The boot loader could not be changed")?;
    }
    let around = root.environment(View::Mounted, None)?;
    let unwritable = around.unwritable("Nothing can be written to it");
    if let Some(refusal) = unwritable.filter(|_| access == Access::Write) {
        return Err(refusal.into());
    }
    let mut site = Site::new(root, around.mounts, access, &KEYS)?;
    site.known.saved = saving::noted(&site.state).map_err(untouched)?;
    Ok(site)
}

/// Refuses while files are being moved.
fn not_in_progress(site: &Site, would: &str) -> Result<(), Error> {
    let looked = look(&site.disk, &site.root).map_err(Refusal::from)?;
    if looked.in_progress() || matches!(looked.marker, Marker::InProgress(_)) {
        let root = &site.shown;
        return Err(Refusal::new(
            format!("a lustration of {root} has begun and is not done"),
            would.to_owned(),
            format!("Go on: nixos-lustrate run --root {root}. Go back: nixos-lustrate revert --root {root}"),
        )
        .into());
    }
    Ok(())
}

/// Refuses to prepare what is being lustrated, or was.
///
/// # Errors
/// A refusal.
pub(crate) fn may_prepare(site: &Site) -> Result<(), Error> {
    not_in_progress(site, "Half a system would have been prepared")?;
    if site.recorded && site.state.etc != site.etc {
        let home = format!("{}/nix/var/nixos-lustrate", site.base());
        return Err(Refusal::new(
            format!("{home}/state.json describes a system that is not in the root any more"),
            "What it saved would have been mixed up with what is there now",
            format!("If that system is not needed any more: mv {home} {home}.older"),
        )
        .into());
    }
    Ok(())
}

/// Refuses to cancel what has been lustrated.
///
/// # Errors
/// A refusal.
pub(crate) fn may_cancel(site: &Site) -> Result<(), Error> {
    not_in_progress(site, "The boot loader of a system that is not whole would have come back")?;
    if site.recorded && site.state.etc != site.etc {
        let root = &site.shown;
        let lustrated = site.disk.stat(&site.root, &OLD_ROOT).map_err(Refusal::from)?.is_some();
        let back = older_came_back(&site.disk, &site.root).map_err(Refusal::from)?;
        let (found, fix) = if lustrated && !back {
            (
                format!("{root} has been lustrated: the system that was prepared is in /old-root"),
                format!(
                    "Bring it back first, from a rescue system: nixos-lustrate revert --root {root}"
                ),
            )
        } else {
            (
                format!("the etc in {root} is not the one that was prepared"),
                "Put that one back; its marker has to leave with the boot loader".to_owned(),
            )
        };
        return Err(Refusal::new(found, format!("The old boot loader would have come back without its system, and /etc/{MARKER} with nobody to read it"), fix).into());
    }
    Ok(())
}

/// Reboots the running system, in its own way.
///
/// # Errors
/// When nothing did it: each with why not.
pub(crate) fn reboot() -> Result<(), Error> {
    let ways: [&[&str]; 2] = [&["systemctl", "reboot"], &["reboot"]];
    first_of(&ways).map_err(|why| {
        let still = "The machine is prepared, and the old system goes on running";
        Stop::wrong(why, still, "Reboot it by hand").into()
    })
}

/// Runs the first of some commands that succeeds, or says why none did.
fn first_of(commands: &[&[&str]]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for command in commands {
        let Some((program, arguments)) = command.split_first() else { continue };
        match Command::new(program).args(arguments).status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => wrong.push(format!("{} failed ({status})", command.join(" "))),
            Err(error) => {
                wrong.push(OpError::new("run", *program, errno(&error)).to_string());
            }
        }
    }
    Err(wrong.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_commands_the_first_that_succeeds_is_enough() {
        assert_eq!(first_of(&[&["false"], &["true"]]), Ok(()));
        let why = first_of(&[&["/no/such/program", "x"], &["sh", "-c", "exit 3"]]);
        let why = why.expect_err("neither succeeds");
        assert_eq!(
            why,
            "Failed to run '/no/such/program': No such file or directory; \
             sh -c exit 3 failed (exit status: 3)"
        );
    }
}
