//! The floors, and who may use whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::named;

/// From the top floor down: a room, and the rooms that it may use. Those of one
/// line of `src/lib.rs` are neighbours.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli", "engine", "error", "fs", "kmsg_logger", "term"]),
    (
        "cli",
        &[
            "check", "engine", "error", "fs", "prepare", "purge", "stage1", "status", "system",
            "term",
        ],
    ),
    ("status", &["engine", "error", "term"]),
    ("purge", &["engine", "error", "fs", "machine", "prepare", "term"]),
    ("prepare", &["bootloader", "check", "engine", "error", "fs", "machine", "system", "term"]),
    ("check", &["engine", "error", "fs", "machine", "system", "term"]),
    ("stage1", &["engine", "error", "fs"]),
    ("system", &["error", "fs", "machine"]),
    ("machine", &["engine", "error", "fs"]),
    ("bootloader", &["error", "fs"]),
    ("engine", &["error", "fs", "term"]),
    ("kmsg_logger", &["fs", "term"]),
    ("term", &["error", "fs"]),
    ("fs", &["error"]),
    ("error", &[]),
    ("lib", &[]),
];

type House = BTreeMap<String, String>;

/// The files that a file names.
fn arrows(house: &House) -> BTreeMap<&str, BTreeSet<&str>> {
    let file = |words: &[String]| {
        (1..=words.len()).rev().find_map(|length| {
            house.get_key_value(&words[..length].join("::")).map(|(name, _)| name.as_str())
        })
    };
    let of = |(module, text): (&String, &String)| {
        let named = named(module, text);
        named.iter().filter_map(|words| file(words)).collect::<BTreeSet<_>>()
    };
    house.iter().map(|entry| (entry.0.as_str(), of(entry))).collect()
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// Arrows that the table does not have, and rooms that are not in it.
pub fn misplaced(house: &House) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (from, tos) in arrows(house) {
        let Some((_, may)) = ROOMS.iter().find(|(name, _)| *name == room(from)) else {
            found.insert(format!("{from} is in no room of the table"));
            continue;
        };
        for to in tos.into_iter().filter(|to| room(to) != room(from)) {
            if !may.contains(&room(to)) {
                found.insert(format!("{from} uses {}", room(to)));
            }
        }
    }
    let order = |name: &str| ROOMS.iter().position(|(room, _)| *room == name);
    for (name, may) in ROOMS {
        found.extend(
            may.iter()
                .filter(|used| order(used) <= order(name))
                .map(|used| format!("the table lets {name} use {used}, which is not below it")),
        );
    }
    found.into_iter().collect()
}

/// Rooms whose head has not a last line that says what the table says.
pub fn untold(house: &House) -> Vec<String> {
    let single = ["main", "error", "kmsg_logger", "lib"];
    let rooms = ROOMS.iter().filter(|(name, _)| !single.contains(name));
    let says = |name: &str, may: &[&str]| {
        let head = house[name].lines().map_while(|line| line.strip_prefix("//!"));
        let head = head.map(str::trim).collect::<Vec<_>>().join(" ");
        head.ends_with(&format!(" Uses: {}.", may.join(", ")))
    };
    rooms.filter(|(name, may)| !says(name, may)).map(|(name, _)| (*name).to_owned()).collect()
}

/// Circles of files. A file and its folder are one thing: what a head defines,
/// those in its folder may use, as Rust has it with `super`.
pub fn circles(house: &House) -> Vec<Vec<String>> {
    let mut arrows = arrows(house);
    for (from, tos) in &mut arrows {
        tos.retain(|to| to != from && !from.starts_with(&format!("{to}::")));
    }
    let reach = |start: &str| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![start]);
        while let Some(at) = todo.pop() {
            for &next in arrows.get(at).into_iter().flatten() {
                if seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|&module| (module, reach(module))).collect();
    let mut found = BTreeSet::new();
    for (module, tos) in &reached {
        if tos.contains(module) {
            let circle = tos.iter().filter(|to| reached[**to].contains(module));
            found.insert(circle.map(|to| (*to).to_owned()).collect::<Vec<_>>());
        }
    }
    found.into_iter().collect()
}
