//! Lustrations and reverts of one root, one after the other: each old root and
//! each NixOS root has its name, and nothing nests or is lost.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::changed;
use crate::common::command::{arguments, on};
use crate::common::compare::Excuse;
use crate::common::image::{Fs, Image, Mounted, Options};
use crate::common::manifest::{IMMUTABLE, Manifest};
use crate::common::population::{assert_nothing_lost, assert_same_population};
use crate::common::skip::Skipped;
use crate::common::strace::{self, Call, Fault};
use crate::common::text::says;
use crate::common::trees::typical::KEEPERS;
use crate::common::trees::{self, Case, Root};
use crate::common::{or_skip, require_root};

fn root(mounted: &Mounted) -> Root<'_> {
    Root { path: mounted.path(), fs: Fs::Tmpfs }
}

/// What a boot of NixOS leaves in a lustrated root.
fn boot_nixos(root: &Root<'_>, note: &str) {
    root.link("etc/static", "/nix/store/etc");
    root.link("etc/os-release", "/etc/static/os-release");
    root.file("etc/nixos/configuration.nix", "{ changed = true; }\n");
    root.file("var/lib/nixos/uid-map", note);
    root.file(".hidden", note);
    root.link("bin/sh", "/nix/store/sh");
}

fn names(root: &Path, beginning: &str) -> Vec<String> {
    let names = std::fs::read_dir(root).expect("the root");
    let names = names.map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.filter(|n| n.starts_with(beginning)).collect();
    names.sort();
    names
}

/// Names have a resolution of a second.
fn later() {
    std::thread::sleep(Duration::from_millis(1100));
}

fn is_dated(name: &str, base: &str) -> bool {
    let time = name.strip_prefix(base).and_then(|rest| rest.strip_prefix('-'));
    time.is_some_and(|t| t.len() == 16 && t.starts_with("20") && t.ends_with('Z'))
}

#[test]
fn a_second_and_a_third_lustration_date_the_older_roots() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let path = mounted.path();
    let mut old = Vec::new();
    for n in 1..=3 {
        let before = Manifest::of(path);
        on("run", path).expect(0);
        let roots = names(path, "old-root");
        assert_eq!(roots.len(), n);
        assert_eq!(roots[0], "old-root");
        assert!(roots[1..].iter().all(|name| is_dated(name, "old-root")), "{roots:?}");
        // Each has what it had, and none is in another.
        old.push(before.get(b"usr").map(|usr| usr.id));
        let now = Manifest::of(path);
        let holders = roots.iter().map(|r| now.get(format!("{r}/usr").as_bytes()).map(|u| u.id));
        let mut holders: Vec<_> = holders.collect();
        holders.rotate_left(1);
        assert_eq!(holders, old);
        assert!(names(&path.join("old-root"), "old-root").is_empty());
        assert_nothing_lost(
            &before,
            &now,
            &Excuse::none().touched(b"").touched(b"etc").parents_of(KEEPERS),
        );
        root(&mounted).file("usr/bin/next", n.to_string());
        root(&mounted).file("etc/NIXOS_LUSTRATE", trees::typical::KEEP);
        later();
    }
    let status = on("status", path).expect(0).out();
    assert!(says(&status, "/old-root-20"), "{status}");
}

#[test]
fn a_revert_after_a_second_lustration_gives_the_older_root_its_name_back() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let path = mounted.path();
    on("run", path).expect(0);
    boot_nixos(&root(&mounted), "first");
    root(&mounted).file("etc/NIXOS_LUSTRATE", "home\n");
    let before = Manifest::of(path);
    later();
    on("run", path).expect(0);
    boot_nixos(&root(&mounted), "second");
    on("revert", path).expect(0);
    assert_same_population(&before, &Manifest::of(path), &[b"home"]);
    assert_eq!(names(path, "old-root"), ["old-root"]);
    // The first is not reverted by asking twice.
    on("revert", path).expect(0).says(&["there is nothing to revert"]);
    assert_same_population(&before, &Manifest::of(path), &[b"home"]);
    assert!(says(&on("status", path).expect(0).out(), ": reverted What is where: "));
}

/// Also where what NixOS wrote cannot have its first name: that is the administrator's.
#[test]
fn a_revert_given_twice_beside_a_foreign_nixos_root_reverts_once() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let path = mounted.path();
    on("run", path).expect(0);
    boot_nixos(&root(&mounted), "first");
    root(&mounted).file("nixos-root/mine", "mine");
    root(&mounted).file("etc/NIXOS_LUSTRATE", "home\n");
    let before = Manifest::of(path);
    later();
    on("run", path).expect(0);
    boot_nixos(&root(&mounted), "second");
    let said = on("revert", path).expect(0);
    said.says(&["the old system is back; what NixOS wrote is in /nixos-root-2"]);
    assert_same_population(&before, &Manifest::of(path), &[b"home"]);
    on("revert", path).expect(0).says(&["there is nothing to revert"]);
    assert_same_population(&before, &Manifest::of(path), &[b"home"]);
    assert!(says(&on("status", path).expect(0).out(), ": reverted What is where: "));
}

