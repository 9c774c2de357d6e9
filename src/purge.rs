//! `purge`: removes old roots, on the system that has taken their place.
//!
//! It can be interrupted at any instant and repeated; it crosses no mount and
//! follows no link. [`survey`] reads, [`judge`] decides, `act` removes.
//!
//! Uses: engine, error, fs, machine, prepare, term.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::engine::environment::{View, in_initrd};
use crate::engine::root::{Root, needs_root};
use crate::error::{Error, Refusal};
use crate::fs::name::Shown;
use crate::fs::remove::Halt;
use crate::term::progress::{Progress, Second};
use crate::term::{ask, print, text};

mod act;
pub(crate) mod age;
pub(crate) mod facts;
pub(crate) mod judge;
mod show;
pub(crate) mod survey;

use facts::{Choice, Found};
use judge::Verdict;

/// What is done with the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// It is only shown (`--dry-run`).
    DryRun,
    /// It is carried out when somebody at the terminal says so.
    Ask,
    /// It is carried out (`--yes`).
    Given,
}

/// The command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purge {
    /// `--root`.
    pub root: Option<OsString>,
    /// What goes and what stays.
    pub wishes: Choice,
    /// Whether it is carried out.
    pub consent: Consent,
    /// `--json`.
    pub json: bool,
}

impl Purge {
    /// Does it.
    ///
    /// # Errors
    /// Why it did not do what it was asked.
    pub(crate) fn carry_out(&self) -> Result<(), Error> {
        let done = self.try_to();
        if self.json
            && let Err(Error::Refused(refusals)) = &done
        {
            let root = self.root.as_deref().unwrap_or("/".as_ref());
            let root = Shown(root.as_bytes()).to_string();
            print(&show::json_refused(&root, refusals))?;
        }
        done
    }

    fn try_to(&self) -> Result<(), Error> {
        may_purge(self.consent)?;
        let root = Root::open(self.root.as_deref())?;
        let dry = self.consent == Consent::DryRun;
        // Held to the end: what was judged stays as it is.
        let _lock = if dry { None } else { Some(root.lock()?) };
        let environment = root.environment(View::Mounted, None)?;
        let facts = survey::survey(&root.disk, &root.dir, environment)?;
        let plan = judge::judge(&facts, &self.wishes).map_err(Error::Refused)?;
        match (dry, self.json) {
            (true, true) => return print(&show::json(&facts, &plan, None)),
            (true, false) => return print(&show::plan(&facts, &plan)),
            (false, _) => {}
        }
        if self.consent == Consent::Ask && !plan.is_empty() {
            ask::somebody("See what would go with --dry-run, then add --yes")?;
            print(&show::plan(&facts, &plan))?;
            ask::confirm("Remove this?", "purge")?;
        }
        let watch = Progress::new();
        let done = removal(&root, &facts, &plan, &watch);
        if self.json && done.is_ok() {
            print(&show::json(&facts, &plan, Some(watch.total())))?;
        }
        done
    }
}

/// What can be judged without a look at the root.
fn may_purge(consent: Consent) -> Result<(), Error> {
    if in_initrd() {
        return Err(Refusal::new(
            "this is an initrd",
            "The boot would have waited until a whole system is removed",
            "Do it when the system has started: nixos-lustrate purge",
        )
        .into());
    }
    if consent == Consent::DryRun {
        return Ok(());
    }
    Ok(needs_root("purge", "Files of other users could not be removed")?)
}

fn removal(root: &Root, facts: &Found, plan: &Verdict, watch: &Progress) -> Result<(), Error> {
    watch.catch(Second::Ends)?;
    let done = act::act(&root.disk, &root.dir, facts, plan, watch);
    if plan.is_empty() {
        log::info!("{}", show::nothing(facts, plan));
    }
    done.map_err(|halt| halted(&halt, root, watch))
}

/// A refusal while nothing has been changed.
fn halted(halt: &Halt, root: &Root, watch: &Progress) -> Error {
    if watch.total() == 0 && !root.disk.touched() {
        return halt.refusal("Nothing could be removed").into();
    }
    let gone = text::count(watch.total(), "entry was", "entries were");
    let again = "To go on, give the same command again".to_owned();
    let fix = halt.fix().map_or(again.clone(), |fix| format!("{fix}\n{again}"));
    let why = Refusal::new(halt.found(), format!("So far, {gone} removed"), fix);
    Error::Halted(format!("stopped part-way: {why}"))
}
