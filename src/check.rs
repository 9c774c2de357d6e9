//! `check`: a doctor's report on the machine that is to become NixOS.
//!
//! Readers ([`crate::machine`]) gather facts; the files of this folder judge them,
//! one for each group of checks. Nothing is written, and nothing passes silently:
//! what could not be examined is a finding too.
//!
//! Uses: engine, error, fs, machine, system, term.

use std::path::{Path, PathBuf};

use crate::error::{Error, OpError, Refusal};
use crate::fs::name::RelPath;
use crate::machine::boot::Boot;
use crate::machine::files::Files;
use crate::machine::fstab::FstabEntry;
use crate::machine::identity;
use crate::machine::mounts::Mounts;
use crate::machine::sources::Sources;
use crate::system::bootspec;
use crate::system::closure::{Closure, PROFILE};
use crate::system::facts::{BootLoader, Facts};
use crate::term::{Form, print};

mod boot;
mod closure;
mod configuration;
mod features;
mod finding;
mod fstab;
mod host_keys;
pub mod ids;
mod initrd;
mod json;
mod login;
mod network;
mod nix;
mod plan;
mod room;
mod root;
mod separate;
mod show;
mod storage;
mod surroundings;
mod then;

pub use finding::{Finding, Level};
pub(crate) use show::colour;

/// What is to be examined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examine {
    /// Where facts are read, the root among them.
    pub sources: Sources,
    /// The built system: a profile or a store path, as seen inside the root.
    pub system: PathBuf,
    /// Keepers besides the default ones.
    pub keep: Vec<RelPath>,
    /// Whether the default keepers are kept.
    pub default_keep: DefaultKeep,
    /// How many bytes will be freed before the boot loader is installed, by mount points
    /// as seen inside the root.
    pub frees: Vec<(PathBuf, u64)>,
}

/// Whether the default keepers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultKeep {
    /// Those that exist.
    Yes,
    /// Only those that are named.
    No,
}

impl Examine {
    /// The system profile on this machine's root at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            sources: Sources::of(root),
            system: PROFILE.into(),
            keep: Vec::new(),
            default_keep: DefaultKeep::Yes,
            frees: Vec::new(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The root.
    pub root: String,
    /// The distribution that it holds.
    pub distribution: Option<String>,
    /// The built system.
    pub(crate) closure: Option<Closure>,
    /// The keep-list that `prepare` would write.
    pub keep: Vec<RelPath>,
    /// What was found, in the order in which it was examined.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether something has to be fixed first.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.count(Level::Blocker) > 0
    }

    /// How many findings have that level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|f| f.level == level).count()
    }

    /// The finding with that id, the first of the worst if there are several.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().rev().filter(|f| f.id == id).max_by_key(|f| f.level)
    }

    /// For a person, in 80 columns.
    #[must_use]
    pub fn to_text(&self, colour: Colour) -> String {
        show::text(self, colour)
    }

    /// As JSON.
    #[must_use]
    pub(crate) fn to_json(&self) -> String {
        json::text(self)
    }
}

/// Whether words are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// On a terminal.
    Ansi,
    /// Elsewhere, and with `NO_COLOR`.
    None,
}

/// What more than one group of checks judges.
struct Machine<'a> {
    sources: &'a Sources,
    system: &'a Path,
    files: Files,
    closure: Option<Closure>,
    /// What the configuration says of itself.
    facts: Option<Facts>,
    /// What it mounts, if that is known.
    fstab: Option<Vec<FstabEntry>>,
    mounts: Option<Mounts>,
    boot: Option<Boot>,
    keep: Vec<RelPath>,
    /// Where that really is.
    kept: Vec<PathBuf>,
    frees: &'a [(PathBuf, u64)],
}

