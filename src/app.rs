//! The commands as the program runs them: open the root once, take the lock,
//! judge, act, report once at the top.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::cmdline::{Asked, CmdLine};
use crate::commands::{self, Outcome};
use crate::disk::{Dir, Disk};
use crate::environment::{View, environment, in_initrd, kernel_command_line};
use crate::error::{Error, OpError, Refusal};
use crate::facts::{Environment, Wishes};
use crate::intent::Direction;
use crate::name::Shown;
use crate::options::{Command, Options};
use crate::survey::look;
use crate::{guard, report, status, sys};

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
        Command::Plan => plan(options),
        Command::Status => show_status(options),
        Command::Run => run(options),
        Command::Revert => revert(options, &CmdLine::default()).map(drop),
    }
}

/// What a command prints is its result: failing to is a failure.
fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Error::Read(OpError { op: "write to", path: "standard output".to_owned(), errno })
    })
}

fn root_path(options: &Options) -> OsString {
    let default = if in_initrd() { "/sysroot" } else { "/" };
    options.root.clone().unwrap_or_else(|| default.into())
}

/// An opened root.
struct Root {
    disk: Disk,
    dir: Dir,
    shown: String,
}

impl Root {
    fn open(options: &Options) -> Result<Self, Error> {
        let path = root_path(options);
        let shown = Shown(path.as_bytes()).to_string();
        let dir = Disk::open_root(&path).map_err(|error| {
            let (found, mend) = match error.errno {
                Errno::ENOENT => {
                    (format!("{shown} is missing"), "Mount the root there, or give another --root")
                }
                Errno::ENOTDIR => (
                    format!("{shown} is not a directory"),
                    "Give the directory where the root is mounted",
                ),
                _ => (error.to_string(), "Mount the root there, or give another --root"),
            };
            Refusal::new(found, "There is no root to work on", mend)
        })?;
        Ok(Self { disk: Disk::default(), dir, shown })
    }

    fn is_running_system(&self) -> Result<bool, Error> {
        let stat = |dir: &Dir| sys::stat(dir, None);
        let running = Disk::open_root("/".as_ref()).map_err(Refusal::from)?;
        let same = stat(&self.dir).and_then(|a| stat(&running).map(|b| (a, b)));
        let (ours, running) = same.map_err(|errno| {
            Refusal::from(OpError { op: "look at", path: self.shown.clone(), errno })
        })?;
        Ok(ours.device == running.device && ours.inode == running.inode)
    }

    fn environment(&self, view: View, command_line: &CmdLine) -> Result<Environment, Error> {
        Ok(environment(&self.dir, &self.shown, view, command_line)?)
    }

    /// One exchange at a time; the lock ends with the process.
    fn lock(&self) -> Result<Flock<std::os::fd::OwnedFd>, Error> {
        let fd = self.dir.as_fd().try_clone_to_owned().map_err(|error| {
            Refusal::new(format!("{}: {error}", self.shown), "It could not be locked", "Try again")
        })?;
        Flock::lock(fd, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => Refusal::new(
                format!("another nixos-lustrate is at work on {}", self.shown),
                "Two at once would get in each other's way",
                "Wait until it has ended",
            )
            .into(),
            errno => Refusal::from(OpError { op: "lock", path: self.shown.clone(), errno }).into(),
        })
    }

    /// What may change a root: as root, and not the running system's.
    fn may_change(&self, verb: &str) -> Result<(), Error> {
        if self.is_running_system()? {
            let where_to = match verb {
                "run" => {
                    "In NixOS's initrd it runs by itself at the next boot: touch /etc/NIXOS_LUSTRATE"
                }
                _ => {
                    "Do it from a rescue system or an initrd: \
                      mount the root file system, and give --root"
                }
            };
            return Err(Refusal::new(
                format!("{} is the root of the running system", self.shown),
                "Its programs would have been moved from under it",
                where_to,
            )
            .into());
        }
        if !nix::unistd::geteuid().is_root() {
            return Err(Refusal::new(
                format!("nixos-lustrate {verb} needs root"),
                "Files of other users could not be moved",
                format!("Run it as root: sudo nixos-lustrate {verb}"),
            )
            .into());
        }
        Ok(())
    }

    /// An error of an exchange: a refusal while nothing has been changed.
    fn judged(&self, error: Error) -> Error {
        let in_progress = || look(&self.disk, &self.dir).is_ok_and(|look| look.in_progress());
        if self.disk.touched() || in_progress() { error } else { commands::untouched(error) }
    }

    /// The two ways on, for the console (I7).
    fn ways_on(&self, error: &Error) {
        if matches!(error, Error::Stopped(_)) {
            let root = &self.shown;
            log::error!(
                "To go on, once the cause is mended: nixos-lustrate run --root {root}\n\
                 To go back: nixos-lustrate revert --root {root}"
            );
        }
    }
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
        Asked::Off => {
            log::info!("lustrate=off on the kernel command line: nothing is done");
            return Ok(());
        }
        Asked::Revert => return revert_and_reboot(options, &command_line),
        Asked::Nothing | Asked::Plan => {}
    }
    let root = Root::open(options)?;
    let looked = look(&root.disk, &root.dir).map_err(Refusal::from)?;
    let wishes = Wishes { keep: options.keep.clone(), always: options.always };
    let work = looked.in_progress() || looked.marker != crate::facts::Marker::None || wishes.always;
    if !work {
        return guarded(&root, options, initrd);
    }
    if command_line.asked == Asked::Plan {
        let environment = root.environment(View::Mounted, &command_line)?;
        let direction = Direction::Lustrate;
        let plan = commands::judge(&root.disk, &root.dir, environment, &wishes, direction)?;
        log::info!("lustrate=plan on the kernel command line: nothing is done");
        log::info!("{}", report::plan(&plan, &root.shown));
        return guarded(&root, options, initrd);
    }
    root.may_change("run")?;
    let _lock = root.lock()?;
    let environment = root.environment(View::Mounted, &command_line)?;
    let announce =
        |plan: &crate::plan::Plan| log::info!("{}", report::beginning(plan, &root.shown));
    let outcome = commands::run(&root.disk, &root.dir, environment, &wishes, announce);
    match outcome.map_err(|error| root.judged(error)) {
        Ok(outcome) => tell(&outcome, &root.shown),
        Err(error) => {
            root.ways_on(&error);
            return Err(error);
        }
    }
    Ok(())
}

