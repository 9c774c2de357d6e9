//! Refusals for what is around a root or happened to it before: locks, mounts,
//! swap, `/proc`, an earlier lustration, a staging directory that was tampered with.

use std::fs::{self, File};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use crate::common::command::{Ended, LIMIT, binary, on, run_limited};
use crate::common::image::Fs;
use crate::common::initrd::Initrd;
use crate::common::manifest::Manifest;
use crate::common::population::{assert_same_population, assert_untouched};
use crate::common::trees::{Root, typical};
use crate::common::{isolation, or_skip, require_root, strace, sys};
use crate::states::interrupted;
use crate::{assert_refusal, changed};

#[test]
fn two_at_once_are_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let before = Manifest::of(mounted.path());
    let root = File::open(mounted.path()).expect("the root");
    let lock = Flock::lock(root, FlockArg::LockExclusiveNonblock).expect("a lock");
    let root = mounted.path().display();
    let told = format!(
        "refused: another nixos-lustrate is at work on {root}. Two at once would get in each \
         other's way. Wait until it has ended"
    );
    for verb in ["run", "revert"] {
        let said = on(verb, mounted.path()).expect(3).err();
        assert!(said.starts_with(&told) && said.ends_with("Nothing was touched.\n"), "{said}");
        let who = format!(": process {} (", std::process::id());
        assert_eq!(said.contains(&who), cfg!(feature = "full"), "{said}");
    }
    // Those who only read need no lock.
    on("plan", mounted.path()).expect(0);
    on("status", mounted.path()).expect(0);
    assert_untouched(&before, &Manifest::of(mounted.path()));
    drop(lock);
    on("run", mounted.path()).expect(0);
}

#[test]
fn a_revert_of_an_earlier_lustration_is_not_what_a_new_marker_means() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    on("run", mounted.path()).expect(0);
    Root { path: mounted.path(), fs: Fs::Tmpfs }.file("etc/NIXOS_LUSTRATE", "home\n");
    let before = Manifest::of(mounted.path());
    assert_refusal(
        on("revert", mounted.path()),
        mounted.path(),
        [
            "@/etc/NIXOS_LUSTRATE asks for a lustration that has not begun",
            "An earlier one would have been reverted, the one in /old-root",
            "If you mean that one, remove the marker first: rm @/etc/NIXOS_LUSTRATE",
        ],
    );
    assert_untouched(&before, &Manifest::of(mounted.path()));
}

#[test]
fn a_mount_point_does_not_keep_the_old_system_from_coming_back() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let before = Manifest::of(mounted.path());
    on("run", mounted.path()).expect(0);
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    root.mount("var/lib");
    root.mount("srv");
    root.mount("new");
    on("revert", mounted.path()).expect(0).says(&["'srv' of NixOS could not leave the root"]);
    let names = fs::read_dir(mounted.path()).expect("the root");
    let names = names.map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8"));
    let aside = names.filter(|n| n.starts_with("srv-20")).collect::<Vec<_>>();
    // What was mounted still is, with the directory that it is on.
    for place in [aside[0].as_str(), "nixos-root/var/lib", "new"] {
        assert!(root.at(place).join("other-file-system").exists(), "{place}");
    }
    let mut reverted = Manifest::of(mounted.path());
    for gone in [aside[0].as_bytes(), b"new"] {
        reverted = reverted.without(gone);
    }
    assert_same_population(&before, &reverted, typical::KEEPERS);
}

type Tampering = fn(&Root<'_>, &str, &[u8]);

#[test]
fn an_intent_that_cannot_be_followed_is_refused() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(interrupted("run"));
    let intent = "old-root.tmp/.lustrate/intent";
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    let good = fs::read(root.at(intent)).expect("the intent");
    let guessed = "Which files belong to which system would have been guessed";
    let fix = "Put back what was changed by hand in that directory, or restore a backup";
    let reasons: [(&str, Tampering); 4] = [
        ("it may have been written by another user", |root, intent, _| root.own(intent, 1000, 0)),
        ("it may have been written by another user", |root, intent, _| root.mode(intent, 0o666)),
        ("it is not a regular file", |root, intent, _| {
            root.remove(intent);
            root.fifo(intent);
        }),
        ("its directory is a copy of the one that it was written for", |root, intent, good| {
            root.rename("old-root.tmp/.lustrate", "old-root.tmp/.lustrate.original");
            root.file(intent, good);
        }),
    ];
    for (reason, change) in reasons {
        change(&root, intent, &good);
        let before = Manifest::of(mounted.path());
        let found = format!("@/{intent} cannot be followed: {reason}");
        for verb in ["run", "plan", "revert"] {
            let ended = on(verb, mounted.path());
            assert_refusal(ended, mounted.path(), [&found, guessed, fix]);
        }
        assert_untouched(&before, &Manifest::of(mounted.path()));
        root.remove(intent);
        root.file(intent, &good);
    }
}

