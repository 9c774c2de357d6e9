//! `prepare` and `cancel`: what the manual's in-place procedure has people type, on the
//! old distribution, as steps that are recorded, repeated and undone.
//!
//! [`command`] opens and locks the root and reads the state ([`open`], [`site`],
//! [`state_file`]), finds the system and the keep-list ([`wish`]), asks `check`, has the
//! engine judge what will move, shows what each step would do, and asks once. Then
//! [`step::forward`] takes [`steps::ALL`]: what one puts aside ([`notes`]) is on the disk
//! before it changes anything. The last has the boot loader's installer run by a process
//! of its own ([`installer`]), which lists what it left ([`installer_record`]), and looks at
//! what it wrote ([`proof`]); if that boots no NixOS, everything is put back.
//!
//! [`cancel`] opens the same, and stops while a boot file names a NixOS that would lose
//! its marker ([`named`]). [`step::backward`] undoes the steps, the last first: boot
//! files that are not others' work since are put back from what was saved ([`restore`]).
//!
//! - **P1** At no instant can the machine boot into NixOS without the marker.
//! - **P2** The time in which neither system boots is announced, short, and ended
//!   by `prepare` again or by `cancel` from a rescue system.
//! - **P3** Nothing on `/boot` or an ESP is lost: what is replaced was saved.
//!
//! Uses: bootloader, check, engine, error, fs, machine, system, term.

use std::path::PathBuf;

use crate::check::{self, DefaultKeep, Level};
use crate::engine;
use crate::engine::environment::{View, environment};
use crate::engine::facts::Wishes;
use crate::engine::intent::Direction;
use crate::engine::plan::Plan;
use crate::engine::report;
use crate::error::{Error, Refusal, Stop, Trouble};
use crate::fs::name::RelPath;
use crate::term::ask;
use crate::term::progress::Second;

pub(crate) mod adopt;
pub(crate) mod aside;
pub(crate) mod boot_code;
pub(crate) mod cancel;
pub(crate) mod catalog;
pub(crate) mod clear_esp;
pub(crate) mod copy;
pub(crate) mod durable;
pub(crate) mod efi;
pub(crate) mod escape;
pub(crate) mod forget;
mod home;
pub(crate) mod installer;
pub(crate) mod installer_lock;
pub(crate) mod installer_record;
pub(crate) mod named;
mod next;
pub(crate) mod notes;
pub(crate) mod open;
pub(crate) mod ours;
pub(crate) mod output;
pub(crate) mod places;
pub(crate) mod proof;
pub(crate) mod restore;
pub(crate) mod saving;
pub(crate) mod site;
pub(crate) mod state_file;
pub(crate) mod step;
pub(crate) mod steps;
pub(crate) mod wildcards;
mod wish;
pub(crate) mod written;

use output::{line, say};
use site::{Access, Site};
use step::Look;

/// What `prepare` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepare {
    /// `--root`.
    pub root: PathBuf,
    /// `--system`: a profile or a store path, below the root.
    pub system: PathBuf,
    /// `--keep`, with wildcards.
    pub keep: Vec<RelPath>,
    /// `--no-default-keep`.
    pub default_keep: DefaultKeep,
    /// `--despite`: blockers of `check` that do not block.
    pub despite: Vec<String>,
    /// `--yes`, `--reboot`, `--dry-run`, `--clear-esp`.
    pub flags: Flags,
}

/// Options that are there or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // each is an option of its own
pub(crate) struct Flags {
    /// Do not ask.
    pub yes: bool,
    /// Reboot at the end.
    pub reboot: bool,
    /// Write nothing.
    pub dry_run: bool,
    /// The old boot loader's files leave the ESP.
    pub clear_esp: bool,
}

/// Prepares a machine.
///
/// # Errors
/// [`Error::Refused`] with nothing touched; [`Error::PartWay`] when it can go on
/// or back; [`Error::Stopped`] when the boot loader's installer failed and
/// everything was put back.
pub(crate) fn command(options: &Prepare) -> Result<(), Error> {
    let Flags { yes, reboot, dry_run, .. } = options.flags;
    if reboot && options.root.as_os_str() != "/" {
        return Err(Error::Usage("--reboot is for the running system, not with --root".into()));
    }
    let access = if dry_run { Access::Read } else { Access::Write };
    if !yes && !dry_run {
        ask::somebody("See what it would do with --dry-run, then add --yes")?;
    }
    let mut site = open::site(&options.root, access, "prepare")?;
    open::may_prepare(&site)?;
    site.wish = wish::wish(&site, options)?;
    site.known.written.clone_from(&site.wish.written.dirs);
    examine(&site, options)?;
    let unmounted = saving::unmounted(&site).map_err(untouched)?;
    if !unmounted.is_empty() {
        return Err(Error::Refused(unmounted));
    }
    let plan = judge(&site)?;
    // What is mounted from the root now is not, when the initrd looks.
    let rests = plan.iter().flat_map(|plan| &plan.rests);
    site.wish.keep.extend(rests.cloned());
    say(&plan.map(|plan| report::plan(&plan, &site.shown)).unwrap_or_default());
    say("\nSteps:\n");
    let due = show_steps(&site)?;
    let refusals = saving::refusals(&site).map_err(untouched)?;
    if !refusals.is_empty() {
        return Err(Error::Refused(refusals));
    }
    if dry_run {
        say("\nA dry run: nothing was written.\n");
        return Ok(());
    }
    if due && !yes {
        ask::confirm("Prepare this machine for NixOS?", "prepare")?;
    }
    say("\n");
    let _ = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    site.watch.catch(Second::Waits)?;
    if let Err(stop) = step::forward(&steps::ALL, &mut site) {
        return Err(stopped(&mut site, stop));
    }
    next::tell(&site, reboot)?;
    if reboot { open::reboot() } else { Ok(()) }
}