impl Machine<'_> {
    fn loader(&self) -> Option<&BootLoader> {
        self.facts.as_ref()?.boot_loader.as_ref()
    }

    /// What the configuration mounts at a place.
    fn mounts_at(&self, point: impl AsRef<Path>) -> Option<&FstabEntry> {
        self.fstab.iter().flatten().rev().find(|entry| entry.point == point.as_ref())
    }

    /// Whether the marker will list a path, or a directory that holds it.
    fn keeps(&self, path: &str) -> bool {
        let path = RelPath::parse(path.as_bytes());
        path.is_ok_and(|path| self.keep.iter().any(|k| *k == path || k.covers(&path)))
    }
}

/// Examines the machine.
///
/// # Errors
/// [`Error::Refused`] when there is no such root. Whatever else cannot be read
/// is a finding.
pub fn examine(options: &Examine) -> Result<Report, Error> {
    let sources = &options.sources;
    let files = sources.files();
    let root = crate::machine::files::show(&sources.root);
    if !sources.root.is_dir() {
        let found = format!("{root} is missing, or is no directory");
        let fix = "Mount the root there, or give another --root";
        return Err(Refusal::new(found, "There is no root to examine", fix).into());
    }
    let mut findings = Vec::new();
    let distribution = unless(distribution(&files), "distribution", &mut findings).flatten();
    let mounts = unless(Mounts::read(sources), "mounts", &mut findings);
    let boot = mounts.as_ref().map(|mounts| Boot::read(sources, mounts));
    let boot = boot.and_then(|boot| unless(boot, "boot", &mut findings));
    let mut keep = Vec::new();
    if options.default_keep == DefaultKeep::Yes {
        let (seen, unread) = identity::look(&files);
        keep = seen;
        findings.extend(unread.iter().map(|error| Finding::unread("keepers", error)));
    }
    keep.extend(options.keep.iter().filter(|k| !keep.contains(k)).cloned().collect::<Vec<_>>());
    let system = &options.system;
    let closure = closure::find(&files, system, &mut findings);
    let spec = closure.as_ref().and_then(Closure::spec);
    let kept = unless(bootspec::kept(&files, spec), "keepers", &mut findings).unwrap_or_default();
    keep.extend(kept.into_iter().filter(|k| !keep.contains(k)).collect::<Vec<_>>());
    let facts = closure.as_ref().and_then(|c| configuration::read(c, &mut findings));
    let fstab = facts.as_ref().and_then(Facts::fstab);
    let kept = unless(then::kept(&files, &keep), "keepers", &mut findings).unwrap_or_default();
    let frees = &options.frees;
    let machine =
        Machine { sources, system, files, closure, facts, fstab, mounts, boot, keep, kept, frees };
    for group in [
        closure::examine,
        initrd::examine,
        fstab::examine,
        storage::examine,
        separate::examine,
        boot::examine,
        room::examine,
        features::examine,
        login::examine,
        host_keys::examine,
        network::examine,
        nix::examine,
        surroundings::examine,
        root::examine,
        plan::examine,
    ] {
        group(&machine, &mut findings);
    }
    let Machine { closure, keep, .. } = machine;
    Ok(Report { root, distribution, closure, keep, findings })
}

/// The value, or a finding that says why there is none.
fn unless<T>(read: Result<T, OpError>, id: &'static str, findings: &mut Vec<Finding>) -> Option<T> {
    read.map_err(|error| findings.push(Finding::unread(id, &error))).ok()
}

fn distribution(files: &Files) -> Result<Option<String>, OpError> {
    let text = files.read("/etc/os-release")?;
    let text = if text.is_some() { text } else { files.read("/usr/lib/os-release")? };
    Ok(text.map(|text| crate::engine::osrelease::parse(&text).name))
}

/// `check`, as the program runs it.
///
/// # Errors
/// [`Error::Blocked`] when something has to be fixed first; why the root could
/// not be examined, or the report not be printed.
pub(crate) fn command(options: &Examine, form: Form) -> Result<(), Error> {
    let report = examine(options)?;
    print(&match form {
        Form::Text => report.to_text(colour()),
        Form::Json => report.to_json(),
    })?;
    if report.blocks() { Err(Error::Blocked) } else { Ok(()) }
}
