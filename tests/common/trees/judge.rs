//! Whether a run did what its case says: exit status, texts, and the tree.

use super::case::{Case, Check, Expect, Outcome};
use crate::common::command::Ended;
use crate::common::compare::Excuse;
use crate::common::manifest::{Manifest, join};
use crate::common::population::{
    MARKER, assert_nothing_lost, assert_same_population, assert_untouched,
};

impl Case {
    /// Panics unless the run ended, and left the root, as it must.
    #[track_caller]
    pub fn judge(&self, ended: &Ended, before: &Manifest, after: &Manifest) {
        match &self.expect {
            Expect::Lustrates(outcome) => {
                ended.clone().expect(0);
                outcome.assert(before, after);
                outcome.assert_warnings(&ended.err());
            }
            Expect::Refuses(texts) => {
                ended.clone().expect(3).says(texts);
                assert_untouched(before, after);
            }
            Expect::NothingToDo => {
                ended.clone().expect(0);
                assert_untouched(before, after);
            }
            Expect::Safe(outcome) => match ended.code {
                0 => outcome.assert(before, after),
                3 => assert_untouched(before, after),
                code => panic!("exit status {code}:\n{}", ended.err()),
            },
        }
    }

    /// Panics unless a revert, after a run that ended with 0, has given the
    /// old population back. An older old root has its name again, too.
    #[track_caller]
    pub fn judge_revert(&self, ended: &Ended, before: &Manifest, reverted: &Manifest) {
        ended.clone().expect(0);
        let Some(outcome) = self.outcome() else { return assert_untouched(before, reverted) };
        if outcome.check == Check::NothingLost {
            let mut before = before.clone();
            before.nodes.remove(&b"old-root.tmp"[..]);
            return assert_nothing_lost(&before, reverted, &outcome.half_done());
        }
        let population = outcome.population(before);
        assert_same_population(&population, reverted, &outcome.moved_paths());
    }
}

impl Outcome {
    /// What may differ while a run is in progress.
    pub fn half_done(&self) -> Excuse {
        let moved = self.moved_paths();
        let excuse = Excuse::none().touched(b"").touched(b"etc").cleared_flags();
        let staged: Vec<_> = moved.iter().map(|path| join(b"old-root.tmp", path)).collect();
        let staged: Vec<_> = staged.iter().map(Vec::as_slice).collect();
        excuse.parents_of(&moved).parents_of(&staged)
    }

    /// What leaves a directory other than the root.
    pub fn moved_paths(&self) -> Vec<&'static [u8]> {
        [self.keepers, self.links, &[MARKER]].concat()
    }
}
