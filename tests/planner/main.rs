//! The planner against a naive reading of the rules of the keep-list and of
//! what stays, on generated facts.

#![allow(clippy::expect_used)]

use std::collections::BTreeSet;

use nixos_lustrate::engine::facts::{Entry, Environment, Facts, Journal, Keep, Marker};
use nixos_lustrate::engine::intent::{Direction, Pin};
use nixos_lustrate::engine::plan::plan;
use nixos_lustrate::engine::time::Timestamp;
use nixos_lustrate::fs::mounts::Mount;
use nixos_lustrate::fs::name::{Name, RelPath};
use nixos_lustrate::fs::sys::{Kind, Stat};
use nixos_lustrate::fs::walk::Found;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

const NAMES: [&str; 9] =
    ["home", "root", "usr", "var", "srv", ".dot", "old-root-20200101T000000Z", "nixos-root", "b"];

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a name")
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).expect("a path")
}

fn stat(kind: Kind, inode: u64) -> Stat {
    Stat {
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        inode,
        device: (8, 1),
        mount: std::num::NonZero::new(1),
        flags: 0,
        accessed: (0, 0),
        modified: (0, 0),
    }
}

/// What a generated entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Dir,
    File,
    /// Another file system is mounted there.
    Mount,
    /// A read-only subvolume.
    ReadOnly,
    /// A directory with a `.lustrate` in it.
    Ours,
}

