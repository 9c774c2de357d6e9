//! `plan` and `status`: what they print, on a terminal or as JSON.
//!
//! Uses: engine, error, term.

use std::ffi::OsStr;

use crate::engine::environment::View;
use crate::engine::facts::{Marker, Wishes};
use crate::engine::intent::Direction;
#[cfg(feature = "full")]
use crate::engine::json;
use crate::engine::plan::Plan;
use crate::engine::report;
use crate::engine::root::Root;
use crate::engine::run;
use crate::engine::state;
use crate::engine::survey::{Look, look};
use crate::error::{Error, Refusal};
use crate::term::{Form, print};

/// What `run` would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Would {
    Nothing,
    /// Only the removal of the in-progress marker is missing.
    Finish(Direction),
    Exchange,
}

impl Would {
    fn of(looked: &Look, wishes: &Wishes) -> Self {
        match (looked.in_progress(), &looked.marker) {
            (false, Marker::InProgress(direction)) => Self::Finish(*direction),
            (false, Marker::None) if !wishes.always => Self::Nothing,
            _ => Self::Exchange,
        }
    }

    /// The word in JSON.
    #[cfg(feature = "full")]
    fn word(self, judged: &Result<Plan, Error>) -> &'static str {
        match (self, judged) {
            (Self::Nothing, _) => "nothing",
            (Self::Finish(_), _) => "last step",
            (Self::Exchange, Err(_)) => "refuses",
            (Self::Exchange, Ok(plan)) if plan.resumes => "goes on",
            (Self::Exchange, Ok(plan)) if plan.takes_over => "takes over",
            (Self::Exchange, Ok(_)) => "begins",
        }
    }
}

/// `plan`: the judgement of `run`, and nothing written.
///
/// # Errors
/// Why the root cannot be judged, or the refusal of `run`.
pub(crate) fn plan(root: Option<&OsStr>, wishes: &Wishes, form: Form) -> Result<(), Error> {
    let mut root = Root::open(root)?;
    let view = root.look_below_mounts()?;
    let looked = look(&root.disk, &root.dir).map_err(Refusal::from)?;
    let would = Would::of(&looked, wishes);
    let environment = root.environment(view, None)?;
    let judged = run::judge(&root.disk, &root.dir, environment, wishes, Direction::Lustrate);
    match form {
        Form::Text => show(would, judged, &root.shown),
        #[cfg(feature = "full")]
        Form::Json => show_json(would, judged, &root.shown),
    }
}

fn show(would: Would, judged: Result<Plan, Error>, shown: &str) -> Result<(), Error> {
    match would {
        Would::Nothing => {
            print(&format!("{shown}: no marker, so run would do nothing. With one:\n"))?;
        }
        Would::Finish(direction) => return print(&report::last_step(direction, shown)),
        Would::Exchange => {}
    }
    print(&report::plan(&judged?, shown))
}

#[cfg(feature = "full")]
fn show_json(would: Would, judged: Result<Plan, Error>, shown: &str) -> Result<(), Error> {
    let word = would.word(&judged);
    print(&match (&judged, would) {
        (_, Would::Finish(_)) => json::plan(word, None, &[], shown),
        (Ok(plan), _) => json::plan(word, Some(plan), &[], shown),
        (Err(Error::Refused(refusals)), _) => json::plan(word, None, refusals, shown),
        (Err(_), _) => String::new(),
    })?;
    if matches!(would, Would::Finish(_)) { Ok(()) } else { judged.map(drop) }
}

/// `status`.
///
/// # Errors
/// Why the root cannot be looked at.
pub(crate) fn status(root: Option<&OsStr>, form: Form) -> Result<(), Error> {
    let root = Root::open(root)?;
    let environment = root.environment(View::Bare, None)?;
    let status = state::status(&root.disk, &root.dir, environment)?;
    print(&match form {
        Form::Text => report::status(&status),
        #[cfg(feature = "full")]
        Form::Json => json::status(&status),
    })
}
