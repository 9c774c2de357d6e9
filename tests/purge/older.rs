//! Older kernels, and mounts that appear while a purge is at work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::command::{Ended, LIMIT, arguments, binary, run_limited};
use crate::common::image::Fs;
use crate::common::manifest::{IMMUTABLE, Manifest};
use crate::common::{or_skip, require_root, strace, sys};
use crate::scene::{Canary, assert_only_gone, lustrated, old_roots, purge};

/// What such a kernel lacks, as strace injects it.
const LACKING: [&[&str]; 4] = [
    &[],
    &["inject=openat2:error=ENOSYS"],
    &["inject=statx:error=ENOSYS"],
    &["inject=openat2:error=ENOSYS", "inject=statx:error=ENOSYS"],
];

fn traced(root: &Path, injections: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
    for injection in injections {
        command.args(["-e", injection]);
    }
    command.arg("--").arg(binary()).args(arguments("purge", root, &["--yes"]));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LC_ALL", "C").current_dir("/");
    command
}

#[test]
fn without_openat2_and_without_statx_it_does_the_same() {
    require_root!();
    or_skip!(strace::available());
    for fs in Fs::ALL {
        for lacking in LACKING {
            let canary = Canary::new();
            let (_image, mounted) = or_skip!(lustrated(fs, |root| {
                std::os::unix::fs::symlink(&canary.path, root.at("old-root/out")).expect("a link");
                root.file("old-root/locked/inner/file", "");
                root.file("old-root/locked/file", "");
                if fs == Fs::Btrfs {
                    root.subvolume("old-root/sv");
                    root.subvolume("old-root/sv/inner");
                    root.file("old-root/sv/inner/file", "");
                    root.make_subvolume_read_only("old-root/sv/inner");
                    root.make_subvolume_read_only("old-root/sv");
                }
                if fs != Fs::Tmpfs {
                    root.flags("old-root/locked/inner/file", IMMUTABLE)?;
                    root.flags("old-root/locked/inner", IMMUTABLE)?;
                    root.flags("old-root/locked", IMMUTABLE)?;
                }
                Ok(())
            }));
            let before = Manifest::of(mounted.path());
            run_limited(&mut traced(mounted.path(), lacking), LIMIT).expect(0);
            assert_only_gone(&before, &Manifest::of(mounted.path()), &["old-root"]);
            canary.assert_alive();
        }
    }
}

/// `ENOSYS` also for what has to be seen before anything goes.
#[test]
fn without_them_mounts_are_refused_as_well() {
    require_root!();
    or_skip!(strace::available());
    for lacking in LACKING {
        let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| {
            root.mount("old-root/var/lib/deep");
            Ok(())
        }));
        let ended = run_limited(&mut traced(mounted.path(), lacking), LIMIT).expect(3);
        ended.says(&["/old-root/var/lib/deep is a mount point inside an old root"]);
        assert_eq!(old_roots(mounted.path()), ["old-root"]);
    }
}

/// Starts a purge that waits behind its rename, and does something meanwhile to
/// the tree that is going.
fn meanwhile(root: &Path, lacking: &[&str], act: impl FnOnce(&Path)) -> Ended {
    // The kernel lets nobody see the rename before it is done.
    let wait = "inject=syncfs:delay_enter=1500000";
    let root_path = root.to_path_buf();
    let injections = [&[wait], lacking].concat();
    let mut command = traced(root, &injections);
    std::thread::scope(|scope| {
        let purge = scope.spawn(move || run_limited(&mut command, LIMIT));
        act(&renamed(&root_path));
        purge.join().expect("no panic")
    })
}

/// Somebody saves a directory while a purge is far below it: on its way back, it
/// does not go on where that is now.
#[test]
fn a_directory_that_is_moved_away_meanwhile_is_not_followed() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        let deep = format!("old-root/z/{}", "down/".repeat(200));
        root.directory(&deep, 0o755);
        root.file(format!("{deep}file"), "");
        root.directory("srv/saved", 0o755);
        root.file("srv/saved/mine", "");
        Ok(())
    }));
    let root = mounted.path();
    // It empties what comes before, and is at the bottom when it removes the file.
    for entry in std::fs::read_dir(root.join("old-root")).expect("the old root") {
        let entry = entry.expect("an entry");
        let dir = entry.file_type().expect("its type").is_dir();
        match entry.file_name().to_str() {
            Some("z") => {}
            _ if dir => std::fs::remove_dir_all(entry.path()).expect("removed"),
            _ => std::fs::remove_file(entry.path()).expect("removed"),
        }
    }
    let mut command = traced(root, &["inject=unlinkat:delay_enter=3000000:when=1"]);
    command.arg("old-root"); // nothing shows any more that it is one
    let ended = std::thread::scope(|scope| {
        let purge = scope.spawn(move || run_limited(&mut command, LIMIT));
        let going = renamed(root);
        std::thread::sleep(Duration::from_millis(1500));
        let from = going.join("z/down/down/down");
        std::fs::rename(from, root.join("srv/saved/down")).expect("a rename");
        purge.join().expect("no panic")
    });
    ended.expect(1).says(&["/srv/saved/down was moved elsewhere while it was being removed."]);
    assert!(root.join("srv/saved/mine").exists() && root.join("srv/saved/down").exists());
    purge(root, &["--yes"]).expect(0);
    assert_eq!(old_roots(root), [""; 0]);
    assert!(root.join("srv/saved/mine").exists() && root.join("srv/saved/down").exists());
}

fn renamed(root: &Path) -> PathBuf {
    let start = Instant::now();
    loop {
        let name = old_roots(root).into_iter().find(|name| name.starts_with("old-root.purge-"));
        if let Some(name) = name {
            return root.join(name);
        }
        assert!(start.elapsed() < Duration::from_secs(20), "no rename");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_mount_that_appears_meanwhile_is_not_crossed() {
    require_root!();
    or_skip!(strace::available());
    for fs in [Fs::Ext4, Fs::Btrfs] {
        for lacking in LACKING {
            let canary = Canary::new();
            // Another file system, and a directory of the same one.
            for other in [true, false] {
                let (_image, mounted) = or_skip!(lustrated(fs, |root| {
                    root.file("old-root/z/deep/down/file", "");
                    root.file("home/mine/file", "");
                    Ok(())
                }));
                let root = mounted.path();
                let source = if other { canary.path.clone() } else { root.join("home/mine") };
                let mut point = PathBuf::new();
                let ended = meanwhile(root, lacking, |going| {
                    point = going.join("z/deep/down");
                    sys::mount(&source, &point, "none", libc::MS_BIND, "").expect("a bind mount");
                });
                let shown = point.to_str().expect("UTF-8");
                ended.expect(1).says(&[
                    &format!("stopped part-way: {shown} is a mount point, which is not crossed ("),
                    "). So far, ",
                    &format!("removed. Unmount it: umount {shown}\n"),
                    "To go on, give the same command again",
                ]);
                canary.assert_alive();
                let mine = std::fs::read_dir(root.join("home/mine")).expect("the directory");
                assert_eq!(mine.count(), 1);
                sys::unmount(&point, 0).expect("an unmount");
                purge(root, &["--yes"]).expect(0);
                assert_eq!(old_roots(root), [""; 0]);
            }
        }
    }
}
