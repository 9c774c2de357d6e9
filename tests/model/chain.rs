//! Chains of lustrations and reverts, with what NixOS and its users may do between,
//! against an exact oracle of the reverted tree: a naive revert that moves what it
//! may, without any of the engine's order or notes.
//!
//! `MODEL_CHAINS=N` sets how many. A chain that fails prints its seed;
//! `MODEL_SEED=N` begins with that one.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nixos_lustrate::engine::intent::{self, Intent, Pin};
use nixos_lustrate::engine::run::Outcome;
use nixos_lustrate::error::Error;
use nixos_lustrate::fs::name::Name;
use nixos_lustrate::fs::sys::{APPEND, IMMUTABLE, PROJECT};
use nixos_lustrate::fs::tree::Tree;

use crate::memory::{Content, Memory, ROOT};
use crate::{Command, Random, name, random_root};

fn at(tree: &Memory, path: &[Name]) -> Option<usize> {
    tree.open(&ROOT, path).unwrap()
}

fn entry(tree: &Memory, dir: usize, name: &Name) -> Option<usize> {
    let inode = tree.stat(&dir, name).unwrap()?.inode;
    Some(usize::try_from(inode).unwrap())
}

/// The record of the lustration that a revert would undo.
fn record(tree: &Memory) -> Intent {
    let meta = at(tree, &[name("old-root"), name(".lustrate")]).expect("an old root");
    let text = tree.read(&meta, &name("record"), usize::MAX - 1).unwrap().expect("a record");
    intent::parse(&text).expect("a record that can be read")
}

const TIME: &str = "-T";

/// What the tree must be after a revert, however the engine does it.
fn naive_revert(before: &Memory) -> Memory {
    let tree = before.clone();
    let record = record(&tree);
    let old = at(&tree, &[name("old-root")]).unwrap();
    let nixos = tree.add(ROOT, &name("the-nixos-root"), Content::Dir(BTreeMap::new()));
    tree.change_inode(nixos, |dir| (dir.flags, dir.project) = (0, 0));
    let left = tree.add(nixos, &name("left"), Content::Dir(BTreeMap::new()));
    // Flags are cleared for the moves.
    let cleared = tree.clone();
    for inode in 0..cleared.count() {
        cleared.change_inode(inode, |inode| inode.flags = 0);
    }
    let put = |from: usize, name: &Name, to: usize, new: &Name| {
        let inode = entry(&tree, from, name).unwrap();
        tree.unlink(from, name);
        tree.link(to, new, inode);
    };
    // What a run that was cut before its intent has left goes.
    if let Some(left) = at(&tree, &[name("old-root.tmp")])
        && tree.list(&left).unwrap().iter().all(|n| *n == name(".lustrate"))
    {
        tree.unlink(ROOT, &name("old-root.tmp"));
    }
    // Keepers go back where they can.
    for keeper in &record.keepers {
        let stays = record.pin(keeper.entry()).is_some();
        let from = tree.open(&ROOT, keeper.parents()).unwrap().filter(|_| !stays);
        let to = tree.open(&old, keeper.parents()).unwrap();
        let (Some(from), Some(to)) = (from, to) else { continue };
        let Some(inode) = entry(&tree, from, keeper.last()) else { continue };
        let taken = entry(&tree, to, keeper.last()).is_some();
        if !taken && cleared.hinders(from, to, inode).is_none() {
            put(from, keeper.last(), to, keeper.last());
        }
    }
    // What is NixOS's goes.
    let ours = ["old-root", "old-root.tmp", "nixos-root.tmp", ".lustrate", "the-nixos-root"];
    for entry_name in tree.list(&ROOT).unwrap() {
        let text = entry_name.to_string();
        let rotated = record.rotated.as_ref() == Some(&entry_name);
        let inode = entry(&tree, ROOT, &entry_name).unwrap();
        let ours_too = text.starts_with("nixos-root")
            && at(&tree, &[entry_name.clone(), name(".lustrate")]).is_some();
        let dated = text.starts_with("old-root-") && tree.inode(inode).is_dir();
        if ours.contains(&text.as_str()) || rotated || ours_too || dated {
            continue;
        }
        if record.pin(&entry_name).is_some() || ["nix", "boot"].contains(&text.as_str()) {
            continue;
        }
        let mounted = tree.inode(inode).mounted.then_some(Errno::EBUSY);
        match mounted.or(cleared.hinders(ROOT, nixos, inode)) {
            None => put(ROOT, &entry_name, nixos, &entry_name),
            Some(_) if entry(&tree, old, &entry_name).is_some() => {
                put(ROOT, &entry_name, ROOT, &name(&format!("{text}{TIME}{inode}")));
            }
            Some(_) => {}
        }
    }
    // What is the old system's comes.
    for entry_name in tree.list(&old).unwrap() {
        let inode = entry(&tree, old, &entry_name).unwrap();
        let free = entry(&tree, ROOT, &entry_name).is_none();
        let never = ["nix", "boot", "nixos-root.tmp"].contains(&entry_name.to_string().as_str());
        if entry_name == name(".lustrate") {
            tree.unlink(old, &entry_name);
        } else if free && !never && cleared.hinders(old, ROOT, inode).is_none() {
            put(old, &entry_name, ROOT, &entry_name);
        } else {
            put(old, &entry_name, left, &entry_name);
        }
    }
    tree.unlink(ROOT, &name("old-root"));
    if let Some(rotated) = &record.rotated
        && entry(&tree, ROOT, rotated).is_some()
        && entry(&tree, ROOT, &name("old-root")).is_none()
    {
        put(ROOT, rotated, ROOT, &name("old-root"));
    }
    let (boot, bak) = (name("boot"), name("boot.bak"));
    let moved = record.pin(&bak).is_none() && entry(before, old, &bak).is_some();
    let pair = (entry(&tree, ROOT, &boot), entry(&tree, ROOT, &bak));
    if let (true, (Some(a), Some(b))) = (moved, pair)
        && [a, b].iter().all(|i| tree.inode(*i).is_dir() && tree.inode(*i).volume == 0)
    {
        tree.link(ROOT, &boot, b);
        tree.link(ROOT, &bak, a);
    }
    tree
}

