//! An intent that was edited: each line removed, doubled and changed, with the
//! count at its end as it was and put right; cut off behind each line.

use std::fs;
use std::path::Path;

use super::{Must, Site, Tampering};

type Lines = Vec<String>;

fn bad(name: impl Into<String>, change: impl Fn(&mut Lines) + 'static) -> Tampering {
    Tampering { must: Must::Refuse, ..edit(name, change) }
}

fn edit(name: impl Into<String>, change: impl Fn(&mut Lines) + 'static) -> Tampering {
    let act = move |site: &Site| {
        let path = site.meta().join("intent");
        let text = fs::read_to_string(&path).expect("the intent");
        let mut lines: Lines = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        write(&path, &lines);
    };
    let name = format!("intent: {}", name.into());
    Tampering { name, must: Must::BeSafe, act: Box::new(act) }
}

/// In place: the owner, the mode and the inode are those that were there.
fn write(path: &Path, lines: &Lines) {
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    fs::write(path, text).expect("an edited intent");
}

/// Puts the count at the end right.
fn recount(lines: &mut Lines) {
    if lines.last().is_some_and(|last| last.starts_with("end ")) {
        lines.pop();
        lines.push(format!("end {}", lines.len()));
    }
}

/// No intent of these trees has more lines.
const LINES: usize = 26;

pub fn all() -> Vec<Tampering> {
    let mut all = Vec::new();
    for at in 0..LINES {
        all.push(bad(format!("cut off before line {at}"), move |lines| {
            lines.truncate(at.min(lines.len() - 1));
        }));
        all.push(edit(format!("without line {at}"), move |lines| {
            if at < lines.len() {
                lines.remove(at);
            }
            recount(lines);
        }));
        all.push(edit(format!("line {at} twice"), move |lines| {
            if let Some(line) = lines.get(at).cloned() {
                lines.insert(at, line);
            }
            recount(lines);
        }));
        all.push(edit(format!("another number or name in line {at}"), move |lines| {
            if let Some(line) = lines.get_mut(at) {
                let last = line.pop();
                line.push(if last == Some('1') { '2' } else { '1' });
            }
        }));
    }
    all.extend(BAD.iter().map(|line| bad(format!("with {line:?}"), |lines| insert(lines, line))));
    all.extend(ODD.iter().map(|line| edit(format!("with {line:?}"), |lines| insert(lines, line))));
    let instead = |(from, to): &'static (&str, &str)| {
        (format!("{to:?} for {from:?}"), |lines: &mut Lines| replace(lines, from, to))
    };
    all.extend(BAD_INSTEAD.iter().map(instead).map(|(name, change)| bad(name, change)));
    all.extend(ODD_INSTEAD.iter().map(instead).map(|(name, change)| edit(name, change)));
    all.push(bad("empty", Lines::clear));
    all.push(bad("no text", |lines| *lines = vec!["\0\u{1}\u{7f}".to_owned()]));
    all.push(bad("a very long line", |lines| lines.insert(1, "x".repeat(1 << 20))));
    all
}

/// Where lines of that kind are, to keep them sorted.
fn insert(lines: &mut Lines, line: &str) {
    let key = line.split(' ').next().unwrap_or_default();
    let at = lines.iter().position(|l| l.starts_with(key) && l.as_str() >= line);
    let at = at.unwrap_or_else(|| lines.len() - 1);
    lines.insert(at, line.to_owned());
    recount(lines);
}

fn replace(lines: &mut Lines, from: &str, to: &str) {
    if let Some(line) = lines.iter_mut().find(|line| line.starts_with(from)) {
        to.clone_into(line);
    }
}

/// Lines that no intent has.
const BAD: &[&str] = &[
    "old nix",
    "old boot",
    "old old-root.tmp",
    "old .lustrate",
    "old ..",
    "old a/b",
    "keeper ../x",
    "keeper /etc",
    "keeper nix/store",
    "keeper boot/vmlinuz",
    "keeper old-root.tmp/etc",
    "link nix/x",
    "copy nix",
    "unknown x",
];

/// Lines that one might have.
const ODD: &[&str] = &[
    "old mine",
    "keeper usr",
    "keeper etc",
    "link usr",
    "copy home",
    "copy usr",
    "copy etc",
    "flags 1 16 nix",
    "flags 2 16 /",
    "flags 2 4294967295 usr",
    "pinned kept usr",
    "pinned kept etc",
    "pinned mount old-root",
    "warning \\x1b[2J",
];

const BAD_INSTEAD: &[(&str, &str)] = &[
    ("nixos-lustrate-intent", "nixos-lustrate-intent 3"),
    ("nixos-lustrate-intent", "nixos-lustrate-intent 01"),
    ("direction", "direction sideways"),
    ("anchor", "anchor 2"),
    ("rotated", "rotated nix"),
    ("rotated", "rotated boot"),
    ("rotated", "rotated etc"),
    ("rotated", "rotated old-root"),
    ("rotated", "rotated old-root.tmp"),
    ("rotated", "rotated usr"),
];

const ODD_INSTEAD: &[(&str, &str)] = &[
    ("direction", "direction lustrate"),
    ("direction", "direction revert"),
    ("etc", "etc 2"),
    ("boot-bak", "boot-bak 2"),
    ("started", "started 18446744073709551615"),
    ("started", "started 0"),
    ("old etc", "old esc"),
    ("pinned protected nix", "pinned kept nix"),
    ("pinned protected nix", "pinned protected mix"),
];
