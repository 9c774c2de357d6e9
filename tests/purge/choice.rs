//! `--keep`, `--older-than`, names, `--dry-run` and `--json`.

use serde_json::Value;

use nixos_lustrate::engine::time::Timestamp;

use crate::common::command::on;
use crate::common::image::{Fs, Image, Mounted};
use crate::common::manifest::Manifest;
use crate::common::population::assert_untouched;
use crate::common::skip::Skipped;
use crate::common::text::{says, unfolded};
use crate::common::{or_skip, require_root, sys};
use crate::scene::{assert_only_gone, lustrated, old_roots, purge, record_time, stock};

const DAY: u64 = 86_400;
const A: &str = "old-root-20240102T030405Z";
const B: &str = "old-root-20240102T030405Z-2";
const LEFT: &str = "old-root.purge-20240102T030405Z";
const C: &str = "old-root-20240102T030405Z-10";

fn days_ago(days: u64) -> u64 {
    Timestamp::now().0 - days * DAY
}

/// Four old roots: of 40, 30, 20 and, the newest by its name, 10 days ago, two
/// of the stock function.
fn four() -> Result<(Image, Mounted), Skipped> {
    lustrated(Fs::Tmpfs, |root| {
        root.rename("old-root", C);
        root.file("etc/NIXOS_LUSTRATE", "");
        on("run", root.path).expect(0);
        record_time(root.path, C, days_ago(20));
        record_time(root.path, "old-root", days_ago(10));
        // The marker was written before, whatever clock the lustration had.
        for name in [C, "old-root"] {
            sys::set_mtime(&root.at(format!("{name}/etc/NIXOS_LUSTRATE")), 1_500_000_000)
                .expect("an mtime");
        }
        stock(root, A, days_ago(40));
        stock(root, B, days_ago(30) - 60);
        Ok(())
    })
}

fn left(arguments: &[&str]) -> Result<Vec<String>, Skipped> {
    let (_image, mounted) = four()?;
    let before = Manifest::of(mounted.path());
    let all = old_roots(mounted.path());
    purge(mounted.path(), &[&["--yes"], arguments].concat()).expect(0);
    let left = old_roots(mounted.path());
    let gone: Vec<&str> = all.iter().filter(|n| !left.contains(n)).map(String::as_str).collect();
    assert_only_gone(&before, &Manifest::of(mounted.path()), &gone);
    Ok(left)
}

#[test]
fn the_newest_stay_and_the_young() {
    require_root!();
    for (arguments, want) in [
        (&[][..], &[][..]),
        (&["--keep", "0"], &[]),
        (&["--keep", "1"], &["old-root"]),
        (&["--keep", "2"], &["old-root", C]),
        (&["--keep", "3"], &["old-root", C, B]),
        (&["--keep", "4"], &["old-root", A, C, B]),
        (&["--keep", "400"], &["old-root", A, C, B]),
        (&["--older-than", "5d"], &[]),
        (&["--older-than", "15d"], &["old-root"]),
        (&["--older-than", "3w"], &["old-root", C]),
        (&["--older-than", "30d"], &["old-root", C]),
        (&["--older-than", "721h"], &["old-root", C, B]),
        (&["--older-than", "43202m"], &["old-root", C, B]),
        (&["--older-than", "99999999s"], &["old-root", A, C, B]),
        // Both have to say so.
        (&["--keep", "1", "--older-than", "5d"], &["old-root"]),
        (&["--keep", "3", "--older-than", "15d"], &["old-root", C, B]),
        (&[A, C], &["old-root", B]),
    ] {
        assert_eq!(or_skip!(left(arguments)), want, "{arguments:?}");
    }
}

#[test]
fn with_one_old_root_keep_1_does_nothing() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |_| Ok(())));
    let before = Manifest::of(mounted.path());
    let ended = purge(mounted.path(), &["--yes", "--keep", "1"]).expect(0);
    let root = mounted.path().display();
    assert_eq!(ended.err(), format!("{root}: there is nothing to purge; 1 old root stays\n"));
    assert_untouched(&before, &Manifest::of(mounted.path()));
}

/// A board without a clock of its own lustrates in 1970, or when its systemd was
/// built.
#[test]
fn a_wrong_clock_does_not_make_an_old_root_old() {
    require_root!();
    for (time, why) in [
        (0, "its time cannot be right; name it to remove it"),
        (days_ago(900), "not older than 30d"),
    ] {
        let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| {
            record_time(root.path, "old-root", time);
            let marker = if time == 0 { 1_000_000 } else { days_ago(1) };
            let marker = i64::try_from(marker).expect("a time");
            sys::set_mtime(&root.at("old-root/etc/NIXOS_LUSTRATE"), marker).expect("an mtime");
            Ok(())
        }));
        let older = ["--older-than", "30d"];
        let dry = purge(mounted.path(), &[&older[..], &["--dry-run"]].concat()).expect(0);
        assert!(says(&dry.out(), why), "{}", dry.out());
        purge(mounted.path(), &[&older[..], &["--yes"]].concat()).expect(0);
        assert_eq!(old_roots(mounted.path()), ["old-root"]);
        purge(mounted.path(), &["--yes", "old-root"]).expect(0);
    }
}

