//! Every refusal: what was found, what would have happened, and the fix, word
//! for word; and nothing touched.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::common::command::on;
use crate::common::image::Fs;
use crate::common::manifest::{APPEND, IMMUTABLE, Manifest};
use crate::common::population::assert_untouched;
use crate::common::text::says;
use crate::common::trees::{Built, Root};
use crate::common::{or_skip, require_root, sys};
use crate::{assert_refusal, changed, sealed};

const HALF: &str =
    "A boot could not see that files are being moved, and would go on with half a root";
const NAME_NEEDED: &str = "That name is needed while files are being moved";
const KEEP: &str = "What it should have kept would have moved to /old-root";

/// A change to a typical root on a file system, and what `run` and `plan` say.
struct Row {
    fs: Fs,
    change: Change,
    parts: [&'static str; 3],
}

/// One that any file system takes, or one that it may not know.
enum Change {
    Plain(fn(&Root<'_>)),
    Special(fn(&Root<'_>) -> Built),
}

const fn on_tmpfs(change: fn(&Root<'_>), parts: [&'static str; 3]) -> Row {
    Row { fs: Fs::Tmpfs, change: Change::Plain(change), parts }
}

const fn special(fs: Fs, change: fn(&Root<'_>) -> Built, parts: [&'static str; 3]) -> Row {
    Row { fs, change: Change::Special(change), parts }
}

fn keep(root: &Root<'_>, list: impl AsRef<[u8]>) {
    root.file("etc/NIXOS_LUSTRATE", list);
}

/// A FIFO has flags where the file system lets it be asked.
fn special_flags(root: &Root<'_>, path: &str) -> Built {
    let waits_not =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(root.at(path));
    let set = sys::set_inode_flags(&waits_not.expect("the FIFO"), IMMUTABLE);
    set.map_err(|error| root.cannot("flags of a FIFO", &error))
}

fn replace_etc(root: &Root<'_>, by: fn(&Root<'_>)) {
    root.rename("etc", "usr/etc");
    by(root);
}

const ROWS: &[Row] = &[
    // The example of the first issue.
    on_tmpfs(
        |root| root.mount("var/lib"),
        [
            "@/var/lib is a mount point inside an entry that would move",
            "Its file system would end up below /old-root",
            "Unmount it first: umount @/var/lib",
        ],
    ),
    on_tmpfs(
        |root| {
            let flags = libc::MS_REMOUNT | libc::MS_RDONLY;
            sys::mount(Path::new("none"), root.path, "", flags, "").expect("a remount");
        },
        [
            "@ is mounted read-only",
            "Nothing can be moved in it",
            "Remount it: mount -o remount,rw @",
        ],
    ),
    on_tmpfs(
        |root| root.remove("nix"),
        [
            "@/nix is missing",
            "No system would have been left to boot",
            "Install Nix and build the NixOS system first, or give the right --root",
        ],
    ),
    on_tmpfs(
        |root| {
            root.rename("nix", "srv/nix.saved");
            root.link("nix", "srv/nix");
        },
        [
            "@/nix is no directory",
            "No system would have been left to boot",
            "Make @/nix a directory that holds the store",
        ],
    ),
    on_tmpfs(
        |root| {
            root.remove("boot");
            root.link("boot", "old-root/boot");
            root.directory("old-root/boot", 0o755);
        },
        [
            "@/boot leads to @/old-root/boot, which has to move",
            "It would have led nowhere, and perhaps no system been left to boot",
            "Move that to a directory of its own, and let it lead there",
        ],
    ),
    on_tmpfs(
        |root| {
            root.file("old-root.tmp/usr/bin/sh", "");
            root.file("old-root.tmp/backup.tar", "");
        },
        [
            "@/old-root.tmp is there, and nixos-lustrate did not make it",
            NAME_NEEDED,
            "Rename it: mv @/old-root.tmp @/old-root.tmp.saved",
        ],
    ),
    on_tmpfs(
        |root| root.file("old-root.tmp", ""),
        [
            "@/old-root.tmp is there and is no directory",
            NAME_NEEDED,
            "Rename it: mv @/old-root.tmp @/old-root.tmp.saved",
        ],
    ),
    on_tmpfs(
        |root| root.file(".lustrate", ""),
        [
            "@/.lustrate is there",
            "That name is needed in /old-root, where it would have to go",
            "Rename it: mv @/.lustrate @/lustrate.saved",
        ],
    ),
    on_tmpfs(
        |root| replace_etc(root, |root| root.link("etc", "usr/etc")),
        [
            "@/etc is a symbolic link",
            HALF,
            "Make it a directory with the same content: cp -a @/etc/. @/etc.new && rm @/etc && \
             mv @/etc.new @/etc",
        ],
    ),
    on_tmpfs(
        |root| {
            root.mount("etc");
            keep(root, "home\n");
        },
        ["@/etc is a mount point", HALF, "Unmount it first: umount @/etc"],
    ),
    special(
        Fs::Tmpfs,
        |root| root.flags("etc", IMMUTABLE),
        ["@/etc is immutable or append-only", HALF, "Clear that: chattr -ia @/etc"],
    ),
    special(
        Fs::Tmpfs,
        |root| root.flags("etc/NIXOS_LUSTRATE", APPEND),
        [
            "@/etc/NIXOS_LUSTRATE is immutable or append-only",
            "It could not be taken away afterwards, and the next boot would lustrate again",
            "Clear that: chattr -ia @/etc/NIXOS_LUSTRATE",
        ],
    ),
    on_tmpfs(
        |root| {
            root.remove("etc/NIXOS_LUSTRATE");
            root.fifo("etc/NIXOS_LUSTRATE");
        },
        [
            "@/etc/NIXOS_LUSTRATE is not a regular file",
            "Its keep-list cannot be read, and everything in it would be gone",
            "Replace it by a file that lists what to keep: rm @/etc/NIXOS_LUSTRATE; touch \
             @/etc/NIXOS_LUSTRATE",
        ],
    ),
    on_tmpfs(
        |root| keep(root, "home\n../etc\n"),
        [
            "line 2 of the keep-list, '../etc', has a '..' component",
            KEEP,
            "Correct @/etc/NIXOS_LUSTRATE",
        ],
    ),
    on_tmpfs(
        |root| keep(root, "\n # ignored? no: a comment\n/\n"),
        ["line 3 of the keep-list, '/', is the root itself", KEEP, "Correct @/etc/NIXOS_LUSTRATE"],
    ),
    on_tmpfs(
        |root| keep(root, b"a\0b\n"),
        [
            "line 1 of the keep-list, 'a\\x00b', has a NUL byte",
            KEEP,
            "Correct @/etc/NIXOS_LUSTRATE",
        ],
    ),
    on_tmpfs(
        |root| keep(root, vec![b'#'; (1 << 20) + 1]),
        ["the keep-list is larger than 1 MiB", KEEP, "Correct @/etc/NIXOS_LUSTRATE"],
    ),
    special(
        Fs::Btrfs,
        |root| {
            root.subvolume("var/snapshot");
            root.make_subvolume_read_only("var/snapshot");
            keep(root, "var/snapshot\n");
            Ok(())
        },
        [
            "@/var/snapshot is a read-only subvolume, and 'var/snapshot' in the keep-list needs it",
            "It cannot be moved into the new root",
            "Make it writable: btrfs property set @/var/snapshot ro false",
        ],
    ),
    special(
        Fs::Btrfs,
        |root| {
            root.rename("etc", "etc-content");
            root.subvolume("etc");
            keep(root, "home\n");
            Ok(())
        },
        [
            "@/etc is a subvolume of its own",
            "The marker could not be moved out of it, and every boot would lustrate again",
            "Make it a plain directory: cp -a --reflink=auto @/etc @/etc.new && mv @/etc \
             @/etc.old && mv @/etc.new @/etc",
        ],
    ),
    on_tmpfs(
        |root| root.mount("old-root"),
        [
            "@/old-root is a mount point",
            "What is mounted there could not be moved, nor the directory below it",
            "Unmount it first: umount @/old-root",
        ],
    ),
    on_tmpfs(
        |root| root.directory("old-root.tmp/nix", 0o755),
        [
            "@/nix stays in the root, and another nix has to come to its place",
            "The move would have stopped part-way",
            "Rename the other: mv @/old-root.tmp/nix @/old-root.tmp/nix.saved",
        ],
    ),
    special(
        Fs::Xfs,
        |root| {
            root.fifo("pipe");
            special_flags(root, "pipe")
        },
        [
            "@/pipe is immutable, and is neither a file nor a directory",
            "It could not be moved: Operation not permitted",
            "Remove it: it can be made anew, ls -l @/pipe says what it is",
        ],
    ),
];

#[test]
fn every_refusal_has_its_three_parts() {
    require_root!();
    for row in ROWS {
        let made = sealed(row.fs, |root| match row.change {
            Change::Plain(change) => {
                change(root);
                Ok(())
            }
            Change::Special(change) => change(root),
        });
        let (_image, mounted) = match made {
            Ok(made) => made,
            Err(skipped) => {
                crate::common::skip::say(&skipped);
                continue;
            }
        };
        let before = Manifest::of(mounted.path());
        for verb in ["plan", "run"] {
            assert_refusal(on(verb, mounted.path()), mounted.path(), row.parts);
        }
        assert_untouched(&before, &Manifest::of(mounted.path()));
    }
}

const NO_SYSTEM: [&str; 3] = [
    "@/old-root/etc is missing: there is no system in @/old-root",
    "A root that nothing can be started from would have been left",
    "Bring it back from a backup first",
];

/// `revert` of a root that is not as `run` left it.
fn assert_revert_refuses(change: fn(&Root<'_>), parts: [&str; 3]) {
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    on("run", mounted.path()).expect(0);
    change(&Root { path: mounted.path(), fs: Fs::Tmpfs });
    let before = Manifest::of(mounted.path());
    assert_refusal(on("revert", mounted.path()), mounted.path(), parts);
    assert_untouched(&before, &Manifest::of(mounted.path()));
}

#[test]
fn an_old_root_without_its_etc_does_not_come_back() {
    require_root!();
    assert_revert_refuses(|root| root.remove("old-root/etc"), NO_SYSTEM);
}

/// A directory of that name is no old root.
#[test]
fn what_holds_no_system_does_not_come_back() {
    require_root!();
    let (_image, mounted) = or_skip!(crate::unmarked());
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    root.file("old-root/backup.tar", "");
    let before = Manifest::of(mounted.path());
    assert!(on("status", mounted.path()).expect(0).out().contains(": none\n"));
    assert_refusal(on("revert", mounted.path()), mounted.path(), NO_SYSTEM);
    assert_untouched(&before, &Manifest::of(mounted.path()));
}

#[test]
fn an_old_root_on_another_file_system_does_not_come_back() {
    require_root!();
    assert_revert_refuses(
        |root| root.mount("old-root"),
        [
            "@/old-root is a mount point",
            "What is mounted there could not be moved, nor the directory below it",
            "Unmount it first: umount @/old-root",
        ],
    );
}

#[test]
fn a_staging_directory_that_was_taken_away_is_missed() {
    require_root!();
    let (_image, mounted) = or_skip!(crate::states::interrupted("revert"));
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    root.rename("old-root.tmp", "usr.saved");
    let before = Manifest::of(mounted.path());
    let parts = [
        "@/etc/NIXOS_LUSTRATE says that files are being moved, and the directory @/old-root.tmp \
         is gone",
        "Half a system would have booted",
        "Put @/old-root.tmp back, or, if you want the root as it is: rm @/etc/NIXOS_LUSTRATE",
    ];
    for verb in ["run", "revert"] {
        assert_refusal(on(verb, mounted.path()), mounted.path(), parts);
        assert_untouched(&before, &Manifest::of(mounted.path()));
    }
    root.rename("usr.saved", "old-root.tmp");
    on("revert", mounted.path()).expect(0);
}

#[test]
fn all_reasons_are_said_at_once() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.remove("nix");
        root.mount("usr/lib");
        root.mount("opt/vendor");
        keep(root, "../x\n");
    }));
    let err = on("run", mounted.path()).expect(3).err();
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(lines.len(), 4, "{err}");
    assert!(lines.iter().all(|line| line.starts_with("refused: ") && line.ends_with('.')), "{err}");
    assert_eq!(err.matches("Nothing was touched.").count(), 1);
    for reason in ["nix is missing", "'../x', has", "usr/lib is a mount", "opt/vendor is a mount"] {
        assert!(says(&err, reason), "{reason}: {err}");
    }
}
