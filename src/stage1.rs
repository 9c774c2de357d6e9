//! `run` and `revert`, as a boot starts them and as a person types them: open the
//! root once, take the lock, judge, act, report once at the top. In an initrd also
//! the kernel command line, the [`guard`], and the reboot after a revert.
//!
//! Uses: engine, error, fs.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;

use crate::engine::environment::{View, in_initrd};
use crate::engine::exchange::Boot;
use crate::engine::facts::{Marker, Staging, Wishes};
use crate::engine::intent::Direction;
use crate::engine::names::{ETC, OLD_ROOT_TMP};
use crate::engine::plan::Plan;
use crate::engine::report;
use crate::engine::root::Root;
use crate::engine::run::{self as exchange, Outcome};
use crate::engine::survey::{Look, look_in};
use crate::error::{Error, OpError, Refusal};
use crate::fs::disk::Dir;
use crate::fs::name::Shown;
use crate::fs::tree::Tree;

pub mod cmdline;
mod guard;

use cmdline::{Asked, CmdLine};
use guard::Idle;

/// Warnings that are logged one by one; the rest is in the record.
const MAX_WARNINGS: usize = 5;

/// What `run` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `--root`.
    pub root: Option<OsString>,
    /// `--keep` and `--always`.
    pub wishes: Wishes,
    /// `--system-id`; `None` with `--no-guard`.
    pub guard: Option<String>,
}

/// Lustrates, or goes on with it; in an initrd, what the kernel command line says.
///
/// # Errors
/// Why it did not do what it was asked, or why NixOS must not boot.
pub fn run(asked: &Run) -> Result<(), Error> {
    let initrd = in_initrd();
    let command_line = if initrd { cmdline::read()? } else { CmdLine::default() };
    if let Some(value) = &command_line.unknown {
        log::warn!(
            "lustrate={} on the kernel command line is none of off, plan, revert; it is ignored",
            Shown(value)
        );
    }
    match command_line.asked {
        Asked::Revert => return revert_and_reboot(asked.root.as_deref(), &command_line),
        Asked::Off | Asked::Nothing | Asked::Plan => {}
    }
    let root = Root::open(asked.root.as_deref())?;
    let etc = root.disk.open(&root.dir, &[ETC]).map_err(Refusal::from)?;
    let looked = look_in(&root.disk, &root.dir, etc.as_ref()).map_err(Refusal::from)?;
    let wishes = &asked.wishes;
    let guarded = |idle| if initrd { guarded(&root, etc.as_ref(), asked, idle) } else { Ok(()) };
    let complete = cfg!(feature = "full") && wishes.complete;
    if complete && initrd && !std::io::stdin().is_terminal() {
        return Err(by_hand().into());
    }
    if command_line.asked == Asked::Off {
        log::info!("lustrate=off on the kernel command line: nothing is done");
        return whole(&root, &looked, "off");
    }
    let left = root.disk.show(&root.dir, Some(&OLD_ROOT_TMP));
    match looked.staging {
        // A machine that boots is not stopped, and its data not exchanged for old copies.
        Staging::Used if initrd => {
            log::warn!(
                "{left} is of a lustration that was cut short, and NixOS has used this root \
                 since: nothing is done. See: nixos-lustrate status"
            );
            return guarded(Idle::NoMarker);
        }
        Staging::Foreign | Staging::Empty if looked.marker == Marker::None => {
            log::warn!("{left} is there, and no lustration is in progress: it is left alone");
        }
        _ => {}
    }
    if !looked.in_progress() && looked.marker == Marker::None && !complete {
        guarded(Idle::NoMarker)?;
        if !wishes.always {
            return Ok(());
        }
    }
    if command_line.asked == Asked::Plan {
        only_plan(&root, &looked, wishes, &command_line)?;
        return guarded(Idle::OnlyPlanned);
    }
    root.may_change("run")?;
    let _lock = root.lock()?;
    let environment = root.environment(View::Mounted, command_line.init.clone())?;
    let announce = |plan: &Plan| {
        log::info!("{}", report::beginning(plan, &root.shown));
        if plan.resumes && !wishes.keep.is_empty() {
            log::warn!("--keep is ignored: what is kept was settled when it began");
        }
        log::debug!("{}", report::plan(plan, &root.shown));
    };
    let outcome = exchange::run(&root.disk, &root.dir, environment, wishes, announce);
    let outcome = outcome.map_err(|error| root.judged(error, Direction::Lustrate))?;
    if complete && outcome == Outcome::Nothing {
        log::info!("{}: there is nothing to complete", root.shown);
    }
    tell(&outcome, &root.shown);
    match outcome {
        // The root holds the old system again.
        Outcome::Finished(Direction::Revert) => guarded(Idle::NoMarker),
        _ => Ok(()),
    }
}

/// A boot never completes what the stock function has left (I5).
fn by_hand() -> Refusal {
    Refusal::new(
        "run --complete is for a person, not for a boot",
        "Each boot could have exchanged what was written since for old copies",
        "Type it in a rescue system, with --root",
    )
}

