//! A purge as text for a console of 80 columns, and as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::facts::{Candidate, Found, Sort};
use super::judge::Verdict;
use crate::engine::json::{self, RefusalDocument};
use crate::engine::names::OLD_ROOT;
use crate::error::Refusal;
use crate::term::text;

/// There is nothing to do.
pub(super) fn nothing(facts: &Found, plan: &Verdict) -> String {
    let root = &facts.environment.root;
    match plan.keep.len() {
        0 => format!("{root}: there is nothing to purge"),
        stay => {
            let stay = text::count(stay, "old root stays", "old roots stay");
            format!("{root}: there is nothing to purge; {stay}")
        }
    }
}

/// The plan, for a person.
pub(super) fn plan(facts: &Found, plan: &Verdict) -> String {
    let mut shown = String::new();
    let root = &facts.environment.root;
    let _ = match plan.remove.len() {
        _ if plan.is_empty() => writeln!(shown, "{}.", nothing(facts, plan)),
        0 => writeln!(shown, "{root}: no old root is left, but what prepare had saved."),
        number => {
            let number = text::count(number, "old root", "old roots");
            writeln!(shown, "{root}: {number} to remove. This cannot be undone.")
        }
    };
    let goes = |c: &Candidate| text::line(&format!("/{}", c.path), &what(c));
    let stays = |(c, why): &(Candidate, String)| {
        text::line(&format!("/{}", c.path), &format!("{}: {why}", what(c)))
    };
    let saved = plan.saved.iter();
    let saved = saved.map(|path| text::line(&format!("/{path}"), "what prepare had saved"));
    let gone = plan.remove.iter().map(goes).chain(saved);
    text::section(&mut shown, "Goes", &gone.collect::<Vec<_>>());
    text::section(&mut shown, "Stays", &plan.keep.iter().map(stays).collect::<Vec<_>>());
    if let Some(last) =
        plan.remove.iter().find(|c| c.path.is_entry() && *c.path.entry() == OLD_ROOT)
    {
        let system = last.system.as_deref().unwrap_or("the system in it");
        shown.push('\n');
        let way =
            format!("With /{OLD_ROOT} goes the way back: no revert can bring {system} again.");
        text::fold(&mut shown, "  ", &way, 4);
    }
    shown
}

fn what(candidate: &Candidate) -> String {
    let entries = text::count(usize::try_from(candidate.entries).unwrap_or(0), "entry", "entries");
    let system = candidate.system.as_deref().unwrap_or("no known system");
    match candidate.sort {
        Sort::Leftover => "what an interrupted purge left".to_owned(),
        Sort::OldRoot => format!("{system}, {entries}, since {}", candidate.since()),
        Sort::NixosRoot => {
            format!("{system}, set aside by a revert, {entries}, since {}", candidate.since())
        }
    }
}

#[derive(Serialize)]
struct PurgeDocument<'a> {
    root: &'a str,
    refusals: Vec<RefusalDocument<'a>>,
    remove: Vec<CandidateDocument<'a>>,
    stay: Vec<CandidateDocument<'a>>,
    saved: Option<String>,
    removed: Option<usize>,
}

#[derive(Serialize)]
struct CandidateDocument<'a> {
    name: String,
    system: Option<&'a str>,
    entries: u64,
    since: u64,
    leftover: bool,
    why: Option<&'a str>,
}

impl<'a> CandidateDocument<'a> {
    fn new(candidate: &'a Candidate, why: Option<&'a str>) -> Self {
        Self {
            name: candidate.path.to_string(),
            system: candidate.system.as_deref(),
            entries: candidate.entries,
            since: candidate.since().0,
            leftover: candidate.sort == Sort::Leftover,
            why,
        }
    }
}

/// The plan as JSON; once it was carried out, with the number of entries that
/// were removed.
pub(super) fn json(facts: &Found, plan: &Verdict, removed: Option<usize>) -> String {
    let stay = plan.keep.iter().map(|(c, why)| CandidateDocument::new(c, Some(why.as_str())));
    json::text(&PurgeDocument {
        root: &facts.environment.root,
        refusals: Vec::new(),
        remove: plan.remove.iter().map(|c| CandidateDocument::new(c, None)).collect(),
        stay: stay.collect(),
        saved: plan.saved.as_ref().map(|path| format!("/{path}")),
        removed,
    })
}

/// The reasons to refuse, as JSON.
pub(super) fn json_refused(root: &str, refusals: &[Refusal]) -> String {
    let refusals = refusals.iter().map(crate::engine::json::refusal).collect();
    json::text(&PurgeDocument {
        root,
        refusals,
        remove: Vec::new(),
        stay: Vec::new(),
        saved: None,
        removed: None,
    })
}
