//! The model: the engine itself on a file system in memory, with the power cut
//! after every change of a run or revert, and cut again while that is taken up.
//!
//! `MODEL_TREES=N` sets how many random trees are tried in each test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chain;
mod memory;

use std::collections::BTreeMap;
use std::fmt::Write;

use memory::{BLOCK, Content, Free, Memory, ROOT};
use nixos_lustrate::engine::exchange::Boot;
use nixos_lustrate::engine::facts::{Environment, Wishes};
use nixos_lustrate::engine::run::{self, Outcome};
use nixos_lustrate::error::Error;
use nixos_lustrate::fs::name::Name;
use nixos_lustrate::fs::sys::{APPEND, IMMUTABLE, Space};

/// xorshift64*: the same trees each time.
struct Random(u64);

impl Random {
    /// Neighbours begin far from one another.
    fn new(seed: u64) -> Self {
        let mixed = (seed ^ (seed >> 30)).wrapping_add(1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb).max(1))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(value).unwrap() % limit
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Run,
    Revert,
    Complete,
}

impl Command {
    fn other(self) -> Self {
        if self == Self::Revert { Self::Run } else { Self::Revert }
    }

    fn on(self, tree: &Memory) -> Result<Outcome, Error> {
        let space = Space { bytes: u64::MAX, files: None, metadata: None, base: 4 * BLOCK as u64 };
        let (root, space) = ("/".to_owned(), Some(space));
        let mounts = tree.mounts();
        let environment = Environment { root, space, mounts, ..Environment::default() };
        tree.forget();
        // A revert leaves what is mounted.
        tree.busy.set(self != Self::Revert);
        let complete = self == Self::Complete;
        let wishes = Wishes { complete, ..Wishes::default() };
        match self {
            Self::Run | Self::Complete => run::run(tree, &ROOT, environment, &wishes, |_| ()),
            Self::Revert => run::revert(tree, &ROOT, environment, Boot::Exchange, |_| ()),
        }
    }
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

const ENTRIES: [&str; 9] = ["a", "b", "bin", "home", "root", "usr", "var", "old-root", "boot.bak"];

/// A random root that asks for its lustration.
fn random_root(random: &mut Random) -> Memory {
    let tree = Memory::new();
    let directory = || Content::Dir(BTreeMap::new());
    let mut keep = Vec::new();
    for text in ["nix", "boot", "etc"] {
        tree.add(ROOT, &name(text), directory());
    }
    for text in ENTRIES {
        match random.below(8) {
            0 => {}
            1 if text != "old-root" => {
                tree.add(ROOT, &name(text), Content::File(b"entry".to_vec()));
            }
            2 if text != "old-root" && text != "boot.bak" => {
                let target = ENTRIES[random.below(ENTRIES.len())];
                tree.add(ROOT, &name(text), Content::Link(target.into()));
                keep.push(format!("{text}/x"));
            }
            _ => {
                tree.add(ROOT, &name(text), directory());
            }
        }
    }
    // Files and directories below, some of them keepers.
    let mut directories: Vec<(String, usize)> = tree
        .paths()
        .into_iter()
        .filter(|(path, inode)| {
            path.len() == 1 && matches!(tree.inode(*inode).content, Content::Dir(_))
        })
        .map(|(path, inode)| (path[0].to_string(), inode))
        .collect();
    for _ in 0..random.below(12) {
        let (path, dir) = directories[random.below(directories.len())].clone();
        let child = ["x", "y", "z"][random.below(3)];
        let path = format!("{path}/{child}");
        if directories.iter().any(|(p, _)| *p == path) {
            continue;
        }
        let content = if random.one_in(2) { directory() } else { Content::File(b"file".to_vec()) };
        let is_dir = matches!(content, Content::Dir(_));
        let inode = tree.add(dir, &name(child), content);
        if is_dir {
            directories.push((path.clone(), inode));
        }
        if random.one_in(2) {
            keep.push(path);
        }
        if random.one_in(8) {
            tree.flag(inode, IMMUTABLE);
        }
    }
    for entry in ["home", "etc", "usr"] {
        if random.one_in(6) {
            keep.push(entry.to_owned());
        }
    }
    let etc = tree.paths()[&vec![name("etc")]];
    tree.add(etc, &name("NIXOS_LUSTRATE"), Content::File(keep.join("\n").into_bytes()));
    if random.one_in(4) {
        tree.flag(ROOT, [IMMUTABLE, APPEND][random.below(2)]);
    }
    tree
}

/// A root on which the stock function was interrupted.
fn interrupt_stock(tree: &Memory, random: &mut Random) {
    use nixos_lustrate::fs::tree::Tree;
    let staging = tree.add(ROOT, &name("old-root.tmp"), Content::Dir(BTreeMap::new()));
    let mut entries = tree.list(&ROOT).unwrap();
    // `etc` first or not at all: what stage 1 makes comes after it.
    entries.sort_by_key(|entry| *entry != name("etc"));
    for entry in entries {
        let stays = ["nix", "boot", "old-root.tmp"].contains(&entry.to_string().as_str());
        let flagged = tree.stat(&ROOT, &entry).unwrap().unwrap().flags != 0;
        if !stays && !flagged && tree.inode(ROOT).flags == 0 && random.one_in(2) {
            tree.rename((&ROOT, &entry), (&staging, &entry)).unwrap();
            // Stage 1 makes directories; before that, what was moved is gone.
            if random.one_in(4) && tree.stat(&staging, &name("etc")).unwrap().is_some() {
                tree.add(ROOT, &entry, Content::Dir(BTreeMap::new()));
            }
        }
    }
}

/// What a tree is, apart from new inodes' numbers and the text of records:
/// for each path the inode, or the kind and content of a new file.
type Picture = BTreeMap<String, String>;

fn picture(tree: &Memory, known: usize) -> Picture {
    tree.paths()
        .into_iter()
        .map(|(path, at)| {
            let inode = tree.inode(at);
            let path = path.iter().map(ToString::to_string).collect::<Vec<_>>().join("/");
            let what = match &inode.content {
                _ if path.ends_with("/.lustrate/record") => "a record".to_owned(),
                Content::File(text) if text.starts_with(b"# nixos-lustrate:") => {
                    "a new file: in progress".to_owned()
                }
                _ if at < known => format!("inode {at} flags {:x}", inode.flags),
                Content::Dir(_) => "a new directory".to_owned(),
                Content::Link(target) => format!("a new link to {}", target.escape_ascii()),
                Content::File(text) => format!("a new file: {}", text.escape_ascii()),
            };
            (path, what)
        })
        .collect()
}

/// What NixOS does on the new root: it adds, changes and removes.
fn live_on(tree: &Memory, random: &mut Random) {
    use nixos_lustrate::fs::tree::Tree;
    for (path, inode) in tree.paths() {
        let ours = ["nix", "boot", "old-root"];
        let in_root = path.first().is_none_or(|n| !n.to_string().starts_with(ours[2]));
        let is_dir = matches!(tree.inode(inode).content, Content::Dir(_));
        let flagged = tree.inode(inode).flags != 0;
        if in_root && is_dir && !flagged && random.one_in(3) {
            let child = name(["x", "srv", "home", "opt", "nixos-root"][random.below(5)]);
            if tree.stat(&inode, &child).unwrap().is_none() {
                tree.add(inode, &child, Content::File(b"by NixOS".to_vec()));
            }
        }
    }
}

/// Whether a path of a tree is neither population's, but the program's own.
fn is_our_own(path: &[Name]) -> bool {
    let own = |n: &Name| n.to_string().starts_with("old-root");
    match path {
        [first] => own(first),
        [first, second, ..] => own(first) && *second == name(".lustrate"),
        [] => false,
    }
}

/// I1, I2 and I5 on a half-done tree.
fn check_half_done(tree: &Memory, before: &Memory, armed: bool, told: &dyn std::fmt::Debug) {
    let paths = tree.paths();
    let mut places = vec![0; before.count()];
    for inode in paths.values().filter(|inode| **inode < before.count()) {
        places[*inode] += 1;
    }
    for (path, inode) in before.paths().into_iter().filter(|(path, _)| !is_our_own(path)) {
        assert_eq!(places[inode], 1, "I1: {path:?} is not in one place, {told:?}");
        if path.first().is_some_and(|n| *n == name("nix")) {
            assert_eq!(paths.get(&path), Some(&inode), "I2: {path:?}");
        }
    }
    let marker = paths.contains_key(&vec![name("etc"), name("NIXOS_LUSTRATE")]);
    assert!(marker || !armed, "I5: no marker in /etc");
}

fn without(picture: &Picture, prefixes: &[&str]) -> Picture {
    let kept =
        |path: &str| prefixes.iter().all(|p| path != *p && !path.starts_with(&format!("{p}/")));
    picture.iter().filter(|(p, _)| kept(p)).map(|(p, w)| (p.clone(), w.clone())).collect()
}

/// What the tree is after the command, undisturbed; `None` when it refuses.
fn undisturbed(tree: &Memory, command: Command) -> Option<(Memory, usize)> {
    let tree = tree.clone();
    tree.power_on();
    match command.on(&tree) {
        Ok(_) => {
            let made = tree.made.get();
            Some((tree, made))
        }
        Err(Error::Refused(why)) => {
            assert_eq!(tree.made.get(), 0, "I6: a refusal has changed something: {why:?}");
            None
        }
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// The names that only an undone or turned exchange leaves.
const ASIDE: [&str; 2] = ["nixos-root", "etc/NIXOS_LUSTRATE"];

struct Tried {
    interrupted: usize,
}

/// Cuts the power after every change of `command`, cuts it again while the
/// exchange goes on or back, and compares with what it is undisturbed.
fn interrupt(start: &Memory, command: Command, random: &mut Random, tried: &mut Tried) {
    let Some((end, changes)) = undisturbed(start, command) else { return };
    let known = start.count();
    let goal = picture(&end, known);
    let Some((back, _)) = undisturbed(&end, command.other()) else {
        panic!("what was done cannot be undone");
    };
    // An undone revert leaves the lustrated root; run after a whole one does nothing.
    let way_back = if command == Command::Run { &back } else { start };
    let way_back = picture(way_back, known);
    let armed =
        start.exchanges && start.paths().contains_key(&vec![name("etc"), name("NIXOS_LUSTRATE")]);
    for cut in 0..changes {
        let tree = start.clone();
        tree.cut_after(cut);
        command.on(&tree).expect_err("the power was cut");
        check_half_done(&tree, start, armed && cut > 0, &(command, cut));
        tried.interrupted += 1;
        // Again, in either direction, before it may end.
        let mut turns = Vec::new();
        for _ in 0..random.below(3) {
            let turn = if random.one_in(2) { command } else { command.other() };
            tree.cut_after(random.below(changes + 4));
            let _ = turn.on(&tree);
            turns.push(turn);
            check_half_done(&tree, start, false, &(command, cut, &turns));
            tried.interrupted += 1;
        }
        for last in [command, command.other()] {
            let tree = tree.clone();
            tree.power_on();
            let ended = last.on(&tree);
            let refused = matches!(ended, Err(Error::Refused(_)));
            assert!(
                ended.is_ok() || refused,
                "{command:?} cut at {cut}, {turns:?}, {last:?}: {ended:?}\n{:?}",
                picture(&tree, known)
            );
            check_half_done(&tree, start, false, &(command, cut, &turns, last, &ended));
            let (found, want) =
                (picture(&tree, known), if last == command { &goal } else { &way_back });
            let (found, want) = (without(&found, &ASIDE), without(want, &ASIDE));
            let (found, want) = (without_drafts(found), without_drafts(want));
            // A command that was already done, or had not begun, changes nothing:
            // then the tree is where the other left it.
            if found != want {
                let other = if last == command { &way_back } else { &goal };
                let start = without_drafts(without(&picture(start, known), &ASIDE));
                let other = without_drafts(without(other, &ASIDE));
                let idle = refused
                    || matches!(
                        ended,
                        Ok(Outcome::Nothing | Outcome::Finished(_) | Outcome::Withdrawn)
                    );
                assert!(
                    idle && (found == other || found == start),
                    "{command:?} cut at {cut}, {turns:?}, {last:?}:\n{}{ended:?}",
                    differences(&found, if idle { &other } else { &want }),
                );
            }
        }
    }
}

/// Without what a revert that never began leaves in `.lustrate`, and the old
/// root's own directory, which may have been made anew.
fn without_drafts(mut picture: Picture) -> Picture {
    picture.retain(|path, what| {
        let draft = path.ends_with("/.lustrate/part") || path.ends_with("/.lustrate/intent");
        let marker = path.contains("/.lustrate/") && what.contains("in progress");
        let waits = ["/.lustrate/spare-", "/.lustrate/reserve", "/.lustrate/draft"];
        let waits = waits.iter().any(|file| path.contains(file));
        !draft && !marker && !waits && path != "old-root"
    });
    // One that was there and empty goes with what is taken back.
    if !picture.keys().any(|path| path.starts_with("old-root.tmp/")) {
        picture.remove("old-root.tmp");
    }
    picture
}

fn differences(found: &Picture, want: &Picture) -> String {
    let mut text = String::new();
    for (path, what) in found.iter().filter(|(p, w)| want.get(*p) != Some(w)) {
        let _ = writeln!(text, "  {path} is {what}");
    }
    for (path, what) in want.iter().filter(|(p, w)| found.get(*p) != Some(w)) {
        let _ = writeln!(text, "  {path} should be {what}");
    }
    text
}

fn trees() -> usize {
    std::env::var("MODEL_TREES").ok().and_then(|n| n.parse().ok()).unwrap_or(750)
}

fn interrupt_all(seed: u64, exchanges: bool, command: Command) {
    let mut random = Random(seed);
    let mut tried = Tried { interrupted: 0 };
    let mut refused = 0;
    for _ in 0..trees() {
        let mut tree = random_root(&mut random);
        tree.exchanges = exchanges;
        if random.one_in(8) {
            interrupt_stock(&tree, &mut random);
        }
        match (command, undisturbed(&tree, Command::Run)) {
            (_, None) => refused += 1,
            (Command::Run | Command::Complete, Some(_)) => {
                interrupt(&tree, command, &mut random, &mut tried);
            }
            (Command::Revert, Some((lustrated, _))) => {
                live_on(&lustrated, &mut random);
                interrupt(&lustrated, command, &mut random, &mut tried);
            }
        }
    }
    println!("{} interrupted runs; {refused} of {} trees refused", tried.interrupted, trees());
    assert!(tried.interrupted > 30 * trees(), "too few: {}", tried.interrupted);
    assert!(refused < trees() / 4, "too many refused: {refused}");
}

#[test]
fn a_run_can_be_cut_anywhere_and_go_on_or_back() {
    interrupt_all(1, true, Command::Run);
}

#[test]
fn a_revert_can_be_cut_anywhere_and_go_on_or_back() {
    interrupt_all(2, true, Command::Revert);
}

#[test]
fn a_run_without_rename_exchange_can_be_cut_anywhere() {
    interrupt_all(3, false, Command::Run);
}

#[test]
fn a_revert_without_rename_exchange_can_be_cut_anywhere() {
    interrupt_all(4, false, Command::Revert);
}

/// Consent can be withdrawn: without its marker, a run that was cut goes on only when
/// something proves that it had begun.
#[test]
fn a_cut_run_without_its_marker_goes_on_only_when_it_can_be_proved() {
    use nixos_lustrate::fs::tree::Tree;
    let mut random = Random(5);
    let (mut proved, mut not) = (0, 0);
    for _ in 0..trees() / 5 {
        let start = random_root(&mut random);
        let Some((_, changes)) = undisturbed(&start, Command::Run) else { continue };
        for cut in 0..changes {
            let tree = start.clone();
            tree.cut_after(cut);
            Command::Run.on(&tree).expect_err("the power was cut");
            tree.power_on();
            let paths = tree.paths();
            let meta = |note| vec![name("old-root.tmp"), name(".lustrate"), name(note)];
            if ["intent", "record", "new"].iter().any(|note| paths.contains_key(&meta(note))) {
                proved += 1;
                continue;
            }
            not += 1;
            tree.remove_file(&paths[&vec![name("etc")]], &name("NIXOS_LUSTRATE")).unwrap();
            let before = picture(&tree, start.count());
            assert_eq!(Command::Run.on(&tree), Ok(Outcome::Nothing), "cut at {cut}");
            assert_eq!(picture(&tree, start.count()), before, "cut at {cut}");
        }
    }
    assert!(proved > trees() && not > trees(), "{proved} proved, {not} not");
}

/// What an administrator sees of a tree: all but the program's own directory.
fn seen(tree: &Memory, known: usize) -> Picture {
    without(&picture(tree, known), &ASIDE)
}

fn full(tree: &Memory) {
    tree.free.set(Free { files: 0, bytes: 0 });
}

/// With any space from none on: refused as if it had never been called, or done,
/// and undone although NixOS has filled the disk since; also with the power cut.
#[test]
fn any_space_is_enough_or_refused() {
    let mut random = Random(5);
    let (mut refused, mut done, mut tight, mut from_full) = (0, 0, 0, 0);
    for _ in 0..trees() / 3 {
        let start = random_root(&mut random);
        let known = start.count();
        let Some((lustrated, _)) = undisturbed(&start, Command::Run) else { continue };
        let Some((reverted, _)) = undisturbed(&lustrated, Command::Revert) else {
            panic!("what was done cannot be undone");
        };
        let used = |free: Free| start.free.get().bytes - free.bytes;
        let most = used(lustrated.free.get()) + BLOCK;
        let before = picture(&start, known);
        let mut tries: Vec<Free> =
            (0..30).map(|files| Free { files, bytes: usize::MAX / 2 }).collect();
        tries.extend((0..40).map(|_| Free { files: usize::MAX / 2, bytes: random.below(most) }));
        tries.extend((0..20).map(|_| Free { files: random.below(30), bytes: random.below(most) }));
        for free in tries {
            let tree = start.clone();
            tree.free.set(free);
            match Command::Run.on(&tree) {
                Err(Error::Refused(why)) => {
                    refused += 1;
                    assert_eq!(picture(&tree, known), before, "{free:?}: {why:?}");
                    continue;
                }
                ended => assert!(matches!(ended, Ok(Outcome::Exchanged(_))), "{free:?}: {ended:?}"),
            }
            done += 1;
            full(&tree);
            let ended = Command::Revert.on(&tree);
            assert!(matches!(ended, Ok(Outcome::Exchanged(_))), "{free:?}, full: {ended:?}");
            assert_eq!(seen(&tree, known), seen(&reverted, known), "{free:?}");
            // And cut anywhere, with what is left.
            let tree = start.clone();
            tree.free.set(free);
            tree.cut_after(random.below(60));
            if Command::Run.on(&tree).is_ok() {
                continue;
            }
            tight += 1;
            for last in [Command::Run, Command::Revert] {
                let tree = tree.clone();
                tree.power_on();
                let ended = last.on(&tree);
                let whole = matches!(ended, Ok(_) | Err(Error::Refused(_)));
                assert!(whole, "{free:?}, cut, {last:?}: {ended:?}");
                check_half_done(&tree, &start, false, &(free, last));
            }
            // Somebody fills the disk; what has begun goes back.
            tree.power_on();
            let begun = [name("old-root.tmp"), name(".lustrate"), name("intent")];
            if tree.paths().contains_key(&begun[..]) {
                full(&tree);
                let ended = Command::Revert.on(&tree);
                assert!(ended.is_ok(), "{free:?}, cut, full: {ended:?}");
                check_half_done(&tree, &start, false, &free);
                from_full += 1;
            }
        }
    }
    println!("{refused} refused, {done} there and back, {tight} cut, {from_full} of them filled");
    assert!(refused > 10 * trees() && done > 4 * trees() && tight > 3 * trees());
    assert!(from_full > trees());
}
