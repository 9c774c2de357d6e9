//! `plan --json` against what a run then did: the record, the tree, the texts.

use std::collections::BTreeSet;
use std::path::Path;

use nixos_lustrate::engine::intent::{self, Intent, Pin};
use serde_json::Value;

use crate::common::command::{self, Ended};
use crate::common::compare::assert_none;
use crate::common::manifest::{Boundary, Manifest};
use crate::common::trees::{Case, Expect};

/// What the plan said before the run.
pub(crate) struct Prediction {
    plan: Value,
    code: i32,
}

impl Prediction {
    pub(crate) fn of(root: &Path) -> Self {
        let ended = command::lustrate(command::arguments("plan", root, &["--json"]));
        let plan = serde_json::from_str(&ended.out()).unwrap_or_else(|error| {
            panic!("plan --json: {error}\n{}\n{}", ended.out(), ended.err());
        });
        Self { plan, code: ended.code }
    }

    fn list(&self, field: &str) -> &[Value] {
        self.plan[field].as_array().expect("a list")
    }

    fn names(&self, field: &str) -> Vec<String> {
        self.list(field).iter().map(text).collect()
    }

    /// Panics unless the run did what the plan said.
    #[track_caller]
    pub(crate) fn judge(
        &self,
        case: &Case,
        root: &Path,
        ran: &Ended,
        before: &Manifest,
        after: &Manifest,
    ) {
        let run = text(&self.plan["run"]);
        match (ran.code, run.as_str()) {
            (0, "nothing") => assert!(matches!(case.expect, Expect::NothingToDo)),
            (3, "refuses") => self.judge_refusal(ran),
            (0, "begins" | "takes over") => {
                assert_eq!(self.code, 0);
                self.judge_record(&record(root), ran);
                self.judge_tree(before, after);
            }
            // What is missing on a full disk shows when it is taken.
            (3, "begins" | "takes over") => {
                assert!(ran.err().contains("would have stopped part-way. Free some space"));
            }
            (code, run) => panic!("plan: {run}; run: {code}\n{}", ran.err()),
        }
    }

    /// The same reasons in the same words.
    #[track_caller]
    fn judge_refusal(&self, ran: &Ended) {
        assert_eq!(self.code, 3);
        let part = |refusal: &Value, part: &str| text(&refusal[part]);
        let lines = self.list("refusals").iter().map(|refusal| {
            let parts = ["found", "consequence", "fix"].map(|p| part(refusal, p));
            format!("refused: {}", parts.join(". "))
        });
        let want = lines.collect::<Vec<_>>().join(".\n") + ". Nothing was touched.\n";
        assert_eq!(ran.err(), want);
    }

    #[track_caller]
    fn judge_record(&self, record: &Intent, ran: &Ended) {
        let shown = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>();
        assert_eq!(self.names("moves"), shown(&mut record.old.iter().map(ToString::to_string)));
        assert_eq!(self.names("links"), shown(&mut record.links.iter().map(ToString::to_string)));
        let left = self.list("left").iter().map(|l| (text(&l["entry"]), text(&l["why"])));
        let pins = record.pinned.iter().map(|(n, pin)| (n.to_string(), pin.word().to_owned()));
        assert_eq!(left.collect::<Vec<_>>(), pins.collect::<Vec<_>>());
        let kept = self.list("kept").iter().map(|k| text(&k["path"])).collect::<BTreeSet<_>>();
        let entries = record.pinned.iter().filter(|(_, pin)| *pin == Pin::Kept);
        let entries = entries.map(|(name, _)| name.to_string());
        let keepers = record.keepers.iter().map(ToString::to_string).chain(entries);
        let missing: Vec<_> = keepers.filter(|k| !kept.contains(k)).collect();
        assert_none("kept, and not in the plan", &missing);
        let becomes = self.plan["old_root_becomes"].as_str().map(str::to_owned);
        assert_eq!(becomes, record.rotated.as_ref().map(ToString::to_string));
        let warnings = self.names("warnings");
        // What was noticed on the way comes after them.
        assert!(record.warnings.starts_with(&warnings), "{:?}", record.warnings);
        let said = ran.err();
        let unsaid = warnings.iter().take(5).filter(|w| !said.contains(&format!("warning: {w}\n")));
        assert_none("predicted, and not said", &unsaid.cloned().collect::<Vec<_>>());
    }

    /// Each entry is where the plan has it, and none is forgotten.
    #[track_caller]
    fn judge_tree(&self, before: &Manifest, after: &Manifest) {
        let mut wrong = Vec::new();
        let moves = self.names("moves").into_iter().collect::<BTreeSet<_>>();
        let left: BTreeSet<_> = self.list("left").iter().map(|l| text(&l["entry"])).collect();
        let takes_over = self.plan["run"] == "takes over";
        let older = self.plan["old_root_becomes"].is_string();
        for name in before.children(b"") {
            let shown = nixos_lustrate::fs::name::Shown(name).to_string();
            if takes_over || shown == "old-root.tmp" || (older && shown == "old-root") {
                continue;
            }
            let at_home = [&b"old-root/"[..], name].concat();
            let place = match (moves.contains(&shown), left.contains(&shown)) {
                (true, false) => at_home,
                (false, true) => name.to_vec(),
                _ => {
                    wrong.push(format!("{shown}: moves and stays, or neither"));
                    continue;
                }
            };
            let same = |then: &crate::common::manifest::Node| {
                let now = after.get(&place);
                now.is_some_and(|n| n.id == then.id || n.boundary == Boundary::Mount)
            };
            if !before.get(name).is_some_and(same) {
                wrong.push(format!("{shown}: not where the plan has it"));
            }
        }
        assert_none("not as planned", &wrong);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}

fn record(root: &Path) -> Intent {
    let text = std::fs::read(root.join("old-root/.lustrate/record")).expect("the record");
    intent::parse(&text).expect("a record that can be read")
}
