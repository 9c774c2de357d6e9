//! Every odd tree of the table, lustrated by the program and then purged.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use crate::common::command::on;
use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::text::says;
use crate::common::trees::{self, Case, Root};
use crate::common::{require_root, skip};
use crate::scene::{Canary, assert_only_gone, old_roots, purge};

/// Links out of the old root, as far as the disk has room for them.
fn plant_links(root: &Path, canary: &Path) {
    let old = root.join("old-root");
    for (name, target) in [
        ("to-canary", canary.to_path_buf()),
        ("to-canary-dir", canary.join("deep")),
        ("to-root", "../home".into()),
        ("to-nix", root.join("nix")),
    ] {
        let _ = std::os::unix::fs::symlink(target, old.join(name));
    }
}

fn lustrate_and_purge(case: &Case, root: &Path, fs: Fs) {
    let ended = on("run", root);
    let held = old_roots(root);
    if ended.code != 0 || !held.iter().any(|name| name == "old-root") {
        return;
    }
    let canary = Canary::new();
    if Manifest::of(root).get(b"old-root").is_some_and(|n| n.flags == 0) {
        plant_links(root, &canary.path);
    }
    let before = Manifest::of(root);
    // Names that look like it and are none of ours.
    let ours = held.iter().map(String::as_str);
    let ours = ours.filter(|name| name.starts_with("old-root") && *name != "old-root-backup");
    // What somebody has protected stays.
    let is_flagged = |name: &&str| before.get(name.as_bytes()).is_some_and(|n| n.flags != 0);
    let (stay, gone): (Vec<&str>, Vec<&str>) = ours.partition(is_flagged);
    let ended = purge(root, &["--yes"]).expect(0);
    for name in &gone {
        let said = format!("Removed {}/{name}: ", root.display());
        assert!(says(&ended.err(), &said), "{}: {}", case.name, ended.err());
    }
    assert_only_gone(&before, &Manifest::of(root), &gone);
    canary.assert_alive();
    let again = purge(root, &["--yes"]).expect(0);
    let stay = match stay.len() {
        0 => String::new(),
        1 => "; 1 old root stays".to_owned(),
        many => format!("; {many} old roots stay"),
    };
    assert_eq!(again.err(), format!("{}: there is nothing to purge{stay}\n", root.display()));
    let reverted = on("revert", root).expect(0);
    let nothing = format!("{}: there is nothing to revert\n", root.display());
    assert_eq!(reverted.err(), nothing, "{} on {}", case.name, fs.name());
}

fn every_tree(fs: Fs) {
    require_root!();
    let (mut failed, mut purged) = (Vec::new(), 0);
    for case in trees::all().into_iter().filter(|case| case.on.contains(&fs)) {
        match case.make(fs) {
            Ok((_image, root)) => {
                println!("{} on {}", case.name, fs.name());
                let check = || lustrate_and_purge(case, root.path(), fs);
                match std::panic::catch_unwind(AssertUnwindSafe(check)) {
                    Ok(()) => purged += 1,
                    Err(_) => failed.push(case.name),
                }
            }
            Err(why) => skip::say(&why),
        }
    }
    assert!(failed.is_empty(), "on {}: {failed:?}", fs.name());
    assert!(purged > 50, "on {}: only {purged} trees", fs.name());
}

#[test]
fn every_tree_is_purged_on_ext4() {
    every_tree(Fs::Ext4);
}

#[test]
fn every_tree_is_purged_on_xfs() {
    every_tree(Fs::Xfs);
}

#[test]
fn every_tree_is_purged_on_btrfs() {
    every_tree(Fs::Btrfs);
}

#[test]
fn every_tree_is_purged_on_tmpfs() {
    every_tree(Fs::Tmpfs);
}

/// What a revert has set aside goes by name only, and the old system stays.
#[test]
fn what_a_revert_set_aside_goes_by_name_only() {
    require_root!();
    let (_image, mounted) = crate::common::or_skip!(Case::TYPICAL.make(Fs::Ext4));
    let root = mounted.path();
    on("run", root).expect(0);
    Root { path: root, fs: Fs::Ext4 }.file("var/lib/nixos/uid-map", "{}");
    on("revert", root).expect(0);
    let before = Manifest::of(root);
    purge(root, &["--yes"]).expect(0).says(&["there is nothing to purge"]);
    assert_only_gone(&before, &Manifest::of(root), &[]);
    purge(root, &["--yes", "/nixos-root"]).expect(0).says(&["Removed ", "/nixos-root: "]);
    assert_only_gone(&before, &Manifest::of(root), &["nixos-root"]);
}
