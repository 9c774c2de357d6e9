//! Chains of lustrations and reverts on real file systems, killed here and there, with
//! what NixOS, its users and an administrator do between: each revert against an exact
//! oracle of the tree that it has to give back.
//!
//! `CHAINS=N` sets how many on each file system. A chain that fails prints its seed;
//! `CHAINS_SEED=N` begins with that one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod oracle;
mod random;
mod users;

use std::panic::AssertUnwindSafe;

use common::command::{self, Ended, arguments, on};
use common::compare::{Excuse, assert_none};
use common::image::{Fs, Image};
use common::manifest::{APPEND, IMMUTABLE, Manifest};
use common::population::{lost, not_reverted};
use common::skip::{self, Skipped};
use common::strace::{self, Call, Fault};
use common::trees::{self, Case, Root};
use common::{or_skip, require_root};
use nixos_lustrate::engine::intent::{self, Intent};
use random::Random;

fn number(variable: &str, usually: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(usually, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text}")))
}

fn chains(fs: Fs) {
    require_root!();
    or_skip!(strace::available());
    let (first, many) = (number("CHAINS_SEED", 1), number("CHAINS", 24));
    let mut count = Count::default();
    let mut failed = Vec::new();
    for seed in first..first + many {
        let chain = AssertUnwindSafe(|| chain(fs, seed, &mut count));
        match std::panic::catch_unwind(chain) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return skip::say(&why),
            Err(_) => {
                eprintln!("on {}: CHAINS_SEED={seed} CHAINS=1", fs.name());
                failed.push(seed);
            }
        }
    }
    println!("{many} chains on {}: {count:?}", fs.name());
    assert!(failed.is_empty(), "on {}: CHAINS_SEED={failed:?}", fs.name());
    let enough = |tried: u64| tried * 4 >= many || many < 20;
    assert!(enough(count.reverts) && enough(count.killed), "too few: {count:?}");
}

#[test]
fn every_chain_gives_the_old_system_back_on_ext4() {
    chains(Fs::Ext4);
}

#[test]
fn every_chain_gives_the_old_system_back_on_btrfs() {
    chains(Fs::Btrfs);
}

#[derive(Debug, Default)]
struct Count {
    reverts: u64,
    completed: u64,
    killed: u64,
    turned: u64,
}

/// How a root comes to be lustrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By us.
    Run,
    /// By the stock function, which was cut while it copied keepers; then by us.
    Complete,
    /// By the stock function alone.
    Stock,
}

fn chain(fs: Fs, seed: u64, count: &mut Count) -> Result<(), Skipped> {
    let mut random = Random::new(seed);
    let image = Image::new(fs)?;
    let mounted = image.mount()?;
    let root = Root { path: mounted.path(), fs };
    let way = match random.below(8) {
        0 if cfg!(feature = "full") => Way::Complete,
        1 => Way::Stock,
        _ => Way::Run,
    };
    let mut keep = users::keep_list(&mut random);
    if way == Way::Complete && keep.split(|b| *b == b'\n').any(|line| line == b"etc") {
        keep.clear(); // its marker could not be told from another: refused
    }
    (Case::TYPICAL.base)(&root, &keep);
    if way == Way::Run {
        users::old_system(&root, &mut random);
    }
    root.age();
    for round in 0..=random.below(3) {
        println!("{way:?}, round {round}");
        if way == Way::Run || round > 0 {
            users::flags(&root, &mut random);
        }
        let before = Manifest::of(root.path);
        let way = if round == 0 { way } else { Way::Run };
        if lustrate(&root, way, &before, &mut random, count) {
            let apart = users::live_on(&root, &mut random);
            revert(&root, &before, &apart, &mut random, count);
        }
        unlock(root.path);
        if !users::mark(&root, &mut random) {
            break;
        }
    }
    Ok(())
}

/// Whether the root is lustrated then: a run that was killed may be taken back.
fn lustrate(
    root: &Root<'_>,
    way: Way,
    before: &Manifest,
    random: &mut Random,
    count: &mut Count,
) -> bool {
    let more: &[&str] = match way {
        Way::Run => &[],
        Way::Complete => {
            (trees::named("stock-stopped-while-copying-keepers").build)(root).unwrap();
            count.completed += 1;
            &["--complete"]
        }
        Way::Stock => {
            (trees::named("stock-finished").build)(root).unwrap();
            return true;
        }
    };
    // Its first rename, before which there is nothing to go on with, is not ours.
    if way == Way::Run && random.one_in(2) {
        killed("run", root, random, count);
        let half = Manifest::of(root.path);
        let excuse = Excuse::none().cleared_flags().below(b"etc/NIXOS_LUSTRATE.flags");
        assert_none("killed, and lost", &gone(before, &half, &excuse));
        if random.one_in(3) {
            let ended = on("revert", root.path);
            if ended.code == 3 && !root.at("old-root.tmp").exists() {
                // Beside an older one that is not what is meant.
                ended.says(&["asks for a lustration that has not begun"]);
                on("run", root.path).expect(0);
                return true;
            }
            ended.expect(0);
            let mut after = Manifest::of(root.path);
            if after.get(b"old-root").is_some() && before.get(b"old-root").is_none() {
                return true; // it was not killed
            }
            // One that had not begun leaves the marker.
            after = after.without(b"etc/NIXOS_LUSTRATE");
            let keepers: Vec<_> = keepers_of(before);
            let keepers: Vec<_> = keepers.iter().map(Vec::as_slice).collect();
            let before = before.without(b"etc/NIXOS_LUSTRATE");
            assert_none("undone", &without_times(not_reverted(&before, &after, &keepers)));
            return false;
        }
    }
    command::lustrate(arguments("run", root.path, more)).expect(0);
    assert!(root.at("old-root/.lustrate/record").is_file(), "nothing was done");
    true
}

