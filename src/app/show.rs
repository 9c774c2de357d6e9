//! `plan` and `status`: what they print, on a terminal or as JSON.

use super::print;
use super::root::Root;
use crate::cmdline::CmdLine;
use crate::commands;
use crate::environment::View;
use crate::error::{Error, Refusal};
use crate::facts::{Marker, Wishes};
use crate::intent::Direction;
use crate::options::Options;
#[cfg(feature = "full")]
use crate::plan::Plan;
use crate::survey::{Look, look};
use crate::{report, status};

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
pub(super) fn plan(options: &Options) -> Result<(), Error> {
    let mut root = Root::open(options)?;
    let view = root.look_below_mounts()?;
    let wishes = Wishes { keep: options.keep.clone(), always: options.always };
    let looked = look(&root.disk, &root.dir).map_err(Refusal::from)?;
    let would = Would::of(&looked, &wishes);
    let environment = root.environment(view, &CmdLine::default())?;
    let judged = commands::judge(&root.disk, &root.dir, environment, &wishes, Direction::Lustrate);
    let shown = &root.shown;
    #[cfg(feature = "full")]
    if options.json {
        let word = would.word(&judged);
        print(&match (&judged, would) {
            (_, Would::Finish(_)) => crate::json::plan(word, None, &[], shown),
            (Ok(plan), _) => crate::json::plan(word, Some(plan), &[], shown),
            (Err(Error::Refused(refusals)), _) => crate::json::plan(word, None, refusals, shown),
            (Err(_), _) => String::new(),
        })?;
        return if matches!(would, Would::Finish(_)) { Ok(()) } else { judged.map(drop) };
    }
    match would {
        Would::Nothing => {
            print(&format!("{shown}: no marker, so run would do nothing. With one:\n"))?;
        }
        Would::Finish(direction) => return print(&report::last_step(direction, shown)),
        Would::Exchange => {}
    }
    print(&report::plan(&judged?, shown))
}

/// `status`.
pub(super) fn status(options: &Options) -> Result<(), Error> {
    let root = Root::open(options)?;
    let environment = root.environment(View::Bare, &CmdLine::default())?;
    let status = status::status(&root.disk, &root.dir, environment)?;
    #[cfg(feature = "full")]
    if options.json {
        return print(&crate::json::status(&status));
    }
    print(&report::status(&status))
}