#[test]
fn a_swap_file_in_use_is_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| root.file("swap file", "")));
    let path = mounted.path().to_str().expect("UTF-8");
    let table = isolation::new_directory().join("swaps");
    let head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    let line = format!("{path}/swap\\040file    file\t\t1048572\t\t0\t\t-2\n");
    fs::write(&table, format!("{head}/dev/vdz partition 1 0 -3\n{line}")).expect("a table");
    sys::mount(&table, Path::new("/proc/swaps"), "none", libc::MS_BIND, "").expect("a bind mount");
    let ended = on("run", mounted.path());
    sys::unmount(Path::new("/proc/swaps"), 0).expect("the end of it");
    assert_refusal(
        ended,
        mounted.path(),
        [
            "@/swap file is in use as swap space",
            "It could not be moved",
            "Switch it off first: swapoff '@/swap file'",
        ],
    );
}

#[test]
fn an_overlay_that_cannot_rename_its_lower_layers_is_refused() {
    require_root!();
    let (_image, lower) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let (_image, upper) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.directory("over/upper", 0o755);
        root.directory("over/work", 0o755);
    }));
    let root = isolation::new_directory();
    let show = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let over = show(&upper.path().join("over"));
    let data = format!(
        "lowerdir={},upperdir={over}/upper,workdir={over}/work,redirect_dir=off",
        show(lower.path())
    );
    let mounted = sys::mount(Path::new("overlay"), &root, "overlay", 0, &data);
    or_skip!(mounted.map_err(|e| crate::common::skip::Skipped::new(format!("overlay: {e}"))));
    let ended = on("run", &root);
    sys::unmount(&root, 0).expect("the end of it");
    assert_refusal(
        ended,
        &root,
        [
            "@ is an overlay file system without redirect_dir=on",
            "Directories of its lower layers, like @/dev, cannot be moved",
            "Mount the root with redirect_dir=on, or mount the upper file system itself",
        ],
    );
}

#[test]
fn without_proc_an_initrd_is_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let script = "umount -l /proc && exec \"$@\"";
    let initrd = Initrd {
        wrapper: ["sh", "-c", script, "sh"].map(Into::into).to_vec(),
        ..Initrd::default()
    };
    let end = initrd.run(mounted.path(), ["run"]);
    let said = String::from_utf8(end.kmsg).expect("UTF-8");
    let refusal = "<3>nixos-lustrate: refused: Failed to read '/proc/cmdline': No such file or \
        directory. The root cannot be judged without it. Mount it: mount -t proc proc /proc. \
        Nothing was touched.\n";
    assert_eq!((end.ended.code, said.as_str()), (3, refusal));
}

#[test]
fn without_proc_the_mounts_cannot_be_judged() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let run = |verb: &str| {
        std::thread::scope(|scope| {
            let hidden = || -> Ended {
                isolation::enter();
                sys::mount(Path::new("none"), Path::new("/proc"), "tmpfs", 0, "").expect("a cover");
                let mut command = std::process::Command::new(binary());
                command.args([verb, "--root"]).arg(mounted.path()).env_clear();
                run_limited(&mut command, LIMIT)
            };
            scope.spawn(hidden).join().expect("no panic")
        })
    };
    for verb in ["run", "plan", "status", "revert"] {
        assert_refusal(
            run(verb),
            mounted.path(),
            [
                "Failed to read '/proc/self/mountinfo': No such file or directory",
                "The root cannot be judged without it",
                "Mount it: mount -t proc proc /proc",
            ],
        );
    }
}

#[test]
fn a_full_disk_is_refused_before_anything_moves() {
    require_root!();
    for fs in [Fs::Ext4, Fs::Tmpfs] {
        let (_image, mounted) = or_skip!(crate::common::trees::named("no-inodes").make(fs));
        let before = Manifest::of(mounted.path());
        let ended = on("run", mounted.path()).expect(3);
        ended.says(&[
            " and 0 inodes left, and ",
            "The move, or the way back, would have stopped part-way. Free some space there",
        ]);
        assert_untouched(&before, &Manifest::of(mounted.path()));
        let root = Root { path: mounted.path(), fs };
        (0..40).for_each(|n| root.remove(format!("var/filler/{n}")));
        on("run", mounted.path()).expect(0);
    }
}