#[derive(Debug, Clone)]
struct Case {
    entries: Vec<(&'static str, Sort)>,
    keeps: Vec<String>,
    missing: Vec<String>,
}

fn case() -> impl Strategy<Value = Case> {
    let sorts =
        [Sort::Dir, Sort::Dir, Sort::Dir, Sort::File, Sort::Mount, Sort::ReadOnly, Sort::Ours];
    let entries =
        btree_map(prop::sample::select(&NAMES[..]), prop::sample::select(sorts.to_vec()), 0..9);
    let keep = (prop::sample::select(&NAMES[..]), vec(prop::sample::select(vec!["x", "y"]), 0..3));
    (entries, vec(keep, 0..8), vec(prop::sample::select(vec!["x", "y"]), 0..2)).prop_map(
        |(entries, keeps, missing)| {
            let is_dir = |entry: &str| entries.get(entry).is_some_and(|s| *s != Sort::File);
            let there = |(entry, rest): &(&str, Vec<&str>)| {
                entries.contains_key(entry) && (rest.is_empty() || is_dir(entry))
            };
            let text = |(entry, rest): &(&str, Vec<&str>)| {
                std::iter::once(*entry).chain(rest.iter().copied()).collect::<Vec<_>>().join("/")
            };
            Case {
                keeps: keeps.iter().filter(|k| there(k)).map(text).collect(),
                entries: entries.into_iter().collect(),
                missing: missing.into_iter().map(|m| format!("gone/{m}")).collect(),
            }
        },
    )
}

fn facts(case: &Case) -> Facts {
    let mut environment = Environment { root: "/mnt".to_owned(), ..Environment::default() };
    let mut entries = Vec::new();
    let fixed = [("nix", Sort::Dir), ("boot", Sort::Dir), ("etc", Sort::Dir)];
    for (inode, (text, sort)) in (10..).zip(fixed.iter().chain(&case.entries)) {
        let kind = if *sort == Sort::File { Kind::File } else { Kind::Dir };
        if *sort == Sort::Mount {
            environment.mounts.push(Mount { point: path(text), fs_type: "ext4".to_owned() });
        }
        entries.push(Entry {
            name: name(text),
            stat: stat(kind, inode),
            read_only: *sort == Sort::ReadOnly,
            ours: *sort == Sort::Ours,
        });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let found = |text: &String, found| Keep { asked: path(text), found, target: None };
    let here = |text: &String| Found::Here {
        real: path(text),
        links: Vec::new(),
        stat: stat(Kind::File, 99),
        parent: stat(Kind::Dir, 98),
    };
    let mut keeps: Vec<Keep> = case.keeps.iter().map(|k| found(k, here(k))).collect();
    keeps.extend(case.missing.iter().map(|k| found(k, Found::Missing)));
    Facts {
        environment,
        always: false,
        root: stat(Kind::Dir, 2),
        root_flags: 0,
        folds_case: false,
        system: true,
        entries,
        staged: None,
        incoming: Vec::new(),
        marker: Marker::Asks,
        staging: nixos_lustrate::engine::facts::Staging::None,
        rests: Vec::new(),
        inodes: nixos_lustrate::engine::facts::Inodes::Lasting,
        marker_flagged: false,
        keeps: Ok(keeps),
        journal: Journal::None,
        finished: false,
        older: None,
        init_found: None,
        keeper_flags: Vec::new(),
        boot_bak: None,
        now: Timestamp(0),
    }
}

/// The rules, read naively: for each entry, does it stay, and why?
fn stays(case: &Case, entry: &str, sort: Sort) -> Option<Pin> {
    let dated = entry.starts_with("old-root-") && sort != Sort::File;
    let ours = entry == "nixos-root" && sort == Sort::Ours;
    if entry == "nix" || entry == "boot" || dated || ours {
        return Some(Pin::Protected);
    }
    if case.keeps.iter().any(|keep| keep == entry) {
        return Some(Pin::Kept);
    }
    match sort {
        Sort::Mount => Some(Pin::Mount),
        Sort::ReadOnly => Some(Pin::ReadOnly),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_plan_is_what_the_rules_say(case in case()) {
        let facts = facts(&case);
        let plan = plan(&facts, Direction::Lustrate).expect("nothing to refuse");
        let all = || [("nix", Sort::Dir), ("boot", Sort::Dir), ("etc", Sort::Dir)]
            .into_iter().chain(case.entries.iter().copied());
        let old: BTreeSet<String> = all()
            .filter(|(entry, sort)| stays(&case, entry, *sort).is_none())
            .map(|(entry, _)| entry.to_owned())
            .collect();
        let pinned: BTreeSet<(String, Pin)> = all()
            .filter_map(|(entry, sort)| Some((entry.to_owned(), stays(&case, entry, sort)?)))
            .collect();
        let moves = |keep: &&String| keep.split('/').next().is_some_and(|entry| old.contains(entry));
        let keepers: BTreeSet<String> = case.keeps.iter().filter(moves)
            .filter(|keep| !case.keeps.iter().any(|other| keep.starts_with(&format!("{other}/"))))
            .cloned()
            .collect();
        prop_assert_eq!(plan.intent.old.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), old);
        prop_assert_eq!(
            plan.intent.pinned.iter().map(|(n, p)| (n.to_string(), *p)).collect::<BTreeSet<_>>(),
            pinned
        );
        prop_assert_eq!(
            plan.intent.keepers.iter().map(ToString::to_string).collect::<BTreeSet<_>>(),
            keepers
        );
        for missing in &case.missing {
            prop_assert!(plan.warnings.iter().any(|w| w.contains(missing)), "no word of {missing}");
        }
    }

    /// Not every kernel has such directories: of a real one `trees` has a case.
    #[test]
    fn a_root_that_folds_case_is_refused(case in case()) {
        let mut facts = facts(&case);
        facts.folds_case = true;
        let refusals = plan(&facts, Direction::Lustrate).expect_err("a refusal");
        let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        prop_assert!(texts.len() == 1 && texts[0].contains("case-insensitive"), "{texts:?}");
    }

    /// A mount point below an entry that would move is refused, and only there.
    #[test]
    fn a_mount_below_an_entry_that_moves_is_refused(case in case(), at in 0..9usize) {
        let mut facts = facts(&case);
        let entry = NAMES[at];
        let Some((_, sort)) = case.entries.iter().find(|(name, _)| *name == entry) else {
            return Ok(());
        };
        if *sort == Sort::File {
            return Ok(());
        }
        let point = path(&format!("{entry}/deep/er"));
        facts.environment.mounts.push(Mount { point, fs_type: "xfs".to_owned() });
        let planned = plan(&facts, Direction::Lustrate);
        if stays(&case, entry, *sort).is_some() {
            prop_assert!(planned.is_ok());
        } else {
            let refusals = planned.expect_err("a refusal");
            let text = refusals.iter().map(ToString::to_string).collect::<String>();
            let mount = format!("/mnt/{entry}/deep/er");
            prop_assert!(text.contains(&mount) && text.contains("umount"), "{text}");
        }
    }
}