/// Inodes that are nowhere.
fn gone(before: &Manifest, now: &Manifest, excuse: &Excuse) -> Vec<String> {
    let mut list = lost(before, now, excuse);
    list.retain(|line| line.ends_with(": lost") || line.contains(" names, now "));
    // Directories of ours may be made anew.
    let ours = |line: &String| {
        ["old-root.tmp", "old-root: "].iter().any(|text| line.starts_with(text))
            || line.contains(".lustrate/")
    };
    list.retain(|line| !ours(line));
    list
}

/// The directories of all that could be kept have other times then.
fn keepers_of(before: &Manifest) -> Vec<Vec<u8>> {
    before.nodes.keys().filter(|path| path.contains(&b'/')).cloned().collect()
}

/// Without what a revert from half-way changes: the old boot files come, too.
fn without_times(mut list: Vec<String>) -> Vec<String> {
    let ours = ["nixos-root", "old-root: mode ", "boot", "boot.bak"];
    list.retain(|line| {
        !line.contains(": mtime ") && ours.iter().all(|text| !line.starts_with(text))
    });
    list
}

/// Kills a command at some call, if it gets so far.
fn killed(verb: &str, root: &Root<'_>, random: &mut Random, count: &mut Count) -> Ended {
    let (name, most) = [
        ("renameat2", 40),
        ("renameat2", 12),
        ("renameat2", 60),
        ("mkdirat", 12),
        ("unlinkat", 8),
        ("syncfs", 4),
        ("ioctl", 30),
        ("utimensat", 20),
        ("openat2", 60),
    ][random.below(9)];
    let call = Call { name: name.into(), nth: 1 + random.below(most), line: String::new() };
    let ended = strace::run_with(Fault::Kill, &call, arguments(verb, root.path, &[]));
    println!("{verb} killed at {name} #{}: {}", call.nth, ended.was_killed());
    if ended.was_killed() {
        count.killed += 1;
    } else {
        ended.clone().expect(0);
    }
    ended
}

fn revert(
    root: &Root<'_>,
    before: &Manifest,
    apart: &[Vec<u8>],
    random: &mut Random,
    count: &mut Count,
) {
    let middle = Manifest::of(root.path);
    let record = std::fs::read(root.at("old-root/.lustrate/record")).ok();
    let record: Option<Intent> = record.map(|text| intent::parse(&text).expect("the record"));
    let mut cut = false;
    while random.one_in(2) {
        cut |= killed("revert", root, random, count).was_killed();
        if cut && random.one_in(3) && root.at("old-root.tmp").is_dir() {
            let ended = on("run", root.path);
            if ended.code == 3 {
                ended.says(&["is a mount point inside an entry that would move"]);
                continue;
            }
            ended.expect(0);
            count.turned += 1;
            // It is the lustrated root again.
            let now = Manifest::of(root.path);
            assert_none("turned round, and lost", &gone(&middle, &now, &Excuse::none()));
            let system: Vec<_> = record.iter().flat_map(|r| &r.old).collect();
            let missing = system.iter().filter(|name| {
                let path = [b"old-root/", name.as_bytes()].concat();
                middle.get(&path).map(|n| n.id) != now.get(&path).map(|n| n.id)
            });
            let missing: Vec<_> = missing.map(ToString::to_string).collect();
            assert_none("turned round, and not in /old-root", &missing);
        }
    }
    let ended = on("revert", root.path).expect(0);
    let after = Manifest::of(root.path);
    let oracle = oracle::Oracle::new(&middle, &after, record.as_ref());
    let times = if cut { oracle::Times::Aside } else { oracle::Times::Exact };
    let mut list = oracle.differences(times);
    list.extend(oracle.old_system(before, apart));
    assert_none(&format!("not what it had to give back; it said:\n{}", ended.err()), &list);
    count.reverts += 1;
    on("revert", root.path).expect(0).says(&["there is nothing to revert"]);
    let again = Manifest::of(root.path);
    assert_none("reverted again", &after.diff(&again, &Excuse::none()));
}

/// Clears all flags that would hinder what comes next.
fn unlock(root: &std::path::Path) {
    for (path, node) in &Manifest::hashing_up_to(root, 0).nodes {
        if node.flags & (IMMUTABLE | APPEND) != 0 {
            let path = Root { path: root, fs: Fs::Ext4 }.at(path);
            let file = std::fs::File::open(path).unwrap();
            let flags = common::sys::inode_flags(&file).unwrap();
            common::sys::set_inode_flags(&file, flags & !(IMMUTABLE | APPEND)).unwrap();
        }
    }
}
