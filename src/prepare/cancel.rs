//! `cancel`: back to the state before `prepare`, the boot loader first and the
//! marker last (P1), from the running old system or from a rescue system.

use std::path::PathBuf;

use super::output::say;
use super::site::Access;
use super::step::Ledger;
use super::{named, open, part_way, saving, steps, untouched};
use crate::engine::names::NIX;
use crate::error::Error;
use crate::fs::tree::Tree;
use crate::term::ask;
use crate::term::progress::Second;

/// What `cancel` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cancel {
    /// `--root`.
    pub root: PathBuf,
    /// `--yes`.
    pub yes: bool,
}

/// Cancels a preparation.
///
/// # Errors
/// [`Error::Refused`] with nothing touched; [`Error::PartWay`] when it can go on.
pub(crate) fn command(options: &Cancel) -> Result<(), Error> {
    let site = &mut open::site(&options.root, Access::Write, "cancel")?;
    let shown = site.base().to_owned();
    if !site.recorded {
        let store = [NIX, crate::fs::name::Name::literal("store")];
        let store = site.disk.open(&site.root, &store).map_err(crate::error::Refusal::from)?;
        say(&format!(
            "Nothing to cancel: there is no {shown}/nix/var/nixos-lustrate/state.json.\n"
        ));
        if store.is_none() {
            say(&format!("If {shown}/nix is a file system of its own, mount it and try again.\n"));
        }
        return Ok(());
    }
    open::may_cancel(site)?;
    let unmounted = saving::unmounted(site).map_err(untouched)?;
    if !unmounted.is_empty() {
        return Err(Error::Refused(unmounted));
    }
    say(&format!(
        "Prepared on {}, for /{}. To be undone:\n",
        site.state.started, site.state.system
    ));
    for step in steps::ALL.iter().rev().filter(|step| site.mark(step.name()).is_some()) {
        say(&format!("  {}\n", step.title()));
    }
    if !options.yes {
        ask::somebody("What would be undone is said above: add --yes")?;
        ask::confirm("Undo this?", "cancel")?;
    }
    say("\n");
    site.watch.catch(Second::Waits)?;
    if let Err(stop) = named::may_leave(site) {
        return Err(part_way(site, stop, "cancel", "prepare"));
    }
    match super::step::backward(&steps::ALL, site) {
        Ok(rest) => {
            if site.stays {
                say("\nThe old boot loader is back.\n");
            } else {
                say("\nThe old system boots as before.\n");
            }
            if !rest.is_empty() {
                say("What could not be undone is said above.\n");
            }
            Ok(())
        }
        Err(stop) => Err(part_way(site, stop, "cancel", "prepare")),
    }
}
