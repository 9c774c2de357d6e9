//! The commands as the program runs them: open the root once, take the lock,
//! judge, act, report once at the top.

use crate::cmdline::{Asked, CmdLine};
use crate::commands::{self, Outcome};
use crate::environment::{View, in_initrd, kernel_command_line};
use crate::error::{Error, OpError, Refusal};
use crate::facts::{Marker, Wishes};
use crate::guard::{self, Idle};
use crate::intent::Direction;
use crate::name::Shown;
use crate::names::ETC;
use crate::options::{Command, Options};
use crate::plan::Plan;
use crate::report;
use crate::survey::{Look, look_in};
use crate::sys;
use crate::tree::Tree;

pub(crate) mod root;
mod show;

use root::Root;

/// Warnings that are logged one by one; the rest is in the record.
const MAX_WARNINGS: usize = 5;

/// Runs a command.
///
/// # Errors
/// Why it did not do what it was asked.
pub fn command(options: &Options) -> Result<(), Error> {
    match options.command {
        Command::Help => print(crate::options::HELP),
        Command::Version => print(concat!("nixos-lustrate ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Plan => show::plan(options),
        Command::Status => show::status(options),
        Command::Run => run(options),
        Command::Revert => revert(options, &CmdLine::default()).map(drop),
    }
}

/// What a command prints is its result: failing to is a failure.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let written = sys::write_all(std::io::stdout(), text.as_bytes());
    written
        .map_err(|errno| Error::Read(OpError::new("write to", "standard output".to_owned(), errno)))
}

fn run(options: &Options) -> Result<(), Error> {
    let initrd = in_initrd();
    let command_line = if initrd { kernel_command_line()? } else { CmdLine::default() };
    if let Some(value) = &command_line.unknown {
        log::warn!(
            "lustrate={} on the kernel command line is none of off, plan, revert; it is ignored",
            Shown(value)
        );
    }
    match command_line.asked {
        Asked::Revert => return revert_and_reboot(options, &command_line),
        Asked::Off | Asked::Nothing | Asked::Plan => {}
    }
    let root = Root::open(options)?;
    let etc = root.disk.open(&root.dir, &[ETC]).map_err(Refusal::from)?;
    let looked = look_in(&root.disk, &root.dir, etc.as_ref()).map_err(Refusal::from)?;
    let wishes = Wishes { keep: options.keep.clone(), always: options.always };
    let guarded = |idle| match &etc {
        Some(etc) if initrd => guarded(&root, etc, options, idle),
        _ => Ok(()),
    };
    if command_line.asked == Asked::Off {
        log::info!("lustrate=off on the kernel command line: nothing is done");
        return whole(&root, &looked, "off");
    }
    if !looked.in_progress() && looked.marker == Marker::None {
        guarded(Idle::NoMarker)?;
        if !wishes.always {
            return Ok(());
        }
    }
    if command_line.asked == Asked::Plan {
        only_plan(&root, &looked, &wishes, &command_line)?;
        return guarded(Idle::OnlyPlanned);
    }
    root.may_change("run")?;
    let _lock = root.lock()?;
    let environment = root.environment(View::Mounted, &command_line)?;
    let announce = |plan: &Plan| {
        log::info!("{}", report::beginning(plan, &root.shown));
        if plan.resumes && !wishes.keep.is_empty() {
            log::warn!("--keep is ignored: what is kept was settled when it began");
        }
        log::debug!("{}", report::plan(plan, &root.shown));
    };
    let outcome = commands::run(&root.disk, &root.dir, environment, &wishes, announce);
    let outcome = outcome.map_err(|error| root.judged(error, Direction::Lustrate))?;
    tell(&outcome, &root.shown);
    match outcome {
        // The root holds the old system again.
        Outcome::Finished(Direction::Revert) => guarded(Idle::NoMarker),
        _ => Ok(()),
    }
}

/// `lustrate=plan`: the plan in the log, and a boot that must not go on with
/// half a root (I7).
fn only_plan(
    root: &Root,
    looked: &Look,
    wishes: &Wishes,
    command_line: &CmdLine,
) -> Result<(), Error> {
    let environment = root.environment(View::Mounted, command_line)?;
    log::info!("lustrate=plan on the kernel command line: nothing is done");
    let direction = Direction::Lustrate;
    match (&looked.marker, commands::judge(&root.disk, &root.dir, environment, wishes, direction)) {
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
fn guarded(
    root: &Root,
    etc: &crate::disk::Dir,
    options: &Options,
    idle: Idle,
) -> Result<(), Error> {
    let Some(system_id) = &options.guard else { return Ok(()) };
    let objection = guard::objection(&root.disk, (&root.dir, etc), &root.shown, system_id, idle);
    match objection.map_err(Refusal::from)? {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

fn revert(options: &Options, command_line: &CmdLine) -> Result<Outcome, Error> {
    let root = Root::open(options)?;
    root.may_change("revert")?;
    let _lock = root.lock()?;
    let environment = root.environment(View::Mounted, command_line)?;
    let announce = |plan: &Plan| log::info!("{}", report::beginning(plan, &root.shown));
    let outcome = commands::revert(&root.disk, &root.dir, environment, options.boot, announce);
    let outcome = outcome.map_err(|error| root.judged(error, Direction::Revert))?;
    if outcome == Outcome::Nothing {
        log::info!("{}: there is nothing to revert", root.shown);
    }
    tell(&outcome, &root.shown);
    Ok(outcome)
}

/// `lustrate=revert`: never a switch to the root that was reverted.
fn revert_and_reboot(options: &Options, command_line: &CmdLine) -> Result<(), Error> {
    if revert(options, command_line)? == Outcome::Nothing {
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
        Outcome::Finished(Direction::Lustrate) => {
            log::info!("{root}: the lustration was done; its last step was missing");
        }
        Outcome::Finished(Direction::Revert) => {
            log::info!("{root}: the revert was done; its last step was missing");
        }
        Outcome::Exchanged(exchanged) => {
            let (plan, done) = &**exchanged;
            let warnings = plan.warnings.iter().chain(&done.notes);
            let more = (plan.warnings.len() + done.notes.len()).saturating_sub(MAX_WARNINGS);
            warnings.take(MAX_WARNINGS).for_each(|warning| log::warn!("{warning}"));
            if more > 0 {
                log::warn!("{more} more are in the record, .lustrate/record");
            }
            log::info!("{}", report::end(plan, done, root));
        }
    }
}
