//! Runs `switch-to-configuration boot`, shows what it says and logs it.
//!
//! A process of its own, in a session of its own, starts it, waits for it, and lists
//! what it left: so that is known also if this process is killed meanwhile, or loses
//! its terminal. Both write into the log, which is read while the installer runs. The
//! installer has a process group of its own, so that nothing reaches it half-way, and
//! inherits the lock.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::durable::{failed, open};
use super::installer_record::{self, Known};
use super::output::say;
use super::site::Site;
use super::state_file::LOG;
use super::step::Result;
use crate::error::{OpError, Stop};
use crate::fs::disk::{Dir, Disk};
use crate::fs::processes::{Process, age, children};
use crate::fs::sys::errno;
use crate::fs::sys::supervisor::{self, Forked};
use crate::fs::tree::Tree;

const GLANCE: Duration = Duration::from_millis(20);
/// How long it has to be silent before it may be ended.
const SILENT: Duration = Duration::from_secs(10);
/// How long it has between the two signals that end it.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is noted that the installer runs.
const TOUCH: Duration = Duration::from_secs(1);

/// Runs it. How it failed comes back; `None` when it says that it did not.
///
/// # Errors
/// When it cannot be started, its output not be logged, or what it left not listed.
pub(crate) fn run(site: &mut Site) -> Result<Option<String>> {
    let home = site.home()?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_APPEND;
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IROTH;
    let wrong = |errno| failed(&site.disk, "write", home, Some(&LOG))(errno);
    let log = nix::fcntl::openat(home, LOG.as_os_str(), flags, mode);
    let log = log.map(File::from).map_err(wrong)?;
    match supervisor::fork().map_err(|errno| OpError::new("start", "a process", errno))? {
        Forked::Child => supervise(site, &log),
        Forked::Parent(pid) => {
            let home = site.home()?;
            let mut output = open(&site.disk, home, &LOG)?;
            let ended = follow(site, pid, &mut output)?;
            nix::unistd::fsync(&output).map_err(failed(&site.disk, "write", home, Some(&LOG)))?;
            match installer_record::known(site)? {
                Known::Ended(trouble) if ended.success() => Ok(trouble),
                _ => Err(Stop::wrong(
                    "what the boot loader's installer left could not be listed",
                    "What others change from now on could not be told from it",
                    format!("See why at the end of {}", site.disk.show(home, Some(&LOG))),
                )),
            }
        }
    }
}

/// The process that stays with the installer.
fn supervise(site: &mut Site, log: &File) -> ! {
    let done = site.leave(log).and_then(|()| {
        let trouble = to_the_end(site, log)?;
        site.sync()?;
        installer_record::has_ended(site, trouble)
    });
    if let Err(stop) = &done {
        eprintln!("nixos-lustrate: {stop}");
    }
    supervisor::exit(i32::from(done.is_err()))
}

/// Runs it, and waits for its end; how it failed.
fn to_the_end(site: &Site, log: &File) -> Result<Option<String>> {
    let shown = format!("/{}/bin/switch-to-configuration", site.state.system);
    let output = || {
        let wrong = |error| OpError::new("write", LOG.to_string(), errno(&error));
        log.try_clone().map(Stdio::from).map_err(wrong)
    };
    let mut command = Command::new(&shown);
    command.arg("boot").env_clear().envs(environment(&site.state.system)).process_group(0);
    command.stdin(Stdio::from(site.lock_to_inherit()?)).stdout(output()?).stderr(output()?);
    let mut child = match start(site, &mut command)? {
        Ok(child) => child,
        Err(error) => return Ok(Some(format!("{shown} cannot be run: {error}"))),
    };
    let mut touched = Instant::now();
    loop {
        let ended = child
            .try_wait()
            .map_err(|error| OpError::new("wait for", shown.clone(), errno(&error)))?;
        if let Some(ended) = ended {
            if ended.signal().is_some() {
                end_rest(child.id());
            }
            return Ok(verdict(ended).map(|how| format!("{shown} boot {how}")));
        }
        if touched.elapsed() >= TOUCH {
            touched = Instant::now();
            // Without it less is known if this process is killed; it must not leave
            // the installer alone.
            let _ = installer_record::goes_on(site);
        }
        std::thread::sleep(GLANCE);
    }
}

/// Nothing of the old system's environment: what it finds is the closure's.
fn environment(system: &str) -> Vec<(&'static str, String)> {
    vec![
        ("PATH", format!("/{system}/sw/bin:/{system}/sw/sbin")),
        ("LANG", "C.UTF-8".to_owned()),
        // glibc of the closure does not read the old system's (nixpkgs#38991).
        ("LOCALE_ARCHIVE", format!("/{system}/sw/lib/locale/locale-archive")),
        ("HOME", "/root".to_owned()),
        ("NIXOS_INSTALL_BOOTLOADER", "1".to_owned()),
    ]
}

