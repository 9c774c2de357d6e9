//! Full disks (I9): with any number of free blocks and inodes, from none on, a run
//! is refused as if it had never been called, or done; and what is done is undone
//! also when NixOS has filled the disk since, inodes as well.
//!
//! In steps of one with `SPACE_STEPS=all`; else every N-th, so that it ends within
//! two minutes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::command::{Ended, arguments, on};
use common::image::{Fs, Image, Options};
use common::strace::{self, Call, Fault};
use common::trees::{Case, Root};
use common::{or_skip, require_root};
use nix::fcntl::{FallocateFlags, fallocate};

/// What is left on a disk.
#[derive(Clone, Copy, Debug)]
enum Left {
    Blocks(u64),
    Inodes(u64),
}

fn step(usually: usize) -> usize {
    match std::env::var("SPACE_STEPS").as_deref() {
        Ok("all") => 1,
        _ => usually,
    }
}

/// Files in `/nix`, which no run touches, that take all there is but what is left.
fn fill(root: &Path, block: u64, left: Option<Left>) {
    let directory = root.join("nix/filler");
    fs::create_dir_all(&directory).ok();
    let filler = OpenOptions::new().append(true).create(true).open(directory.join("blocks"));
    let files = || {
        let mut made: Vec<PathBuf> = Vec::new();
        loop {
            let path = directory.join(format!("{}-{}", std::process::id(), made.len()));
            match File::create_new(&path) {
                Ok(_) => made.push(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => made.push(path),
                Err(_) => return made,
            }
        }
    };
    let blocks = |file: &File| {
        let mut piece = 1i64 << 28;
        while piece >= 512 {
            let end = i64::try_from(file.metadata().unwrap().len()).unwrap();
            if fallocate(file, FallocateFlags::empty(), end, piece).is_err() {
                piece /= 2;
            }
        }
        file.sync_all().unwrap();
    };
    match left {
        Some(Left::Inodes(left)) => {
            for path in files().iter().rev().take(usize::try_from(left).unwrap()) {
                fs::remove_file(path).unwrap();
            }
        }
        Some(Left::Blocks(left)) => {
            let file = filler.unwrap();
            blocks(&file);
            let length = file.metadata().unwrap().len();
            file.set_len(length.saturating_sub(left * block)).unwrap();
        }
        None => {
            files();
            // Without an inode for it there may be an older one.
            if let Ok(file) = filler {
                blocks(&file);
            }
            files();
            let more = directory.join("one-more");
            assert!(fs::write(more, [0; 1024]).is_err(), "the disk is not full");
        }
    }
    common::sys::sync_file_system(&File::open(root).unwrap()).unwrap();
}

/// What must not change: each path with its inode, owner and mode, and what tells
/// that somebody was there.
type Seen = BTreeMap<PathBuf, (u64, u32, u32, u32)>;

fn seen(root: &Path) -> (Seen, BTreeMap<PathBuf, (i64, i64, u64)>) {
    let (mut found, mut times) = (Seen::new(), BTreeMap::new());
    let mut todo = vec![root.to_path_buf()];
    while let Some(path) = todo.pop() {
        let meta = path.symlink_metadata().unwrap();
        let below = path.strip_prefix(root).unwrap().to_path_buf();
        if ["nix/filler", "nixos-root"].iter().any(|own| below.starts_with(own)) {
            continue;
        }
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(below.clone(), (meta.ino(), meta.mode(), meta.uid(), meta.gid()));
        times.insert(below, (meta.mtime(), meta.mtime_nsec(), meta.nlink()));
    }
    (found, times)
}

fn told(ended: &Ended) -> String {
    format!("exit status {}: {}", ended.code, ended.err())
}

/// One disk: there, and back on a full one.
fn there_and_back(image: &Image, block: u64, left: Left) -> Result<bool, common::skip::Skipped> {
    let mounted = image.mount()?;
    let root = mounted.path();
    fill(root, block, Some(left));
    let before = seen(root);
    let run = on("run", root);
    if run.code == 3 {
        let after = seen(root);
        assert_eq!(before.0, after.0, "{left:?}: a refusal has changed something");
        assert_eq!(before.1, after.1, "{left:?}: a refusal has left a trace");
        assert!(run.err().contains("would have stopped part-way"), "{left:?}: {}", told(&run));
        return Ok(false);
    }
    assert_eq!(run.code, 0, "{left:?}: {}", told(&run));
    fill(root, block, None);
    let revert = on("revert", root);
    assert_eq!(revert.code, 0, "{left:?}, filled: {}", told(&revert));
    let mut want = before.0;
    want.remove(Path::new("etc/NIXOS_LUSTRATE"));
    assert_eq!(want, seen(root).0, "{left:?}: not what it was");
    Ok(true)
}

/// The same killed on its way there; then somebody fills the disk, and it goes back.
fn cut_and_back(image: &Image, block: u64, left: Left) -> Result<(), common::skip::Skipped> {
    let mounted = image.mount()?;
    let root = mounted.path();
    fill(root, block, Some(left));
    let before = seen(root);
    let Left::Blocks(seed) = left else { unreachable!("only of blocks") };
    let nth = 3 + usize::try_from(seed).unwrap() % 50;
    let call = Call { name: "renameat2".into(), nth, line: String::new() };
    let run = strace::run_with(Fault::Kill, &call, arguments("run", root, &[]));
    if run.code == 3 || !root.join("old-root.tmp/.lustrate/intent").exists() {
        return Ok(());
    }
    fill(root, block, None);
    let revert = on("revert", root);
    assert_eq!(revert.code, 0, "{left:?}, killed at rename {nth}, filled: {}", told(&revert));
    let mut want = before.0;
    want.remove(Path::new("etc/NIXOS_LUSTRATE"));
    assert_eq!(want, seen(root).0, "{left:?}, killed at rename {nth}: not what it was");
    Ok(())
}

/// A typical root with some more entries, of short names and of long ones.
fn template(options: &Options, length: usize) -> Result<Image, common::skip::Skipped> {
    let image = Image::with(options)?;
    let mounted = image.mount()?;
    let root = Root { path: mounted.path(), fs: options.fs };
    (Case::TYPICAL.base)(&root, Case::TYPICAL.keep);
    for at in 0..40 {
        let name = format!("{at:x<length$}");
        root.file(&name, "");
    }
    drop(mounted);
    Ok(image)
}

fn each(options: &Options, block: u64, steps: &(impl Iterator<Item = Left> + Clone)) {
    or_skip!(strace::available());
    for length in [3, 255] {
        let image = or_skip!(template(options, length));
        let (mut refused, mut done) = (0, 0);
        for left in steps.clone() {
            let whole = or_skip!(there_and_back(&image.snapshot(), block, left));
            *(if whole { &mut done } else { &mut refused }) += 1;
            if whole && matches!(left, Left::Blocks(_)) {
                or_skip!(cut_and_back(&image.snapshot(), block, left));
            }
        }
        println!("{options:?}, names of {length}: {refused} refused, {done} there and back");
        assert!(refused > 0 && done > 0, "{refused} refused, {done} done: the steps miss the edge");
    }
}

fn blocks(most: u64, usually: usize) -> impl Iterator<Item = Left> + Clone {
    (0..most).step_by(step(usually)).map(Left::Blocks)
}

#[test]
fn any_number_of_blocks_on_ext4_with_small_blocks() {
    require_root!();
    let options =
        Options::new(Fs::Ext4).size_mib(24).mkfs(&["-b", "1024", "-N", "2048", "-m", "0"]);
    each(&options, 1024, &blocks(900, 61));
}

#[test]
fn any_number_of_blocks_on_ext4_with_large_blocks() {
    require_root!();
    let options =
        Options::new(Fs::Ext4).size_mib(24).mkfs(&["-b", "4096", "-N", "2048", "-m", "0"]);
    each(&options, 4096, &blocks(300, 19));
}

#[test]
fn any_number_of_blocks_on_xfs() {
    require_root!();
    each(&Options::new(Fs::Xfs), 4096, &blocks(500, 37));
}

#[test]
fn any_number_of_inodes_on_ext4() {
    require_root!();
    let options = Options::new(Fs::Ext4).size_mib(24).mkfs(&["-N", "512", "-m", "0"]);
    each(&options, 4096, &(0..48).step_by(step(4)).map(Left::Inodes));
}

#[test]
fn any_number_of_inodes_on_tmpfs() {
    require_root!();
    for (at, length) in [3, 255].into_iter().cycle().take(48).enumerate().step_by(step(4)) {
        let options = Options::new(Fs::Tmpfs).mount("nr_inodes=600");
        let image = or_skip!(Image::with(&options));
        let mounted = or_skip!(image.mount());
        let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
        (Case::TYPICAL.base)(&root, Case::TYPICAL.keep);
        root.file(format!("{at:x<length$}"), "");
        fill(mounted.path(), 4096, Some(Left::Inodes(at as u64)));
        let before = seen(mounted.path());
        let run = on("run", mounted.path());
        if run.code == 3 {
            assert_eq!(before, seen(mounted.path()), "{at}: a refusal has changed something");
            continue;
        }
        assert_eq!(run.code, 0, "{at}: {}", told(&run));
        fill(mounted.path(), 4096, None);
        let revert = on("revert", mounted.path());
        assert_eq!(revert.code, 0, "{at}: {}", told(&revert));
        let mut want = before.0;
        want.remove(Path::new("etc/NIXOS_LUSTRATE"));
        assert_eq!(want, seen(mounted.path()).0, "{at}: not what it was");
    }
}

/// As version 0.1.0 left it: a record in format 1, and nothing that waits.
fn as_an_earlier_version(root: &Path) {
    let meta = root.join("old-root/.lustrate");
    for entry in fs::read_dir(&meta).unwrap().map(Result::unwrap) {
        match entry.file_name().to_str().unwrap() {
            "record" => {}
            "draft" => fs::remove_dir(entry.path()).unwrap(),
            _ => fs::remove_file(entry.path()).unwrap(),
        }
    }
    fs::set_permissions(root.join("old-root"), fs::Permissions::from_mode(0o755)).unwrap();
    let record = fs::read_to_string(meta.join("record")).unwrap();
    let mut lines: Vec<_> = record.lines().filter(|line| !line.starts_with('?')).collect();
    lines.pop();
    let end = format!("end {}", lines.len());
    lines[0] = "nixos-lustrate-intent 1";
    lines.push(&end);
    fs::write(meta.join("record"), lines.join("\n") + "\n").unwrap();
}

/// Nothing was taken for it: it is refused on a full disk, and done on another.
#[test]
fn an_old_root_of_an_earlier_version_comes_back() {
    require_root!();
    for kind in [Fs::Ext4, Fs::Xfs] {
        let image = or_skip!(template(&Options::new(kind), 3));
        let mounted = or_skip!(image.mount());
        let root = mounted.path();
        let before = seen(root);
        on("run", root).expect(0);
        as_an_earlier_version(root);
        fill(root, 4096, None);
        let lustrated = seen(root);
        let refused = on("revert", root).expect(3);
        refused.says(&["No space left on device", "would have stopped part-way"]);
        assert_eq!(lustrated, seen(root), "a refusal has changed something");
        fs::remove_dir_all(root.join("nix/filler")).unwrap();
        on("revert", root).expect(0);
        let mut want = before.0;
        want.remove(Path::new("etc/NIXOS_LUSTRATE"));
        assert_eq!(want, seen(root).0, "not what it was");
        let mode = root.join("nixos-root").metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

/// btrfs takes metadata for each rename, and nothing can be set aside: below the
/// margin both directions are refused, with nothing touched.
#[test]
fn a_full_btrfs_is_refused_or_done() {
    require_root!();
    let options = Options::new(Fs::Btrfs).size_mib(128);
    for inodes in [0, 1_000] {
        let image = or_skip!(template(&options, 255));
        let mounted = or_skip!(image.mount());
        let root = mounted.path();
        fill(root, 4096, Some(Left::Inodes(inodes)));
        let before = seen(root);
        let run = on("run", root);
        if run.code == 3 {
            assert_eq!(before, seen(root), "a refusal has changed something");
            assert!(run.err().contains("MiB left for metadata"), "{}", told(&run));
        } else {
            assert_eq!(run.code, 0, "{}", told(&run));
        }
    }
    let image = or_skip!(template(&options, 3));
    let mounted = or_skip!(image.mount());
    let root = mounted.path();
    let before = seen(root);
    on("run", root).expect(0);
    fill(root, 4096, None);
    let lustrated = seen(root);
    let revert = on("revert", root);
    if revert.code == 3 {
        assert_eq!(lustrated, seen(root), "a refusal has changed something");
    } else {
        assert_eq!(revert.code, 0, "{}", told(&revert));
        let mut want = before.0;
        want.remove(Path::new("etc/NIXOS_LUSTRATE"));
        assert_eq!(want, seen(root).0, "not what it was");
    }
}

fn btrfs(arguments: &[&str], root: &Path) -> String {
    let output = Command::new("btrfs").args(arguments).arg(root).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `EDQUOT`, where a disk has room and its user has not. On btrfs, where nothing can be
/// set aside, a run within some hundred KiB of its limit may stop; whatever happens, it
/// says so, and once there is room it goes back. Quotas of projects on ext4 answer with
/// the same; not every kernel has them, so `crash` lets each call end with it.
#[test]
fn an_exhausted_quota_closes_no_way_back() {
    require_root!();
    let image = or_skip!(template(&Options::new(Fs::Btrfs), 3));
    let (mut refused, mut done) = (0, 0);
    for left in (0..2_400).step_by(step(300)) {
        let image = image.snapshot();
        let mounted = or_skip!(image.mount());
        let root = mounted.path();
        btrfs(&["quota", "enable"], root);
        btrfs(&["quota", "rescan", "-w"], root);
        let shown = btrfs(&["qgroup", "show", "--raw", "--sync"], root);
        let used = shown.lines().find_map(|line| line.strip_prefix("0/5 ")).unwrap();
        let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
        btrfs(&["qgroup", "limit", &(used + left * 1024).to_string()], root);
        let before = seen(root);
        let run = on("run", root);
        if run.code == 3 {
            assert_eq!(before, seen(root), "{left} KiB: a refusal has changed something");
            assert!(run.err().contains("Quota exceeded"), "{left} KiB: {}", told(&run));
            refused += 1;
            continue;
        }
        let quota = |ended: &Ended| {
            let known = ended.code == 0 || ended.err().contains("Quota exceeded");
            assert!(known, "{left} KiB: {}", told(ended));
        };
        quota(&run);
        done += usize::from(run.code == 0);
        fill(root, 4096, Some(Left::Blocks(0)));
        let lustrated = seen(root);
        let revert = on("revert", root);
        quota(&revert);
        if revert.code == 3 {
            assert_eq!(lustrated, seen(root), "{left} KiB: a refusal has changed something");
        }
        if revert.code != 0 {
            btrfs(&["qgroup", "limit", "none"], root);
            on("revert", root).expect(0);
        }
        let mut want = before.0;
        want.remove(Path::new("etc/NIXOS_LUSTRATE"));
        assert_eq!(want, seen(root).0, "{left} KiB: not what it was");
    }
    assert!(refused > 0 && done > 0, "{refused} refused, {done} done: the steps miss the edge");
}
