//! Plans and states as JSON. Names are shown as in messages: a backslash is
//! `\\`, and control characters and broken UTF-8 are `\xHH`, so that every name
//! can be told from every other.

use serde::Serialize;

use crate::engine::intent::{Direction, Intent};
use crate::engine::plan::Plan;
use crate::engine::state::{State, Status};
use crate::error::{Reason, Refusal};
use crate::fs::name::RelPath;

#[derive(Serialize)]
struct PlanDocument<'a> {
    root: &'a str,
    run: &'static str,
    refusals: Vec<RefusalDocument<'a>>,
    moves: Vec<String>,
    kept: Vec<KeptDocument>,
    links: Vec<String>,
    left: Vec<LeftDocument>,
    old_root_becomes: Option<String>,
    warnings: &'a [String],
}

#[derive(Serialize)]
pub(crate) struct RefusalDocument<'a> {
    found: &'a str,
    consequence: &'a str,
    fix: &'a str,
}

#[derive(Serialize)]
struct KeptDocument {
    asked: String,
    path: String,
    how: &'static str,
}

#[derive(Serialize)]
struct LeftDocument {
    entry: String,
    why: &'static str,
}

/// What `run` would do, in a word; the plan, or the reasons to refuse; as JSON.
#[must_use]
pub(crate) fn plan(
    run: &'static str,
    plan: Option<&Plan>,
    refusals: &[Refusal],
    root: &str,
) -> String {
    let names = |names: &[crate::fs::name::Name]| names.iter().map(ToString::to_string).collect();
    let refusals = refusals.iter().map(refusal).collect();
    let document = match plan {
        Some(plan) => PlanDocument {
            root,
            run,
            refusals,
            moves: names(&plan.intent.old),
            kept: kept(plan),
            links: plan.intent.links.iter().map(ToString::to_string).collect(),
            left: left(&plan.intent),
            old_root_becomes: plan.intent.rotated.as_ref().map(ToString::to_string),
            warnings: &plan.warnings,
        },
        None => PlanDocument {
            root,
            run,
            refusals,
            moves: Vec::new(),
            kept: Vec::new(),
            links: Vec::new(),
            left: Vec::new(),
            old_root_becomes: None,
            warnings: &[],
        },
    };
    text(&document)
}

pub(crate) fn refusal(refusal: &Refusal) -> RefusalDocument<'_> {
    let Reason { found, consequence, fix, .. } = &**refusal;
    RefusalDocument { found, consequence, fix }
}

fn kept(plan: &Plan) -> Vec<KeptDocument> {
    let kept = plan.kept.iter();
    kept.map(|k| KeptDocument {
        asked: k.asked.to_string(),
        path: k.real.to_string(),
        how: k.how.word(),
    })
    .collect()
}

fn left(intent: &Intent) -> Vec<LeftDocument> {
    let pinned = intent.pinned.iter();
    pinned.map(|(name, pin)| LeftDocument { entry: name.to_string(), why: pin.word() }).collect()
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    root: &'a str,
    state: &'static str,
    direction: Option<&'static str>,
    system: Option<&'a str>,
    moved: Option<usize>,
    moving: Option<usize>,
    roots: Vec<RootDocument<'a>>,
    keepers: Vec<String>,
    missing: Vec<String>,
    warnings: &'a [String],
    trouble: Option<&'a str>,
}

#[derive(Serialize)]
struct RootDocument<'a> {
    name: String,
    system: Option<&'a str>,
    entries: usize,
    finished: Option<u64>,
}

/// A state as JSON.
#[must_use]
pub(crate) fn status(status: &Status) -> String {
    let intent = status.intent.as_ref();
    let direction = match status.state {
        State::InProgress(Direction::Lustrate) => Some("lustrate"),
        State::InProgress(Direction::Revert) => Some("revert"),
        _ => None,
    };
    let shown = |paths: &[RelPath]| paths.iter().map(ToString::to_string).collect();
    let missing = status.missing.as_ref().map(|missing| missing.paths.as_slice());
    text(&StatusDocument {
        root: &status.root,
        state: status.state.word(),
        direction,
        system: status.system.as_deref(),
        moved: status.progress.map(|(moved, _)| moved),
        moving: status.progress.map(|(_, all)| all),
        roots: status
            .holders
            .iter()
            .map(|holder| RootDocument {
                name: holder.name.to_string(),
                system: holder.system.as_deref(),
                entries: holder.entries,
                finished: holder.finished.map(|t| t.0),
            })
            .collect(),
        keepers: shown(&intent.map(Intent::kept).unwrap_or_default()),
        missing: shown(missing.unwrap_or_default()),
        warnings: intent.map(|i| i.warnings.as_slice()).unwrap_or_default(),
        trouble: status.trouble.as_deref(),
    })
}

pub(crate) fn text(document: &impl Serialize) -> String {
    // Strings, numbers and lists always serialize.
    serde_json::to_string_pretty(document).map_or_else(|e| e.to_string(), |text| text + "\n")
}