/// Each path with its inode and flags; our own notes aside, and names without times.
fn picture(tree: &Memory, known: usize, meta: usize) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (path, inode) in tree.paths() {
        let names: Vec<String> = path.iter().map(ToString::to_string).collect();
        let mut text = names.join("/");
        let holds = |n: &Name| at(tree, &[n.clone(), name(".lustrate")]);
        let first = path.first().map_or("", |n| if holds(n).is_some() { "ours" } else { "" });
        let is_ours = first == "ours" && names[0].starts_with("nixos-root");
        let newest = is_ours && holds(&path[0]) == Some(meta);
        if newest || names.first().is_some_and(|n| n == "the-nixos-root") {
            text = format!("the-nixos-root/{}", names[1..].join("/"));
        } else if is_ours {
            // Which of them has a date is settled elsewhere.
            text = format!("{}/{}", at(tree, &path[..1]).unwrap(), names[1..].join("/"));
        }
        let text = text.replace("the-nixos-root/.lustrate/left", "the-nixos-root/left");
        // The directory itself may have waited in the old root.
        let home = text == "the-nixos-root/";
        let ours = home || text.contains("/.lustrate") || text == "the-nixos-root/left";
        if ours || text.ends_with("etc/NIXOS_LUSTRATE") {
            continue;
        }
        if inode < known {
            let what = format!("{inode} flags {:x}", tree.inode(inode).flags);
            all.insert(undated(tree, &path, &text), what);
        }
    }
    all
}

/// `bin-20200101T000000Z-1` is `bin-T` and the inode: what the second is called does
/// not matter.
fn undated(tree: &Memory, path: &[Name], text: &str) -> String {
    let (first, rest) = text.split_once('/').unwrap_or((text, ""));
    let base = first.find("-20").filter(|_| !first.starts_with("old-root"));
    let Some(base) = base.and_then(|at| first.get(..at)) else { return text.to_owned() };
    format!("{base}{TIME}{}/{rest}", at(tree, &path[..1]).unwrap()).trim_end_matches('/').to_owned()
}