/// README's own advice, `chattr +i /old-root`, for all that an exchange renames.
#[test]
fn old_roots_of_ours_that_are_immutable_keep_nothing_from_coming_back() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Ext4, |_| {}));
    let (path, root) = (mounted.path(), Root { path: mounted.path(), fs: Fs::Ext4 });
    on("run", path).expect(0);
    on("revert", path).expect(0);
    or_skip!(root.flags("nixos-root", IMMUTABLE));
    root.file("etc/NIXOS_LUSTRATE", "home\n");
    later();
    on("run", path).expect(0);
    boot_nixos(&root, "first");
    root.file("etc/NIXOS_LUSTRATE", "home\n");
    let before = Manifest::of(path);
    later();
    on("run", path).expect(0);
    let dated = names(path, "old-root-").pop().expect("the older one");
    or_skip!(root.flags(&dated, IMMUTABLE));
    on("revert", path).expect(0);
    let mut after = Manifest::of(path);
    let old_root = after.nodes.get_mut(&b"old-root"[..]).expect("the older one");
    assert_eq!(std::mem::take(&mut old_root.flags) & IMMUTABLE, IMMUTABLE);
    assert_same_population(&before.without(b"nixos-root"), &after, &[b"home"]);
    // The first one keeps its name, too.
    assert_eq!(before.nodes[&b"nixos-root"[..]].id, after.nodes[&b"nixos-root"[..]].id);
}

/// What tells one file from another in a copy.
fn contents(root: &Path) -> Vec<String> {
    let nodes = Manifest::of(root).nodes.into_iter();
    let ours = |path: &[u8]| path.starts_with(b"nixos-root") || path == b"etc/NIXOS_LUSTRATE";
    let nodes = nodes.filter(|(path, _)| !ours(path) && !path.is_empty() && path != b"lost+found");
    let show = |(path, node): (Vec<u8>, crate::common::manifest::Node)| {
        let target = node.target.unwrap_or_default();
        let what =
            (node.kind, node.mode, node.owner, node.content, target.escape_ascii().to_string());
        format!("{}: {what:?}", path.escape_ascii())
    };
    nodes.map(show).collect()
}

/// Months later it may have been copied to another disk, or be on a file system that
/// was made smaller: other inode numbers.
#[test]
fn a_finished_old_root_comes_back_with_other_inode_numbers() {
    require_root!();
    // By the seed ext4 chooses the group of a directory: here one that is cut off.
    let seed = "hash_seed=6b33f586-a183-4383-921d-30da3fef2e5c";
    let options = Options::new(Fs::Ext4).size_mib(256);
    let image = or_skip!(Image::with(&options.mkfs(&["-b", "1024", "-g", "8192", "-E", seed])));
    let mounted = or_skip!(image.mount());
    Case::TYPICAL.build_in(mounted.path(), Fs::Ext4).expect("a typical root");
    let original = contents(mounted.path());
    on("run", mounted.path()).expect(0);
    let number = |mounted: &Mounted| {
        std::os::unix::fs::MetadataExt::ino(
            &mounted.path().join("old-root/.lustrate").metadata().expect("the directory"),
        )
    };
    let before = number(&mounted);
    // A copy of all.
    let copy = or_skip!(Image::new(Fs::Xfs));
    let copied = or_skip!(copy.mount());
    let from = mounted.path().join(".");
    let done = Command::new("cp").arg("-a").arg(from).arg(copied.path()).status();
    assert!(done.expect("cp runs").success());
    assert_ne!(before, number(&copied));
    on("revert", copied.path()).expect(0);
    assert_eq!(original, contents(copied.path()));
    // A smaller file system.
    mounted.unmount();
    for tool in [&["e2fsck", "-fy"][..], &["resize2fs", "-M"]] {
        let done = Command::new(tool[0]).args(&tool[1..]).arg(image.file()).output();
        assert!(done.as_ref().is_ok_and(|o| o.status.code() < Some(2)), "{tool:?}: {done:?}");
    }
    // Its inodes may have other numbers now.
    let mounted = or_skip!(image.mount());
    on("revert", mounted.path()).expect(0);
    assert_eq!(original, contents(mounted.path()));
}

#[test]
fn back_and_forth_twice_dates_the_older_nixos_root() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let path = mounted.path();
    let before = Manifest::of(path);
    for (n, note) in [(1, "first"), (2, "second")] {
        on("run", path).expect(0);
        boot_nixos(&root(&mounted), note);
        let said = on("revert", path).expect(0);
        said.says(&["the old system is back; what NixOS wrote is in /nixos-root\n"]);
        assert_eq!(names(path, "nixos-root").len(), n);
        root(&mounted).file("etc/NIXOS_LUSTRATE", trees::typical::KEEP);
        later();
    }
    let roots = names(path, "nixos-root");
    assert!(is_dated(&roots[1], "nixos-root"), "{roots:?}");
    let read = |name: &str| std::fs::read_to_string(path.join(name)).expect("what NixOS wrote");
    assert_eq!(read("nixos-root/var/lib/nixos/uid-map"), "second");
    assert_eq!(read(&format!("{}/var/lib/nixos/uid-map", roots[1])), "first");
    root(&mounted).remove("etc/NIXOS_LUSTRATE");
    let mut before = before;
    // NixOS has written to a keeper: the same inode, with its new content.
    let after = Manifest::of(path);
    let configuration = b"etc/nixos/configuration.nix".to_vec();
    assert_eq!(before.nodes[&configuration].id, after.nodes[&configuration].id);
    before.nodes.insert(configuration.clone(), after.nodes[&configuration].clone());
    assert_same_population(&before, &after, KEEPERS);
}