/// Nothing to do: the guard has the last word.
fn guarded(root: &Root, options: &Options, initrd: bool) -> Result<(), Error> {
    let Some(system_id) = options.guard.as_ref().filter(|_| initrd) else { return Ok(()) };
    let objection = guard::objection(&root.disk, &root.dir, &root.shown, system_id);
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
    let announce =
        |plan: &crate::plan::Plan| log::info!("{}", report::beginning(plan, &root.shown));
    let outcome = commands::revert(&root.disk, &root.dir, environment, options.boot, announce);
    let outcome = outcome.map_err(|error| root.judged(error)).inspect_err(|e| root.ways_on(e))?;
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
    log::info!("Rebooting into the old system, if the boot loader still starts it");
    let rebooted = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_AUTOBOOT);
    let Err(errno) = rebooted;
    Err(Error::Read(OpError { op: "reboot", path: "the machine".to_owned(), errno }))
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

fn plan(options: &Options) -> Result<(), Error> {
    let mut root = Root::open(options)?;
    let view = root.look_below_mounts()?;
    let wishes = Wishes { keep: options.keep.clone(), always: options.always };
    let looked = look(&root.disk, &root.dir).map_err(Refusal::from)?;
    let quiet = !looked.in_progress() && looked.marker == crate::facts::Marker::None;
    let environment = root.environment(view, &CmdLine::default())?;
    let judged = commands::judge(&root.disk, &root.dir, environment, &wishes, Direction::Lustrate);
    if options.json {
        #[cfg(feature = "full")]
        print(&match &judged {
            Ok(plan) => crate::json::plan(Ok(plan), &root.shown),
            Err(Error::Refused(refusals)) => crate::json::plan(Err(refusals), &root.shown),
            Err(_) => String::new(),
        })?;
        return judged.map(drop);
    }
    let plan = judged?;
    if quiet && !options.always {
        print(&format!("{}: no marker, so run would do nothing. With one:\n", root.shown))?;
    }
    print(&report::plan(&plan, &root.shown))
}

fn show_status(options: &Options) -> Result<(), Error> {
    let root = Root::open(options)?;
    let environment = root.environment(View::Bare, &CmdLine::default())?;
    let status = status::status(&root.disk, &root.dir, environment)?;
    #[cfg(feature = "full")]
    if options.json {
        return print(&crate::json::status(&status));
    }
    print(&report::status(&status))
}

impl Root {
    /// A running `/` is looked at as the initrd will see it, without mounts.
    fn look_below_mounts(&mut self) -> Result<View, Error> {
        if in_initrd() || !self.is_running_system()? {
            return Ok(View::Mounted);
        }
        self.dir = Disk::clone_root().map_err(|error| {
            let mend = match error.errno {
                Errno::EPERM => "Run it as root: sudo nixos-lustrate plan",
                _ => "Judge it from a rescue system: nixos-lustrate plan --root DIR",
            };
            Refusal::new(error.to_string(), "What is below the mounts cannot be seen", mend)
        })?;
        Ok(View::Bare)
    }
}