/// What NixOS, its users and administrators do: to what is kept, to the root, and to
/// the old root.
fn meddle(tree: &Memory, random: &mut Random) {
    let record = record(tree);
    let dir = || Content::Dir(BTreeMap::new());
    for keeper in &record.keepers {
        let Some(parent) = at(tree, keeper.parents()) else { continue };
        let Some(inode) = entry(tree, parent, keeper.last()) else { continue };
        let home = [&[name("old-root")], keeper.parents()].concat();
        let old = at(tree, &home);
        let is_dir = tree.inode(inode).is_dir();
        match random.below(16) {
            0 => tree.unlink(parent, keeper.last()),
            1 => {
                tree.unlink(parent, keeper.last());
                tree.add(parent, keeper.last(), Content::File(b"anew".to_vec()));
            }
            2 if is_dir => {
                tree.make_subvolume(inode);
                tree.change_inode(inode, |i| i.read_only = true);
            }
            3 if parent != ROOT => tree.make_subvolume(parent),
            4 => tree.flag(inode, [IMMUTABLE, APPEND][random.below(2)]),
            5 => tree.flag(parent, [IMMUTABLE, APPEND][random.below(2)]),
            6 => {
                if let Some(old) = old {
                    tree.change_inode(old, |i| (i.flags, i.project) = (i.flags | PROJECT, 7));
                }
            }
            // One of ours is made anew, and then takes what it did not take.
            7 if parent != ROOT => {
                if let Some(old) = old {
                    tree.change_inode(old, |i| i.full = true);
                }
            }
            8 => {
                if let Some(old) = old {
                    tree.add(old, keeper.last(), Content::File(b"taken".to_vec()));
                }
            }
            9 => {
                let entry = keeper.entry();
                tree.unlink(ROOT, entry);
                tree.add(ROOT, entry, Content::Link(b"elsewhere".to_vec()));
            }
            10 => tree.change_inode(inode, |i| i.project = 9),
            11 => {
                if let Some(old) = old {
                    tree.flag(old, IMMUTABLE);
                }
            }
            _ => {}
        }
    }
    for text in ["a", "bin", "srv", "usr", "home", "nixos-root", "nixos-root.tmp", ".lustrate"] {
        let there = entry(tree, ROOT, &name(text));
        let pinned = record.pin(&name(text)).is_some();
        match (random.below(10), there) {
            (0, None) => {
                let made = tree.add(ROOT, &name(text), dir());
                tree.add(made, &name("x"), Content::File(b"by NixOS".to_vec()));
            }
            (1, None) if !text.starts_with('.') && !text.ends_with("tmp") => {
                let made = tree.add(ROOT, &name(text), dir());
                tree.make_subvolume(made);
                tree.change_inode(made, |i| i.read_only = true);
            }
            (2, Some(inode)) if !pinned => tree.flag(inode, IMMUTABLE),
            (3, Some(_)) if !pinned && text != "nixos-root" => {
                tree.unlink(ROOT, &name(text));
            }
            (4, None) if !text.starts_with('.') && !text.starts_with("nixos-root") => {
                let made = tree.add(ROOT, &name(text), dir());
                tree.change_inode(made, |i| i.mounted = true);
            }
            _ => {}
        }
    }
    meddle_with_the_old_root(tree, &record, random);
}

fn meddle_with_the_old_root(tree: &Memory, record: &Intent, random: &mut Random) {
    let old_root = at(tree, &[name("old-root")]).unwrap();
    for entry_name in tree.list(&old_root).unwrap() {
        let inode = entry(tree, old_root, &entry_name).unwrap();
        if random.one_in(12) && tree.inode(inode).is_dir() && entry_name != name("etc") {
            match random.below(3) {
                0 if entry_name != name(".lustrate") => {
                    tree.make_subvolume(inode);
                    tree.change_inode(inode, |i| i.read_only = true);
                }
                1 => tree.flag(inode, IMMUTABLE),
                _ if entry_name != name(".lustrate") => tree.unlink(old_root, &entry_name),
                _ => {}
            }
        }
    }
    if random.one_in(6) {
        let extra = name(["nix", "home", "extra", "nixos-root.tmp"][random.below(4)]);
        if entry(tree, old_root, &extra).is_none() {
            tree.add(old_root, &extra, Content::Dir(BTreeMap::new()));
        }
    }
    let etc = at(tree, &[name("etc")]);
    match (random.below(12), etc) {
        (0, Some(etc)) if record.pin(&name("etc")) != Some(Pin::Kept) => tree.make_subvolume(etc),
        (1, Some(etc)) => tree.flag(etc, IMMUTABLE),
        (3, Some(etc)) if record.pin(&name("etc")) != Some(Pin::Kept) => {
            // Whose flags nobody can change.
            tree.make_subvolume(etc);
            tree.change_inode(etc, |i| (i.read_only, i.flags) = (true, 0));
        }
        (2, Some(etc)) => tree.change_inode(etc, |i| (i.flags, i.project) = (i.flags | PROJECT, 5)),
        _ => {}
    }
    for (one_in, path, flags) in [
        (5, "old-root", IMMUTABLE),
        (8, "", APPEND),
        (8, "boot", IMMUTABLE),
        (10, "old-root", PROJECT),
        (10, "", PROJECT),
    ] {
        let path: Vec<Name> = path.split('/').filter(|p| !p.is_empty()).map(name).collect();
        if let (true, Some(inode)) = (random.one_in(one_in), at(tree, &path)) {
            tree.change_inode(inode, |i| (i.flags, i.project) = (i.flags | flags, 3));
        }
    }
}