#[test]
fn a_dry_run_says_what_would_go_and_touches_nothing() {
    require_root!();
    let (_image, mounted) = or_skip!(four());
    let root = mounted.path();
    let before = Manifest::of(root);
    let ended = purge(root, &["--dry-run", "--keep", "2", "--older-than", "35d"]).expect(0);
    let out = ended.out();
    let first = format!("{}: 1 old root to remove. This cannot be undone. ", root.display());
    assert!(unfolded(&out).starts_with(&first), "{out}");
    for want in [
        format!("Goes: /{A} Arch Linux, 2 entries, since "),
        format!(" /{} ", "old-root"),
        ": one of the newest 2".into(),
        ": not older than 35d".into(),
    ] {
        assert!(says(&out, &want), "no {want:?} in\n{out}");
    }
    assert!(!says(&out, "goes the way back"), "{out}");
    let wide = out.lines().skip(1).find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
    let all = purge(root, &["--dry-run"]).expect(0).out();
    assert!(says(&all, "With /old-root goes the way back: no revert can bring "), "{all}");
    assert_untouched(&before, &Manifest::of(root));
}

#[test]
fn json_tells_what_goes_what_stays_and_what_went() {
    require_root!();
    let (_image, mounted) = or_skip!(four());
    let root = mounted.path();
    let json = |more: &[&str], code| -> Value {
        let ended = purge(root, &[&["--json", "--keep", "1"], more].concat()).expect(code);
        serde_json::from_str(&ended.out()).expect("JSON")
    };
    let names = |document: &Value, field: &str| -> Vec<String> {
        let list = document[field].as_array().expect("a list");
        list.iter().map(|c| c["name"].as_str().expect("a name").to_owned()).collect()
    };
    for (more, removed) in [(["--dry-run"], false), (["--yes"], true)] {
        let document = json(&more, 0);
        assert_eq!(document["root"], root.to_str().expect("UTF-8"));
        assert_eq!(names(&document, "remove"), [A, B, C]);
        assert_eq!(names(&document, "stay"), ["old-root"]);
        assert_eq!(document["stay"][0]["why"], "the newest");
        assert_eq!(document["remove"][0]["system"], "Arch Linux");
        assert_eq!(document["removed"].is_u64(), removed);
        assert_eq!(document["refusals"], Value::Array(Vec::new()));
    }
    crate::common::trees::Root { path: root, fs: Fs::Tmpfs }.file("etc/NIXOS_LUSTRATE", "");
    let ended = purge(root, &["--json", "--yes"]).expect(3);
    let document: Value = serde_json::from_str(&ended.out()).expect("JSON");
    let found = document["refusals"][0]["found"].as_str().expect("a text");
    assert!(found.ends_with("/etc/NIXOS_LUSTRATE asks for a lustration that has not begun"));
}

/// With `everyBoot`, an exchange takes what an interrupted purge left into the
/// next old root; a purge finds it there, also when that root stays.
#[test]
fn what_an_interrupted_purge_left_is_found_in_an_old_root_too() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        root.file(format!("{LEFT}/half/file"), "");
        root.file("etc/NIXOS_LUSTRATE", "");
        on("run", root.path).expect(0);
        root.file(format!("{LEFT}-2/half/file"), "");
        // Not ours.
        root.file("old-root.purged/file", "");
        root.file("old-root/old-root.purge/file", "");
        Ok(())
    }));
    let root = mounted.path();
    let before = Manifest::of(root);
    let nested = format!("old-root/{LEFT}");
    assert!(before.get(nested.as_bytes()).is_some(), "an exchange takes it for an entry");
    let second = format!("{LEFT}-2");
    purge(root, &["--yes", "--keep", "2"]).expect(0).says(&[&nested, &second]);
    assert_only_gone(&before, &Manifest::of(root), &[&nested, &second]);
}

/// On a machine that was never lustrated, somebody's own directories.
#[test]
fn what_nothing_shows_to_be_an_old_root_goes_by_its_name_only() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| {
        root.file("old-root-20240102T030405Z/photo.jpg", "mine");
        Ok(())
    }));
    let root = mounted.path();
    let name = "old-root-20240102T030405Z";
    let why = "nothing in it shows an old system; name it to remove it";
    // Nor does it stand for one that --keep spares.
    let shown = purge(root, &["--dry-run", "--keep", "1"]).expect(0);
    assert!(says(&shown.out(), why) && says(&shown.out(), "the newest"), "{}", shown.out());
    let before = Manifest::of(root);
    purge(root, &["--yes"]).expect(0);
    assert_only_gone(&before, &Manifest::of(root), &["old-root"]);
    let again = purge(root, &["--yes"]).expect(0);
    assert!(says(&again.err(), "nothing to purge; 1 old root stays"), "{}", again.err());
    let before = Manifest::of(root);
    purge(root, &["--yes", name]).expect(0);
    assert_only_gone(&before, &Manifest::of(root), &[name]);
}