/// `lustrate=plan`: the plan in the log, and a boot that must not go on with
/// half a root (I7).
fn only_plan(
    root: &Root,
    looked: &Look,
    wishes: &Wishes,
    command_line: &CmdLine,
) -> Result<(), Error> {
    let environment = root.environment(View::Mounted, command_line.init.clone())?;
    log::info!("lustrate=plan on the kernel command line: nothing is done");
    let direction = Direction::Lustrate;
    match (&looked.marker, exchange::judge(&root.disk, &root.dir, environment, wishes, direction)) {
        (Marker::InProgress(direction), _) if !looked.in_progress() => {
            log::info!("{}", report::last_step(*direction, &root.shown));
        }
        (_, Ok(plan)) => log::info!("{}", report::plan(&plan, &root.shown)),
        (_, Err(error)) => log::warn!("{error}"),
    }
    whole(root, looked, "plan")
}

/// Refuses to boot a root in which files are being moved (I7).
fn whole(root: &Root, looked: &Look, word: &str) -> Result<(), Error> {
    if !looked.in_progress() {
        return Ok(());
    }
    Err(Refusal::new(
        format!(
            "{} is half-way through a lustration or a revert, and lustrate={word} does not go on",
            root.shown
        ),
        "Half a system would have booted",
        format!(
            "To go on: boot again without lustrate={word}. To go back: lustrate=revert instead"
        ),
    )
    .into())
}

/// Nothing to do: the guard has the last word.
fn guarded(root: &Root, etc: Option<&Dir>, asked: &Run, idle: Idle) -> Result<(), Error> {
    let Some(system_id) = &asked.guard else { return Ok(()) };
    let objection = guard::objection(&root.disk, (&root.dir, etc), &root.shown, system_id, idle);
    match objection.map_err(Refusal::from)? {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

/// Brings the old system back.
///
/// # Errors
/// Why it did not.
pub fn revert(root: Option<&OsStr>, boot: Boot) -> Result<(), Error> {
    bring_back(root, boot, None).map(drop)
}

fn bring_back(root: Option<&OsStr>, boot: Boot, init: Option<Vec<u8>>) -> Result<Outcome, Error> {
    let mut root = Root::open(root)?;
    root.may_change("revert")?;
    let _lock = root.lock()?;
    let mut environment = root.environment(View::Mounted, init)?;
    root.leave_mounts(&mut environment)?;
    let announce = |plan: &Plan| log::info!("{}", report::beginning(plan, &root.shown));
    let outcome = exchange::revert(&root.disk, &root.dir, environment, boot, announce);
    let outcome = outcome.map_err(|error| root.judged(error, Direction::Revert))?;
    if outcome == Outcome::Nothing {
        log::info!("{}: there is nothing to revert", root.shown);
    }
    tell(&outcome, &root.shown);
    Ok(outcome)
}

/// `lustrate=revert`: never a switch to the root that was reverted.
fn revert_and_reboot(root: Option<&OsStr>, command_line: &CmdLine) -> Result<(), Error> {
    if bring_back(root, Boot::Exchange, command_line.init.clone())? == Outcome::Nothing {
        return Err(Refusal::new(
            "lustrate=revert is on the kernel command line, and there is nothing to revert",
            "The machine would have rebooted again and again",
            "Choose the old system in the boot menu, or remove lustrate=revert to boot NixOS",
        )
        .into());
    }
    // RB_AUTOBOOT does not sync (reboot(2)), and the last step is not on the disk.
    nix::unistd::sync();
    log::info!("Rebooting into the old system, if the boot loader still starts it");
    let rebooted = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_AUTOBOOT);
    let Err(errno) = rebooted;
    Err(Error::Read(OpError::new("reboot", "the machine".to_owned(), errno)))
}

fn tell(outcome: &Outcome, root: &str) {
    match outcome {
        Outcome::Nothing => {}
        Outcome::Withdrawn => {
            log::info!("{root}: nothing had moved; what had been begun is taken back");
        }
        Outcome::Finished(Direction::Lustrate) => {
            log::info!("{root}: the lustration was done; its last step was missing");
        }
        Outcome::Finished(Direction::Revert) => {
            log::info!("{root}: the revert was done; its last step was missing");
        }
        Outcome::Exchanged(exchanged) => {
            let (plan, done) = &**exchanged;
            let mut said = 0;
            for warning in plan.warnings.iter().chain(&done.notes) {
                // At every boot, only what is news.
                if !plan.known.contains(warning) {
                    said += 1;
                    if said <= MAX_WARNINGS {
                        log::warn!("{warning}");
                    }
                }
            }
            if said > MAX_WARNINGS {
                let more = said - MAX_WARNINGS;
                log::warn!("{more} more are in the record, .lustrate/record");
            }
            log::info!("{}", report::end(plan, done, root));
            if plan.intent.direction == Direction::Revert {
                let root = if in_initrd() { String::new() } else { format!(" --root {root}") };
                log::info!(
                    "The boot loader is still NixOS's, boot sector included. To put the old \
                     one back:\n  nixos-lustrate cancel{root}"
                );
            }
        }
    }
}