#[test]
fn what_nixos_wrote_is_kept_by_a_revert() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let path = mounted.path();
    on("run", path).expect(0);
    boot_nixos(&root(&mounted), "written by NixOS");
    root(&mounted).file("home/new-user/file", "kept in home");
    let nixos = Manifest::of(path);
    on("revert", path).expect(0);
    let after = Manifest::of(path);
    for name in ["etc/static", "etc/os-release", "var/lib/nixos/uid-map", ".hidden", "bin/sh"] {
        let there = after.get(format!("nixos-root/{name}").as_bytes()).expect(name);
        assert_eq!(there.id, nixos.get(name.as_bytes()).expect(name).id);
    }
    assert!(after.get(b"home/new-user/file").is_some(), "home has stayed all the time");
    assert!(after.get(b"etc/static").is_none() && after.get(b".hidden").is_none());
    // The file system may be used by nothing but the two systems.
    assert!(says(&on("status", path).expect(0).out(), "/nixos-root "));
}

#[test]
fn a_lustration_by_the_stock_function_can_be_reverted() {
    require_root!();
    for fs in [Fs::Tmpfs, Fs::Ext4] {
        let (_image, mounted) = or_skip!(trees::named("stock-finished").make(fs));
        let path = mounted.path();
        let before = Manifest::of(path);
        on("run", path).expect(0);
        on("revert", path).expect(0);
        let after = Manifest::of(path);
        let old = before.subtree(b"old-root");
        for (name, node) in old.nodes.iter().filter(|(name, _)| !name.is_empty()) {
            if name == b"etc/NIXOS_LUSTRATE" {
                assert!(after.get(name).is_none(), "the marker is back");
                continue;
            }
            let now = after.get(name).unwrap_or_else(|| panic!("{}", name.escape_ascii()));
            assert_eq!(now.id, node.id, "{}", name.escape_ascii());
        }
        // The copies are NixOS's.
        for copy in ["home/alice/letter", "root/.ssh/authorized_keys", "etc/nixos"] {
            let there = after.get(format!("nixos-root/{copy}").as_bytes()).expect(copy);
            assert_eq!(there.id, before.get(copy.as_bytes()).expect(copy).id);
        }
        let excuse = Excuse::none().touched(b"").touched(b"etc").touched(b"old-root/etc");
        let mut population = before.clone();
        population.nodes.remove(&b"old-root"[..]);
        assert_nothing_lost(&population, &after, &excuse);
    }
}

#[test]
fn a_keep_that_comes_too_late_is_said_to_be_ignored() {
    require_root!();
    let (_image, mounted) = or_skip!(crate::states::interrupted("run"));
    let ended = crate::with("run", mounted.path(), &["--keep", "srv"]).expect(0);
    assert!(says(&ended.err(), "warning: --keep is ignored: "), "{}", ended.err());
    assert!(mounted.path().join("old-root/srv").exists());
}

/// The record of a revert is in a dated directory when `nixos-root` is the user's.
#[test]
fn a_cut_before_the_last_flag_is_made_good_whatever_the_new_root_is_called() {
    require_root!();
    or_skip!(strace::available());
    let prepared = || {
        let made = crate::sealed(Fs::Ext4, |root| {
            root.directory("nixos-root", 0o755);
            root.flags("", IMMUTABLE)
        })?;
        on("run", made.1.path()).expect(0);
        Ok::<_, Skipped>(made)
    };
    let last = {
        let (_image, mounted) = or_skip!(prepared());
        strace::trace("ioctl", arguments("revert", mounted.path(), &[])).calls.len()
    };
    let (_image, mounted) = or_skip!(prepared());
    let call = Call { name: "ioctl".into(), nth: last, line: String::new() };
    let ended = strace::run_with(Fault::Kill, &call, arguments("revert", mounted.path(), &[]));
    assert!(ended.was_killed(), "{}", ended.err());
    assert_eq!(names(mounted.path(), "nixos-root-").len(), 1);
    let is_immutable = |path: &Path| Manifest::of(path).get(b"").map(|n| n.flags & IMMUTABLE != 0);
    assert_eq!(is_immutable(mounted.path()), Some(false));
    on("revert", mounted.path()).expect(0);
    assert_eq!(is_immutable(mounted.path()), Some(true));
}
