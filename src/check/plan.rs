//! What would move, by the engine's own judgement: its refusals are blockers.

use std::ffi::OsStr;

use super::finding::AS_ROOT;
use super::{Finding, Level, Machine};
use crate::engine::environment::{View, environment};
use crate::engine::facts::Wishes;
use crate::engine::intent::Direction;
use crate::engine::plan::Plan;
use crate::engine::root::bare;
use crate::engine::run;
use crate::error::{Error, OpError, Refusal};
use crate::fs::disk::{Dir, Disk};
use crate::machine::files::show;

const ID: &str = "plan";

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let root = &machine.sources.root;
    let (dir, view) = match open(root.as_os_str()) {
        Ok(opened) => opened,
        Err(error) => {
            let fix = match error.errno() {
                nix::errno::Errno::EPERM => AS_ROOT,
                _ => "From a rescue system: nixos-lustrate check --root DIR",
            };
            let why = format!("what is below the mounts cannot be seen ({error})");
            findings.push(Finding::unchecked(ID, why, fix));
            return;
        }
    };
    match judge(machine, &dir, view) {
        Ok(plan) => findings.extend(summary(&plan)),
        Err(Error::Refused(refusals)) => {
            let finding = |refusal: Refusal| {
                if refusal.errno == Some(nix::errno::Errno::EACCES) {
                    return Finding::unchecked(ID, refusal.found.clone(), AS_ROOT);
                }
                Finding::bad(ID, Level::Blocker, refusal)
            };
            findings.extend(refusals.into_iter().map(finding));
        }
        Err(error) => {
            findings.push(Finding::unchecked(ID, error.to_string(), "See: nixos-lustrate plan"));
        }
    }
}

fn open(root: &OsStr) -> Result<(Dir, View), OpError> {
    let dir = Disk::open_root(root)?;
    Ok(bare(&dir)?.map_or((dir, View::Mounted), |bare| (bare, View::Bare)))
}

fn judge(machine: &Machine<'_>, dir: &Dir, view: View) -> Result<Plan, Error> {
    let shown = show(&machine.sources.root);
    let environment = environment(dir, &shown, view, None)?;
    // Without a marker, and with the keep-list that prepare would write.
    let wishes = Wishes { keep: machine.keep.clone(), always: true, complete: false };
    run::judge(&Disk::default(), dir, environment, &wishes, Direction::Lustrate)
}

fn summary(plan: &Plan) -> Vec<Finding> {
    let kept: Vec<String> = plan.kept.iter().map(|kept| kept.real.to_string()).collect();
    let moves: Vec<String> = plan.intent.old.iter().map(ToString::to_string).collect();
    let kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") };
    let mut findings =
        vec![Finding::ok(ID, format!("to /old-root move: {}; kept: {kept}", moves.join(", ")))];
    if plan.resumes || plan.takes_over {
        findings.push(Finding::warning(
            ID,
            "a lustration of this root is in progress",
            "The next boot goes on with it",
            "To go back instead, from a rescue system: nixos-lustrate revert --root DIR",
        ));
    }
    let flagged = plan.intent.flags.iter().filter(|flagged| flagged.flags != 0);
    let flagged = flagged.map(|f| f.path.as_ref().map_or("/".to_owned(), ToString::to_string));
    let flagged: Vec<String> = flagged.collect();
    if !flagged.is_empty() {
        let found = format!(
            "{} are immutable or append-only: the flag is cleared for the move and set again",
            flagged.join(", ")
        );
        findings.push(Finding::ok("immutable", found));
    }
    for warning in &plan.warnings {
        let fix = "See the whole plan: nixos-lustrate plan";
        findings.push(Finding::warning(
            ID,
            warning.clone(),
            "The lustration goes on with that",
            fix,
        ));
    }
    findings
}