fn differences(found: &BTreeMap<String, String>, want: &BTreeMap<String, String>) -> Vec<String> {
    let mut list = Vec::new();
    for (path, what) in found.iter().filter(|(p, w)| want.get(*p) != Some(w)) {
        list.push(format!("{path} is {what}"));
    }
    for (path, what) in want.iter().filter(|(p, w)| found.get(*p) != Some(w)) {
        list.push(format!("{path} should be {what}"));
    }
    list
}

fn number(variable: &str, usually: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(usually, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text}")))
}

/// A root on which the stock function was cut while it copied keepers.
fn stop_stock(tree: &Memory, random: &mut Random) {
    tree.unlink(ROOT, &name("old-root"));
    let old = tree.add(ROOT, &name("old-root"), Content::Dir(BTreeMap::new()));
    let all = tree.list(&ROOT).unwrap();
    let stay = ["nix", "boot", "old-root"];
    for entry_name in all.iter().filter(|n| !stay.contains(&n.to_string().as_str())) {
        let inode = entry(tree, ROOT, entry_name).unwrap();
        tree.unlink(ROOT, entry_name);
        tree.link(old, entry_name, inode);
        let copied = tree.inode(inode).is_dir() && random.one_in(3);
        if copied || *entry_name == name("etc") {
            let copy = tree.add(ROOT, entry_name, Content::Dir(BTreeMap::new()));
            tree.add(copy, &name("copy"), Content::File(b"half".to_vec()));
        }
    }
}

/// Cut anywhere, and cut again.
fn run_to_its_end(tree: &Memory, random: &mut Random) -> Result<Outcome, Error> {
    while random.one_in(3) {
        tree.cut_after(random.below(60));
        let cut = Command::Run.on(tree);
        tree.power_on();
        if cut.is_ok() || matches!(cut, Err(Error::Refused(_))) {
            return cut;
        }
    }
    Command::Run.on(tree)
}

