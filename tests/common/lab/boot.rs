//! One boot: what is started, how far it came, what the console showed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::closure::closure;
use super::disk::{Disk, discard, scratch};
use super::drive::{Drive, Path};
use super::kernel::Kernel;
use super::layout::Layout;
use super::machine::{Machine, Source, Waited};
use super::report::Report;
use super::stage1::{Kind, Stage1};
use crate::common::text::says;

/// Until the first line from user space. One boot in some hundreds hangs
/// before that under TCG; only such a one is started again.
const AWAKE: Duration = Duration::from_secs(30);
/// From there to the report, or to the place where the boot stops.
const WHOLE: Duration = Duration::from_secs(60);
/// From the report to the end.
const OFF: Duration = Duration::from_secs(20);

/// The first that user space shows in each kind of stage 1.
const SIGNS_OF_LIFE: [&str; 2] = ["Welcome to", "<<< stage 1 of busybox >>>"];
/// Shown right before the program starts.
pub const BEGINS: &str = "<<< lustration begins >>>";
/// Shown when a shell waits on the console, in each kind of stage 1.
pub const SHELL: [&str; 2] = ["<<< shell >>>", PROMPT];
const EMERGENCY: &str = "<<< emergency mode >>>";
const PROMPT: &str = "An error occurred in stage 1.";

/// What is to be booted.
#[derive(Debug)]
pub struct Boot<'a> {
    pub stage1: Stage1,
    pub drives: Vec<Drive<'a>>,
    pub init: String,
    /// More words for the kernel command line.
    pub words: Vec<String>,
}

/// How far a boot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The system reported and switched the machine off.
    Up,
    /// Stage 1 stopped: emergency mode, or the prompt of the scripted one.
    Stopped,
    Rebooted,
    /// None of these in time, or the machine went off by itself.
    Lost,
}

/// What a boot came to.
#[derive(Debug)]
pub struct Ended {
    pub end: End,
    pub console: String,
    pub took: Duration,
}

impl<'a> Boot<'a> {
    pub fn new(kind: Kind, layout: Layout, disk: &'a Disk) -> Self {
        Self {
            stage1: Stage1::new(kind, layout),
            drives: vec![Drive { disk, path: Path::Plain }],
            init: closure().init(),
            words: Vec::new(),
        }
    }

    /// The common case: a root with everything on it, `/var/log` bind-mounted.
    pub fn plain(kind: Kind, disk: &'a Disk) -> Self {
        Self::new(kind, Layout::new(disk.kind()), disk)
    }

    #[must_use]
    pub fn word(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    #[must_use]
    pub fn through(mut self, path: Path) -> Self {
        self.drives[0].path = path;
        self
    }

    #[must_use]
    pub fn and(mut self, disk: &'a Disk) -> Self {
        self.drives.push(Drive { disk, path: Path::Plain });
        self
    }

    /// Switches the machine on and waits until user space has begun.
    pub fn start(&self) -> Machine {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let initrd = scratch().join(format!("{}-{number}.initrd", std::process::id()));
        self.stage1.write(kernel(), &initrd);
        let access = if self.stage1.layout.read_only { "ro" } else { "rw" };
        let mut append = format!(
            "console=ttyS0 quiet panic=-1 {access} TERM=dumb systemd.show_status=1 init={}",
            self.init
        );
        for word in &self.words {
            append.push(' ');
            append.push_str(word);
        }
        let kernel = kernel().vmlinux.clone();
        let source = Source { kernel: Some((kernel, initrd.clone(), append)), variables: None };
        let start = || Machine::start(&source, &self.drives);
        let mut machine = start();
        if machine.wait_for(&SIGNS_OF_LIFE, AWAKE) == Waited::TimedOut {
            drop(machine);
            machine = start();
            machine.wait_for(&SIGNS_OF_LIFE, AWAKE);
        }
        discard(&initrd);
        machine
    }

    /// Boots as far as it goes.
    pub fn run(&self) -> Ended {
        self.start().finish()
    }
}

impl Machine {
    /// Waits for the boot to come to an end, whatever end that is.
    pub fn finish(self) -> Ended {
        self.finish_after(0)
    }

    /// As `finish`, for a boot that has stopped and goes on from here.
    pub fn resume(self) -> Ended {
        let position = self.position();
        self.finish_after(position)
    }

    fn finish_after(mut self, position: usize) -> Ended {
        let ends = ["REPORT end", EMERGENCY, PROMPT];
        let mut seen = self.wait_after(position, &ends, WHOLE / 2);
        if seen == Waited::TimedOut {
            // QEMU's serial port can lose the interrupt that asks for more to
            // send, and what writes to the console waits; input wakes it up.
            self.type_line("");
            seen = self.wait_after(position, &ends, WHOLE / 2);
            super::say(&format!("{seen:?} only after a newline"));
        }
        if matches!(seen, Waited::Saw(0 | 1)) {
            self.wait_after(position, &["<<< shell >>>"], OFF);
        }
        let took = self.age();
        let console = self.cut_power();
        let end = match seen {
            Waited::Saw(0) => End::Up,
            Waited::Saw(_) => End::Stopped,
            _ if console.contains("reboot: Restarting system") => End::Rebooted,
            _ => End::Lost,
        };
        Ended { end, console, took }
    }
}

impl Ended {
    /// The report of the system; without one the test fails.
    #[track_caller]
    pub fn report(&self) -> Report {
        self.expect(End::Up);
        Report::read(&self.console).unwrap_or_else(|| self.fail("the report is not whole"))
    }

    /// As `report`, of a boot in which the program ran once, alone with the
    /// root, and after which all is mounted where it belongs.
    #[track_caller]
    pub fn sound(&self) -> Report {
        let report = self.report();
        let log = report.mounts.get("/var/log").map(|(root, _)| root.as_str());
        let faults = [
            (report.runs != 1, "the program did not run exactly once"),
            (report.statuses != ["0"], "the program did not succeed"),
            (report.below != [0, 0], "something was mounted below the root during the run"),
            (
                !log.is_some_and(|root| root.ends_with("/persist/var/log")),
                "/var/log is not mounted",
            ),
        ];
        for (is_faulty, what) in faults {
            if is_faulty {
                self.fail(what);
            }
        }
        report
    }

    #[track_caller]
    pub fn expect(&self, end: End) -> &Self {
        if self.end != end {
            self.fail(&format!("{end:?} was expected, not {:?}", self.end));
        }
        self
    }

    /// The console must have shown each of these.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            if !says(&self.console, text) {
                self.fail(&format!("no {text:?} on the console"));
            }
        }
        self
    }

    /// A failing scenario shows the console.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        panic!("{why}\n--- console, {:?}\n{}\n---", self.took, self.console)
    }
}

/// The kernel of all machines.
pub fn kernel() -> &'static Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    KERNEL.get_or_init(Kernel::debian)
}
