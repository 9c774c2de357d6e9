//! Runs `switch-to-configuration boot`, shows what it says and logs it.
//!
//! It writes into the log itself, and the log is read while it runs: if this
//! process is killed, the installer goes on to its end. It has a process group of
//! its own, so that Ctrl-C does not reach it half-way, and inherits the lock.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::files::{failed, open};
use super::output::say;
use super::site::Site;
use super::state::LOG;
use super::step::Result;
use crate::error::{OpError, Stop};
use crate::fs::disk::{Dir, Disk};
use crate::fs::sys;

const GLANCE: Duration = Duration::from_millis(20);

/// Runs it. How it failed comes back; `None` when it says that it did not.
///
/// # Errors
/// When it cannot be started or its output not be logged.
pub fn run(site: &Site) -> Result<Option<String>> {
    let home = site.home()?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_APPEND;
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IROTH;
    let wrong = |errno| failed(&site.disk, "write", home, Some(&LOG))(errno);
    let log = nix::fcntl::openat(home, LOG.as_os_str(), flags, mode);
    let log = log.map(File::from).map_err(wrong)?;
    let second = log.try_clone().map_err(|_| wrong(nix::errno::Errno::EMFILE))?;
    let shown = format!("/{}/bin/switch-to-configuration", site.state.system);
    let mut command = Command::new(&shown);
    command.arg("boot").env_clear().envs(environment(&site.state.system)).process_group(0);
    command.stdin(Stdio::from(site.lock_to_inherit()?));
    command.stdout(Stdio::from(log)).stderr(Stdio::from(second));
    let mut child = match start(site, &mut command)? {
        Ok(child) => child,
        Err(error) => return Ok(Some(format!("{shown} cannot be run: {error}"))),
    };
    drop(command);
    let mut log = open(&site.disk, home, &LOG)?;
    let ended = follow(site, &mut child, &mut log)?;
    nix::unistd::fsync(&log).map_err(wrong)?;
    Ok(verdict(ended).map(|how| format!("{shown} boot {how}")))
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
    let here = Disk::open_root("/".as_ref())?;
    let same = |a: &Dir, b: &Dir| sys::stat(a, None).ok().zip(sys::stat(b, None).ok());
    let same =
        same(&here, &site.root).is_some_and(|(a, b)| (a.device, a.inode) == (b.device, b.inode));
    if same {
        command.current_dir("/");
        return Ok(command.spawn());
    }
    // As root one gets out of a chroot by a directory that was opened before.
    let go = |dir: &Dir| {
        nix::unistd::fchdir(dir).and_then(|()| nix::unistd::chroot(&PathBuf::from(".")))
    };
    let failed = |errno| OpError::new("change the root to", site.shown.clone(), errno);
    let started = go(&site.root).map(|()| command.spawn());
    go(&here).map_err(failed)?;
    Ok(started.map_err(failed)?)
}

/// Shows what is written until it has ended.
fn follow(site: &Site, child: &mut Child, log: &mut File) -> Result<ExitStatus> {
    let mut told = false;
    loop {
        let ended = child.try_wait().map_err(|error| Stop::changed(error.to_string()))?;
        let mut text = Vec::new();
        if log.read_to_end(&mut text).is_ok() && !text.is_empty() {
            let _ = std::io::stdout().write_all(&text);
            let _ = std::io::stdout().flush();
        }
        if let Some(ended) = ended {
            return Ok(ended);
        }
        if site.watch.interrupted() && !told {
            told = true;
            say("\nInterrupted: waiting for the boot loader's installer to end, which is safer.\n");
        }
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