/// Starts it with the root as its `/`.
fn start(site: &Site, command: &mut Command) -> Result<std::io::Result<Child>> {
    if site.is_running()? {
        command.current_dir("/");
        return Ok(command.spawn());
    }
    let here = Disk::open_root("/".as_ref())?;
    // As root one gets out of a chroot by a directory that was opened before.
    let go = |dir: &Dir| {
        nix::unistd::fchdir(dir).and_then(|()| nix::unistd::chroot(&PathBuf::from(".")))
    };
    let failed = |errno| OpError::new("change the root to", site.shown.clone(), errno);
    let started = go(&site.root).map(|()| command.spawn());
    go(&here).map_err(failed)?;
    Ok(started.map_err(failed)?)
}

/// What was said to who presses Ctrl-C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// That it is waited for.
    Waits,
    /// That once more ends it.
    Offered,
    /// It is being ended, since then.
    Ends(Instant, Signal),
}

/// Shows what is written until it has ended.
fn follow(site: &Site, pid: i32, log: &mut File) -> Result<ExitStatus> {
    let (mut told, mut written) = (Told::Nothing, Instant::now());
    loop {
        let ended = supervisor::ended(pid);
        let ended = ended.map_err(|errno| OpError::new("wait for", "the installer", errno))?;
        let mut text = Vec::new();
        if log.read_to_end(&mut text).is_ok() && !text.is_empty() {
            let _ = std::io::stdout().write_all(&text);
            let _ = std::io::stdout().flush();
            written = Instant::now();
            if told == Told::Offered {
                told = Told::Waits;
            }
        }
        if let Some(ended) = ended {
            return Ok(ended);
        }
        let pressed = site.watch.pressed();
        told = match told {
            Told::Nothing if site.watch.interrupted() => {
                say(
                    "\nInterrupted: waiting for the boot loader's installer to end, which is safer.\n",
                );
                Told::Waits
            }
            Told::Waits if pressed => ask(pid, written.elapsed()),
            Told::Offered if pressed => {
                say("\nEnding the boot loader's installer.\n");
                end(pid, Signal::SIGTERM);
                Told::Ends(Instant::now(), Signal::SIGTERM)
            }
            Told::Ends(since, Signal::SIGTERM) if since.elapsed() >= GRACE => {
                end(pid, Signal::SIGKILL);
                Told::Ends(since, Signal::SIGKILL)
            }
            told => told,
        };
        std::thread::sleep(GLANCE);
    }
}

/// Names the installer, and offers to end it when it has been silent.
fn ask(pid: i32, silent: Duration) -> Told {
    let found = installer(pid);
    let who = found.as_ref().map_or("it cannot be seen here".to_owned(), ToString::to_string);
    let silent_for = age(silent);
    if silent < SILENT || found.is_none() {
        let least = age(SILENT);
        say(&format!(
            "\nThe boot loader's installer wrote something {silent_for} ago: {who}.\n\
             Once it has been silent for {least}, Ctrl-C offers to end it.\n"
        ));
        return Told::Waits;
    }
    say(&format!(
        "\nThe boot loader's installer has been silent for {silent_for}: {who}.\n\
         Ctrl-C once more ends it, with all that it has started; then everything is put back.\n"
    ));
    Told::Offered
}

/// The installer, as a child of the process that stays with it.
fn installer(pid: i32) -> Option<Process> {
    u32::try_from(pid).ok().and_then(|pid| children(pid).into_iter().next())
}

/// Sends a signal to the installer and all that it has started.
fn end(pid: i32, signal: Signal) {
    let group = installer(pid).and_then(|process| i32::try_from(process.group).ok());
    // One that is gone has ended.
    let _ = group.map(|group| killpg(Pid::from_raw(group), signal));
}

/// What is left of an installer that was killed must not go on writing.
fn end_rest(group: u32) {
    let Ok(group) = i32::try_from(group).map(Pid::from_raw) else { return };
    let since = Instant::now();
    while killpg(group, Signal::SIGKILL).is_ok() && since.elapsed() < GRACE {
        std::thread::sleep(GLANCE);
    }
}

fn verdict(ended: ExitStatus) -> Option<String> {
    match (ended.code(), ended.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("failed with exit status {code}")),
        (None, signal) => Some(format!("was killed by signal {}", signal.unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_old_environment_gets_in() {
        let names: Vec<_> = environment("nix/store/x").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["PATH", "LANG", "LOCALE_ARCHIVE", "HOME", "NIXOS_INSTALL_BOOTLOADER"]);
    }
}
