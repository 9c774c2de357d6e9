//! One odd tree: how to build it and what a run must make of it.

use std::path::Path;

use super::root::{Built, Root};
use super::typical::{self, KEEP, KEEPERS};
use crate::common::compare::{Excuse, assert_none, show};
use crate::common::image::{Fs, Image, Mounted, Options};
use crate::common::manifest::{Kind, Manifest};
use crate::common::population::{
    Lustrated, assert_lustrated, assert_nothing_lost, assert_protected, rejoined,
};
use crate::common::skip::Skipped;
use crate::common::text::says;

/// One row of the table. Begin with [`Case::TYPICAL`].
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    pub on: &'static [Fs],
    pub options: fn(Fs) -> Options,
    /// The content of the marker.
    pub keep: &'static [u8],
    pub base: fn(&Root<'_>, &[u8]),
    pub build: fn(&Root<'_>) -> Built,
    /// What makes the tree hard to change: flags, mounts, a full disk. Done
    /// last, after the times have been set.
    pub seal: fn(&Root<'_>) -> Built,
    pub expect: Expect,
}

/// What a run must do.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// Exit 0.
    Lustrates(Outcome),
    /// Exit 3, nothing touched, and stderr has each of the texts.
    Refuses(&'static [&'static str]),
    /// Either of the two above; it is not settled which.
    Safe(Outcome),
    /// Exit 0 without a change.
    NothingToDo,
}

/// The state after the run. Begin with [`Outcome::TYPICAL`] or
/// [`Outcome::NOTHING_KEPT`].
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Real paths.
    pub keepers: &'static [&'static [u8]],
    /// Links on the way to keepers, made anew.
    pub links: &'static [&'static [u8]],
    /// Protected besides `nix` and `boot`.
    pub protected: &'static [&'static [u8]],
    /// Entries left in place.
    pub left: &'static [&'static [u8]],
    /// Each is in one of the warnings.
    pub warnings: &'static [&'static str],
    pub check: Check,
    pub old_root: OldRoot,
    pub start: Start,
}

/// How much of the outcome is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// All of it.
    Exact,
    /// I1 and I2 only.
    NothingLost,
}

/// Whether an older old root gets a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldRoot {
    None,
    /// `old-root` becomes `old-root-<time>`.
    Dated,
}

/// Where the run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Whole,
    /// A stock lustration has moved a part to `old-root.tmp`.
    Interrupted,
}

impl Outcome {
    pub const NOTHING_KEPT: Self = Self {
        keepers: &[],
        links: &[],
        protected: &[],
        left: &[],
        warnings: &[],
        check: Check::Exact,
        old_root: OldRoot::None,
        start: Start::Whole,
    };
    pub const TYPICAL: Self = Self { keepers: KEEPERS, ..Self::NOTHING_KEPT };

    /// The old population, with what an interrupted run has moved in its place.
    pub fn population(&self, before: &Manifest) -> Manifest {
        let mut population = match self.start {
            Start::Whole => before.clone(),
            Start::Interrupted => rejoined(before, b"old-root.tmp"),
        };
        // Old roots that are open are closed to users.
        let holds = |path: &[u8]| {
            let plain = [&b"old-root"[..], b"old-root.tmp"].contains(&path);
            plain || (path.starts_with(b"old-root-2") && !path.contains(&b'/'))
        };
        let nodes = population.nodes.iter_mut().filter(|(path, _)| holds(path));
        nodes.filter(|(_, n)| n.kind == Kind::Directory).for_each(|(_, n)| n.mode = 0o700);
        population
    }

    /// Panics unless `after` is what a finished run leaves.
    #[track_caller]
    pub fn assert(&self, before: &Manifest, after: &Manifest) {
        let before = &self.population(before);
        let protected = [&[&b"nix"[..], b"boot"], self.protected].concat();
        assert_protected(before, after, &protected);
        if self.check == Check::NothingLost {
            let excuse = Excuse::none().touched(b"").touched(b"etc").parents_of(self.keepers);
            return assert_nothing_lost(before, after, &excuse);
        }
        let dated = self.dated(before, after);
        let renamed = dated.as_ref().map(|to| (&b"old-root"[..], to.as_slice()));
        let plan = Lustrated {
            keepers: self.keepers,
            links: self.links,
            protected: &protected,
            left: self.left,
            renamed: renamed.as_slice(),
            ..Lustrated::default()
        };
        assert_lustrated(before, after, &plan);
    }

    /// The name that the older old root has now.
    fn dated(&self, before: &Manifest, after: &Manifest) -> Option<Vec<u8>> {
        let id = before.get(b"old-root").filter(|_| self.old_root == OldRoot::Dated)?.id;
        let mut names = after.children(b"").into_iter();
        let is_it =
            |n: &&[u8]| n.starts_with(b"old-root-") && after.get(n).is_some_and(|o| o.id == id);
        Some(names.find(is_it).expect("the older old root, with a date").to_vec())
    }

    /// Panics unless each warning that is due is in `text`.
    #[track_caller]
    pub fn assert_warnings(&self, text: &str) {
        let missing = self.warnings.iter().filter(|w| !says(text, w));
        let missing = missing.map(|w| show(w.as_bytes())).collect::<Vec<_>>();
        assert_none(&format!("warnings are missing in\n{text}\n"), &missing);
    }
}

#[allow(clippy::unnecessary_wraps)] // the type of `build` and `seal`
fn nothing(_: &Root<'_>) -> Built {
    Ok(())
}

impl Case {
    pub const TYPICAL: Self = Self {
        name: "typical",
        on: &Fs::ALL,
        options: Options::new,
        keep: KEEP,
        base: typical::typical,
        build: nothing,
        seal: nothing,
        expect: Expect::Lustrates(Outcome::TYPICAL),
    };

    /// The outcome, if the run may go through.
    pub const fn outcome(&self) -> Option<&Outcome> {
        match &self.expect {
            Expect::Lustrates(outcome) | Expect::Safe(outcome) => Some(outcome),
            Expect::Refuses(_) | Expect::NothingToDo => None,
        }
    }

    /// Builds the tree in an empty root.
    pub fn build_in(&self, path: &Path, fs: Fs) -> Built {
        let root = Root { path, fs };
        (self.base)(&root, self.keep);
        (self.build)(&root)?;
        root.age();
        (self.seal)(&root)
    }

    /// A new file system with the tree on it.
    pub fn make(&self, fs: Fs) -> Result<(Image, Mounted), Skipped> {
        let image = Image::with(&(self.options)(fs))?;
        let mounted = image.mount()?;
        self.build_in(mounted.path(), fs)?;
        Ok((image, mounted))
    }
}
