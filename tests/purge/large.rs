//! Wide and deep trees: time in proportion, memory not.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::command::{LIMIT, arguments, binary, run_limited};
use crate::common::image::{Fs, Options};
use crate::common::trees::{Built, Case, Root};
use crate::common::{or_skip, require_root, sys};
use crate::scene::{old_roots, purge};

/// A purge with little of everything; how much memory it took, in KiB.
fn frugal(root: &Path) -> i64 {
    let mut command = Command::new("prlimit");
    command.args(["--nofile=100", "--stack=262144", "--"]).arg(binary());
    command.args(arguments("purge", root, &["--yes"])).env_clear();
    command.env("PATH", "/usr/bin:/bin").stderr(Stdio::piped());
    #[allow(clippy::zombie_processes)] // it is waited for, with its memory
    let mut child = command.spawn().expect("prlimit runs");
    let mut said = String::new();
    let err = child.stderr.as_mut().expect("its stderr");
    std::io::Read::read_to_string(err, &mut said).expect("what it says");
    let (status, memory) = sys::wait_with_memory(&child).expect("its end");
    assert!(status.success(), "{status}: {said}");
    assert_eq!(old_roots(root), [""; 0]);
    memory
}

fn measured(fs: Fs, build: impl FnOnce(&Root<'_>) -> Built) -> Option<i64> {
    let options = |fs| match fs {
        Fs::Tmpfs => Options::new(fs).size_mib(1024),
        Fs::Ext4 => Options::new(fs).size_mib(512).mkfs(&["-N", "150000"]),
        _ => Options::new(fs).size_mib(512),
    };
    let case = Case { options, ..Case::TYPICAL };
    let (_image, mounted) = match case.make(fs) {
        Ok(made) => made,
        Err(why) => {
            crate::common::skip::say(&why);
            return None;
        }
    };
    crate::common::command::on("run", mounted.path()).expect(0);
    build(&Root { path: mounted.path(), fs }).expect("a tree");
    Some(frugal(mounted.path()))
}

/// A directory below the one before, without ever a long path.
fn deepen(top: &Path, levels: usize, name: &str) {
    let mut at = File::open(top).expect("the top");
    for _ in 0..levels {
        let base = format!("/proc/self/fd/{}", at.as_raw_fd());
        fs::create_dir(Path::new(&base).join(name)).expect("a directory");
        fs::write(Path::new(&base).join("file"), "").expect("a file");
        at = sys::open_at(at.as_raw_fd(), name.as_bytes(), libc::O_DIRECTORY).expect("a directory");
    }
}

const NOTHING: fn(&Root<'_>) -> Built = |_| Ok(());
/// More than a small tree may take.
const MORE_KIB: i64 = 4 << 10;

#[test]
fn ten_thousand_levels_need_no_more_stack_descriptors_or_memory() {
    require_root!();
    let Some(small) = measured(Fs::Tmpfs, NOTHING) else { return };
    for fs in [Fs::Tmpfs, Fs::Ext4, Fs::Btrfs] {
        let name = "a".repeat(200);
        let deep = measured(fs, |root| {
            root.directory("old-root/deep", 0o755);
            deepen(&root.at("old-root/deep"), 10_000, &name);
            Ok(())
        });
        let Some(deep) = deep else { return };
        assert!(deep < small + MORE_KIB, "{}: {deep} KiB, a small tree {small} KiB", fs.name());
    }
}

/// Every level has more than one directory, so that each is opened again.
#[test]
fn a_deep_tree_with_branches_goes() {
    require_root!();
    let done = measured(Fs::Tmpfs, |root| {
        root.directory("old-root/deep", 0o755);
        deepen(&root.at("old-root/deep"), 300, "middle");
        let mut path = String::from("old-root/deep");
        for level in 0..300 {
            for side in ["a-side", "z-side"] {
                root.directory(format!("{path}/{side}"), 0o755);
                if level % 25 == 0 {
                    deepen(&root.at(format!("{path}/{side}")), 100, "branch");
                }
            }
            path.push_str("/middle");
        }
        Ok(())
    });
    assert!(done.is_some());
}

#[test]
fn a_hundred_thousand_files_need_no_more_memory() {
    require_root!();
    let Some(small) = measured(Fs::Tmpfs, NOTHING) else { return };
    for fs in [Fs::Tmpfs, Fs::Ext4] {
        let large = measured(fs, |root| {
            for n in 0..100_000 {
                let place = match n % 4 {
                    0 => "old-root/".to_owned(),
                    _ => format!("old-root/many/{}/", n / 10_000),
                };
                let path = root.at(format!("{place}a-file-with-a-rather-long-name-{n}"));
                if n % 10_000 < 4 {
                    fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
                }
                File::create(path).expect("a file");
            }
            Ok(())
        });
        let Some(large) = large else { return };
        assert!(large < small + MORE_KIB, "{}: {large} KiB, a small tree {small}", fs.name());
    }
}

/// What somebody writes into a tree while it goes does not stop it.
#[test]
fn a_tree_that_somebody_writes_to_goes() {
    require_root!();
    let (_image, mounted) = or_skip!(Case::TYPICAL.make(Fs::Ext4));
    let root = mounted.path();
    crate::common::command::on("run", root).expect(0);
    let busy = root.join("old-root/busy");
    fs::create_dir(&busy).expect("a directory");
    for n in 0..2_000 {
        File::create(busy.join(n.to_string())).expect("a file");
    }
    let directory = File::open(&busy).expect("the directory");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let base = format!("/proc/self/fd/{}", directory.as_raw_fd());
            for n in 0..400 {
                // Until it is gone.
                let _ = File::create(Path::new(&base).join(format!("new-{n}")));
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
        });
        run_limited(Command::new(binary()).args(arguments("purge", root, &["--yes"])), LIMIT)
            .expect(0);
    });
    drop(directory);
    purge(root, &["--yes"]).expect(0);
    assert_eq!(old_roots(root), [""; 0]);
}