/// `check`; unless the boot loader was begun, when there is no way but on or back.
fn examine(site: &Site, options: &Prepare) -> Result<(), Error> {
    if installer_record::has_begun(site) {
        say("Going on with what was prepared before; check is not asked again.\n\n");
        return Ok(());
    }
    let mut asked = check::Examine::new(&options.root);
    asked.system.clone_from(&options.system);
    asked.keep.clone_from(&site.wish.keep);
    asked.default_keep = DefaultKeep::No; // they are among those
    if site.wish.clear_esp {
        asked.frees = clear_esp::frees(site).map_err(untouched)?;
    }
    let report = check::examine(&asked)?;
    if let Some(unknown) = options.despite.iter().find(|id| report.find(id).is_none()) {
        return Err(Error::Usage(format!("--despite: check has nothing to say about '{unknown}'")));
    }
    say(&report.to_text(check::colour()));
    say("\n");
    let blockers = report.findings.iter().filter(|f| f.level == Level::Blocker);
    let blockers = blockers.filter(|f| !options.despite.iter().any(|id| id == f.id));
    let refusals: Vec<_> = blockers
        .map(|f| {
            // A blocker has both.
            let consequence = f.consequence.clone().unwrap_or_default();
            let fix = f.fix.clone().unwrap_or_default();
            let fix = format!("{fix}\nIf you know better: --despite {}", f.id);
            Refusal::new(f.found.clone(), consequence, fix)
        })
        .collect();
    if refusals.is_empty() { Ok(()) } else { Err(Error::Refused(refusals)) }
}

/// What the lustration is going to do, judged as the initrd will; `None` where
/// the kernel cannot show what is below the mounts.
fn judge(site: &Site) -> Result<Option<Plan>, Error> {
    let keep = steps::marker::kept(site).map_err(untouched)?;
    let wishes = Wishes { keep, always: true, complete: false };
    let bare = match engine::root::bare(&site.root) {
        Err(error) if error.errno() == nix::errno::Errno::ENOSYS => {
            say("What moves cannot be listed: this kernel does not show what is below mounts.\n");
            return Ok(None);
        }
        bare => bare.map_err(Refusal::from)?,
    };
    let view = if bare.is_some() { View::Bare } else { View::Mounted };
    let dir = bare.as_ref().unwrap_or(&site.root);
    let environment = environment(dir, &site.shown, view, None)?;
    let plan = engine::run::judge(&site.disk, dir, environment, &wishes, Direction::Lustrate)?;
    Ok(Some(plan))
}

/// One line for each step; whether there is anything to do.
fn show_steps(site: &Site) -> Result<bool, Error> {
    let mut any = false;
    for step in steps::ALL {
        let title = step.title();
        match step.look(site).map_err(untouched)? {
            Look::Due(what) => {
                any = true;
                say(&line("to do", &format!("{title}: {what}")));
            }
            Look::Skip(why) => say(&line("skipped", &format!("{title}: {why}"))),
        }
    }
    if site.wish.clear_esp {
        let owned = clear_esp::owned(site).map_err(untouched)?;
        for path in &owned {
            say(&line("to do", &format!("remove from the ESP: /{}", escape::of_path(path))));
        }
        if owned.is_empty() {
            say(&line("skipped", "remove from the ESP: nothing there has the old system's name"));
        }
    }
    Ok(any)
}

/// Why it stopped; what the boot loader's installer left half-done is put back.
fn stopped(site: &mut Site, stop: Stop) -> Error {
    if !site.recorded {
        return untouched(stop);
    }
    if !site.failed {
        return part_way(site, stop, "prepare", "cancel");
    }
    say(&format!("\nPutting everything back: {}.\n\n", stop.found()));
    // It was asked to end while the installer ran, which has ended.
    site.watch.forget();
    match step::backward(&steps::ALL, site) {
        Ok(_) => {
            let back = if site.stays {
                "The old boot loader is back; what was not put back is said above"
            } else {
                "Everything was put back, and the old system boots as before"
            };
            let log = format!(
                "What the boot loader's installer said is in {}/nix/var/nixos-lustrate/{}",
                site.base(),
                state_file::LOG
            );
            Error::Stopped(Stop::wrong(stop.found(), back, log))
        }
        Err(second) => part_way(site, second, "cancel", "prepare"),
    }
}

fn part_way(site: &Site, stop: Stop, on: &'static str, back: &'static str) -> Error {
    site.watch.end();
    Error::PartWay { stop, root: site.shown.clone(), on, back }
}

/// What remains of a stop before anything was changed: a refusal.
fn untouched(stop: Stop) -> Error {
    match stop {
        Stop::Root(trouble) => match *trouble {
            Trouble::Reason(refusal) => refusal.into(),
            trouble => engine::run::untouched(Error::Stopped(Stop::Root(Box::new(trouble)))),
        },
        stop @ Stop::Op(_) => engine::run::untouched(Error::Stopped(stop)),
    }
}