#[test]
fn every_chain_gives_the_old_system_back() {
    let (first, chains) = (number("MODEL_SEED", 1), number("MODEL_CHAINS", 4_000));
    let (mut reverts, mut completed) = (0, 0);
    for seed in first..first + chains {
        let told = format!("MODEL_SEED={seed} MODEL_CHAINS=1");
        let mut random = Random::new(seed);
        let tree = random_root(&mut random);
        let stock = cfg!(feature = "full") && tree.inode(ROOT).flags == 0 && random.one_in(8);
        if stock {
            stop_stock(&tree, &mut random);
        }
        for round in 0..=random.below(3) {
            let told = format!("{told}, round {round}");
            let complete = stock && round == 0;
            let lustrated = if complete {
                Command::Complete.on(&tree)
            } else {
                run_to_its_end(&tree, &mut random)
            };
            match lustrated {
                Ok(Outcome::Exchanged(_) | Outcome::Finished(_)) => {}
                Ok(other) => panic!("{told}: {other:?}"),
                Err(Error::Refused(_)) => break,
                Err(error) => panic!("{told}: {error}"),
            }
            completed += u64::from(complete);
            if random.one_in(3) {
                // Another lustration, of what NixOS has made of it.
                mark(&tree, &mut random);
                match run_to_its_end(&tree, &mut random) {
                    Ok(_) | Err(Error::Refused(_)) => {}
                    Err(error) => panic!("{told}: {error}"),
                }
                if let Some(etc) = at(&tree, &[name("etc")]) {
                    tree.unlink(etc, &name("NIXOS_LUSTRATE"));
                }
            }
            meddle(&tree, &mut random);
            let known = tree.count();
            let meta = at(&tree, &[name("old-root"), name(".lustrate")]).unwrap();
            let want = naive_revert(&tree);
            if record_names_no_system(&tree) {
                break;
            }
            // Cut anywhere, it goes on to the same tree.
            let cut = random.one_in(2);
            if cut {
                let cut_at = random.below(60);
                turn_round(&tree.clone(), cut_at, &told);
                tree.cut_after(cut_at);
                let _ = Command::Revert.on(&tree);
                tree.power_on();
            }
            let reverted = Command::Revert.on(&tree);
            let now = || picture(&tree, usize::MAX, meta);
            assert!(reverted.is_ok(), "{told}: {reverted:?}\n{:#?}", now());
            if cut {
                // The one flag that a cut can lose, while the marker leaves.
                let etc = at(&tree, &[name("etc")]).unwrap();
                for tree in [&tree, &want] {
                    tree.change_inode(etc, |etc| etc.flags &= PROJECT);
                }
            }
            let list = differences(&picture(&tree, known, meta), &picture(&want, known, meta));
            assert!(list.is_empty(), "{told}: {list:#?}\n{reverted:?}");
            reverts += 1;
            // The same again does nothing.
            let all = tree.paths();
            let again = Command::Revert.on(&tree);
            assert!(matches!(again, Ok(Outcome::Nothing)), "{told}: {again:?}");
            assert_eq!(tree.paths(), all, "{told}");
            for inode in 0..tree.count() {
                tree.change_inode(inode, |inode| inode.mounted = false);
            }
            mark(&tree, &mut random);
        }
    }
    println!("{reverts} reverts in {chains} chains, {completed} of a stock lustration");
    assert!(reverts > chains / 2 || chains < 20, "too few: {reverts}");
    assert!(completed > chains / 40 || chains < 100 || !cfg!(feature = "full"), "{completed}");
}

/// A run turns an interrupted revert round: the lustrated root is as it was.
fn turn_round(before: &Memory, cut_at: usize, told: &dyn std::fmt::Debug) {
    let tree = before.clone();
    tree.cut_after(cut_at);
    let cut = Command::Revert.on(&tree);
    let meta = usize::MAX;
    // Before its first step nothing tells of it, and run has nothing to do.
    let in_progress = at(&tree, &[name("old-root.tmp")]).is_some();
    if cut.is_ok() || !in_progress {
        return;
    }
    tree.power_on();
    let turned = Command::Run.on(&tree);
    assert!(turned.is_ok(), "{told:?}: {turned:?}");
    for tree in [&tree, before] {
        if let Some(etc) = at(tree, &[name("etc")]) {
            tree.change_inode(etc, |etc| etc.flags &= PROJECT);
        }
    }
    let known = before.count();
    let [mut found, mut want] = [&tree, before].map(|tree| picture(tree, known, meta));
    for picture in [&mut found, &mut want] {
        // What has a keeper's old place may go for the keeper.
        picture.retain(|_, what| {
            let inode: usize = what.split(' ').next().unwrap().parse().unwrap();
            let inode = tree.inode(inode);
            // And what is mounted keeps the name that it has by now.
            inode.content != Content::File(b"taken".to_vec()) && !inode.mounted
        });
    }
    let list = differences(&found, &want);
    assert!(list.is_empty(), "{told:?}: cut at {cut_at}, turned: {list:#?}\n{turned:?}");
}

/// Somebody removed what a system has to have.
fn record_names_no_system(tree: &Memory) -> bool {
    let moved = record(tree).moves(&name("etc"));
    moved
        && at(tree, &[name("old-root")]).is_some_and(|old| entry(tree, old, &name("etc")).is_none())
}

/// Asks for another lustration.
fn mark(tree: &Memory, random: &mut Random) {
    let Some(etc) = at(tree, &[name("etc")]) else { return };
    let list = ["home\nusr/x\n", "etc\n", "a/x\nroot/y\nvar/z\n"][random.below(3)];
    tree.unlink(etc, &name("NIXOS_LUSTRATE"));
    tree.add(etc, &name("NIXOS_LUSTRATE"), Content::File(list.into()));
}
