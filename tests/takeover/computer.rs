//! A computer with a disk: switched on, it starts what its boot loader finds; at
//! a prompt it does what is typed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::common::manifest::Manifest;
use crate::debian::{self, Variant};
use crate::lab::boot::kernel;
use crate::lab::disk::{Disk, discard};
use crate::lab::drive::{Drive, Path};
use crate::lab::machine::{Machine, Source, Waited};

/// A boot of a whole distribution under TCG, with another machine beside it.
const BOOT: Duration = Duration::from_secs(150);
/// For a command.
const COMMAND: Duration = Duration::from_secs(300);
/// For the machine to go off.
const OFF: Duration = Duration::from_secs(120);

/// A computer that is switched off.
#[derive(Debug)]
pub struct Computer {
    pub variant: Variant,
    pub disk: Disk,
    variables: PathBuf,
}

/// Whose prompt a session is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Debian,
    Nixos,
    Rescue,
    /// Stage 1 has stopped.
    Stopped,
}

const PROMPTS: [&str; 4] =
    ["] root@debian:", "] root@nixos:", "] root@rescue:", "<<< emergency mode >>>"];

impl Computer {
    /// One that has Debian.
    pub fn with_debian(variant: Variant) -> Self {
        let (disk, variables) = debian::disk(variant);
        Self::new(variant, disk, &variables)
    }

    fn new(variant: Variant, disk: Disk, variables: &std::path::Path) -> Self {
        let own = disk.path().with_extension("variables");
        fs::copy(variables, &own).expect("a copy of the firmware's variables");
        Self { variant, disk, variables: own }
    }

    /// The same computer at this moment.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::new(self.variant, self.disk.copy(), &self.variables)
    }

    /// What the partition before the root holds, the path in it given.
    pub fn on_first_partition<T>(&self, look: impl FnOnce(&std::path::Path) -> T) -> T {
        let options = debian::first_partition();
        Disk::mounted_with(self.disk.path(), &options, look)
    }

    pub fn manifest(&self) -> Manifest {
        self.disk.manifest()
    }

    /// Switches it on.
    pub fn start(&self) -> Session {
        self.start_slowly(Path::Plain)
    }

    /// As `start`, the disk attached in this way.
    pub fn start_slowly(&self, path: Path) -> Session {
        let variables = (self.variant == Variant::Uefi).then(|| self.variables.clone());
        self.start_from(&Source { kernel: None, variables }, path)
    }

    /// Boots a kernel from outside with this initrd and command line.
    pub fn start_with(&self, initrd: &[u8], append: &str, path: Path) -> Session {
        let place = self.disk.path().with_extension("initrd");
        fs::write(&place, initrd).expect("the initrd can be written");
        let source = Source {
            kernel: Some((kernel().vmlinux.clone(), place.clone(), append.to_owned())),
            variables: None,
        };
        let session = self.start_from(&source, path);
        // QEMU has read it by the time that something is on the console.
        session.machine.wait_for(&["\n"], BOOT);
        discard(&place);
        session
    }

    fn start_from(&self, source: &Source, path: Path) -> Session {
        let drives = [Drive { disk: &self.disk, path }];
        Session { machine: Machine::start(source, &drives), seen: 0 }
    }

    /// Switches it on and waits for a prompt, which has to be this one.
    #[track_caller]
    pub fn boot(&self, at: At) -> Session {
        let mut session = self.start();
        session.expect(at);
        session
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        discard(&self.variables);
    }
}

/// A computer that is on, and how much of its console has been read.
pub struct Session {
    machine: Machine,
    seen: usize,
}

impl Session {
    /// Waits for the prompt of a boot.
    #[track_caller]
    pub fn expect(&mut self, at: At) {
        let came = self.arrive();
        if came != Some(at) {
            self.fail(&format!("{at:?} was expected, not {came:?}"));
        }
    }

    /// Waits until a boot has come to an end; `None` if it does not.
    pub fn arrive(&mut self) -> Option<At> {
        let mut waited = self.machine.wait_after(self.seen, &PROMPTS, BOOT);
        if waited == Waited::TimedOut {
            // As the lab does: a serial port that waits is woken up by input.
            self.machine.type_line("");
            waited = self.machine.wait_after(self.seen, &PROMPTS, OFF);
        }
        let Waited::Saw(index) = waited else { return None };
        if index < 3 {
            self.machine.wait_after(self.seen, &["# "], OFF);
        } else {
            // What it has to say comes after its name, and then it switches off.
            self.machine.wait_after(self.seen, &[], OFF);
        }
        self.seen = self.machine.position();
        Some([At::Debian, At::Nixos, At::Rescue, At::Stopped][index])
    }

    /// Waits for a text on the console.
    pub fn wait_for(&self, text: &str, limit: Duration) -> bool {
        self.machine.wait_after(self.seen, &[text], limit) == Waited::Saw(0)
    }

    /// Types a command and waits for the next prompt: the exit status, and what was
    /// printed.
    #[track_caller]
    pub fn try_run(&mut self, command: &str) -> (i32, String) {
        let begin = self.machine.position();
        self.machine.type_line(command);
        let mut waited = self.machine.wait_after(begin, &PROMPTS, COMMAND);
        if waited == Waited::TimedOut {
            self.machine.type_line("");
            waited = self.machine.wait_after(begin, &PROMPTS, OFF);
        }
        if !matches!(waited, Waited::Saw(0..=2)) {
            self.fail(&format!("no prompt after {command:?}: {waited:?}"));
        }
        self.machine.wait_after(begin, &["# "], OFF);
        // Busybox asks the terminal where its cursor is.
        let text = self.machine.console_from(begin).replace("\x1b[6n", "");
        self.seen = self.machine.position();
        let prompt = text.rfind("] root@").expect("the prompt that was waited for");
        let start = text[..prompt].rfind('[').expect("the prompt begins with the status");
        let status = text[start + 1..prompt].parse().expect("an exit status");
        let printed = text[..start].strip_prefix(command).unwrap_or(&text[..start]);
        (status, printed.trim_start_matches('\n').to_owned())
    }

    /// As `try_run`; the command has to succeed.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> String {
        let (status, printed) = self.try_run(command);
        if status != 0 {
            self.fail(&format!("{command:?} ended with status {status}"));
        }
        printed
    }

    /// Lets the time pass, or until the machine is off.
    pub fn watch(&self, time: Duration) {
        self.machine.wait_after(usize::MAX, &["\0"], time);
    }

    /// Types a line and waits for nothing.
    pub fn type_line(&mut self, line: &str) {
        self.machine.type_line(line);
    }

    /// Types a command that switches the machine off, also by a reboot, and waits
    /// until it is; the whole console.
    #[track_caller]
    pub fn ends(mut self, command: &str) -> String {
        self.machine.type_line(command);
        self.goes_off()
    }

    /// Waits until the machine is off.
    #[track_caller]
    pub fn goes_off(mut self) -> String {
        let position = self.machine.position();
        let mut waited = self.machine.wait_after(position, &[], OFF);
        if waited == Waited::TimedOut {
            self.machine.type_line("");
            waited = self.machine.wait_after(position, &[], OFF);
        }
        if waited != Waited::Off {
            self.fail(&format!("the machine is not off: {waited:?}"));
        }
        self.machine.console()
    }

    /// Cuts the power; the console.
    pub fn cut_power(self) -> String {
        self.machine.cut_power()
    }

    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        panic!("{why}\n--- console\n{}\n---", self.machine.console())
    }
}
