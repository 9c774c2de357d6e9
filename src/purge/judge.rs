//! The judgement of `purge`: what goes and what stays, or the reasons to refuse.
//! Pure.

use std::cmp::Reverse;

use super::facts::{Candidate, Choice, Found, Sort};
use super::survey::sort;
use crate::engine::names::OLD_ROOT;
use crate::engine::time::Timestamp;
use crate::error::Refusal;
use crate::fs::name::{Name, RelPath, Shown};
use crate::fs::sys::Kind;

mod refuse;

/// What is going to happen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// What is removed, in this order.
    pub remove: Vec<Candidate>,
    /// What stays, the newest first, and why.
    pub keep: Vec<(Candidate, String)>,
    /// What `prepare` has saved goes with the last old root.
    pub saved: Option<RelPath>,
}

impl Verdict {
    /// Whether nothing goes.
    pub(crate) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.saved.is_none()
    }
}

/// Nobody lustrated before 2016: a time before that is of a wrong clock.
const FIRST: Timestamp = Timestamp(1_451_606_400);

/// Judges the facts.
///
/// # Errors
/// All reasons to refuse.
pub(crate) fn judge(facts: &Found, wishes: &Choice) -> Result<Verdict, Vec<Refusal>> {
    if let Some(refusal) = refuse::in_progress(facts) {
        return Err(vec![refusal]);
    }
    let mut refusals = Vec::new();
    let mut plan = Verdict::default();
    // What was left half-removed is of no use to anybody.
    let leftovers = of_sort(facts, Sort::Leftover).filter(|c| c.kind == Kind::Dir);
    plan.remove.extend(leftovers.cloned());
    if wishes.names.is_empty() {
        choose(facts, wishes, &mut plan);
        refusals.extend(of_sort(facts, Sort::OldRoot).filter_map(|c| refuse::kind(facts, c)));
    } else {
        for name in &wishes.names {
            match named(facts, name) {
                Ok(Some(candidate)) if plan.remove.contains(candidate) => {}
                Ok(Some(candidate)) => plan.remove.push(candidate.clone()),
                // An interrupted purge has given it another name.
                Ok(None) if !plan.remove.is_empty() => {}
                Ok(None) => refusals.push(refuse::missing(facts, name)),
                Err(refusal) => refusals.push(refusal),
            }
        }
    }
    // One that goes takes with it what has moved into it.
    let whole = plan.remove.clone();
    plan.remove.retain(|c| c.path.is_entry() || !whole.iter().any(|w| holds(w, c)));
    // Also when the last was removed by hand, or that purge was cut.
    if of_sort(facts, Sort::OldRoot).all(|c| plan.remove.contains(c)) {
        plan.saved.clone_from(&facts.saved);
    }
    if !plan.is_empty() {
        refusals.extend(refuse::what_goes(facts, &plan.remove));
    }
    if refusals.is_empty() { Ok(plan) } else { Err(refusals) }
}

fn of_sort(facts: &Found, sort: Sort) -> impl Iterator<Item = &Candidate> {
    facts.candidates.iter().filter(move |c| c.sort == sort)
}

fn holds(outer: &Candidate, inner: &Candidate) -> bool {
    outer.path != inner.path && outer.path.covers(&inner.path)
}

/// Without names: the old roots, but for the newest and the young ones.
fn choose(facts: &Found, wishes: &Choice, plan: &mut Verdict) {
    let dirs = of_sort(facts, Sort::OldRoot).filter(|c| c.kind == Kind::Dir);
    // Of a name that anybody may have given.
    let (mut roots, unproven): (Vec<&Candidate>, Vec<_>) =
        dirs.partition(|c| c.ours || c.mounted || c.system.is_some());
    for root in unproven {
        let why = "nothing in it shows an old system; name it to remove it".to_owned();
        plan.keep.push((root.clone(), why));
    }
    // The one without a date is the newest, whatever the clock said. Of the same
    // second are those with a counter, `-2` before `-10`.
    roots.sort_by_key(|c| {
        let name = c.path.entry();
        Reverse((*name == OLD_ROOT, c.since(), name.as_bytes().len(), name))
    });
    for (at, root) in roots.into_iter().enumerate() {
        match stays(facts, wishes, root, at) {
            Some(why) => plan.keep.push((root.clone(), why)),
            None => plan.remove.push(root.clone()),
        }
    }
    // The oldest first: an interruption leaves the newest.
    let leftovers = plan.remove.iter().take_while(|c| c.sort == Sort::Leftover).count();
    plan.remove[leftovers..].reverse();
}

fn stays(facts: &Found, wishes: &Choice, root: &Candidate, at: usize) -> Option<String> {
    if at < wishes.keep {
        return Some(match wishes.keep {
            1 => "the newest".to_owned(),
            keep => format!("one of the newest {keep}"),
        });
    }
    if let Some(age) = &wishes.older_than {
        if root.since() < FIRST {
            return Some("its time cannot be right; name it to remove it".to_owned());
        }
        if facts.now.0.saturating_sub(root.since().0) <= age.seconds {
            return Some(format!("not older than {age}"));
        }
    }
    root.flagged.then(|| {
        let path = facts.show(&root.path);
        format!("immutable or append-only; to let it go: chattr -ia {}", refuse::word(&path))
    })
}

/// The candidate that a name on the command line means, if there is one.
fn named<'a>(facts: &'a Found, name: &[u8]) -> Result<Option<&'a Candidate>, Refusal> {
    let trimmed = name.strip_prefix(b"/").unwrap_or(name);
    let trimmed = trimmed.strip_suffix(b"/").unwrap_or(trimmed);
    let known = Name::new(trimmed).ok().filter(|name| sort(name).is_some());
    let Some(known) = known else { return Err(refuse::no_old_root(&Shown(name).to_string())) };
    let mut all = facts.candidates.iter();
    let found = all.find(|c| c.path.is_entry() && *c.path.entry() == known);
    match found.and_then(|found| refuse::named(facts, found)) {
        Some(refusal) => Err(refusal),
        None => Ok(found),
    }
}
