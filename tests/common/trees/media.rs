//! File systems with features or limits of their own: casefold, project
//! quotas, no space, no inodes.

use super::case::{Case, Check, Expect, Outcome};
use super::root::{Built, Root};
use crate::common::image::{Fs, Options};
use crate::common::manifest::CASEFOLD;
use crate::common::manifest::IMMUTABLE;

/// Something may have to give; nothing may be lost.
const SAFE: Expect = Expect::Safe(Outcome { check: Check::NothingLost, ..Outcome::TYPICAL });

/// Nothing may have been touched, and nothing left.
const FULL: Expect = Expect::Refuses(&["would have stopped part-way. Free some space there"]);

fn few_inodes(fs: Fs) -> Options {
    match fs {
        Fs::Ext4 => Options::new(fs).mkfs(&["-N", "256"]),
        _ => Options::new(fs).mount("nr_inodes=256"),
    }
}

#[allow(clippy::unnecessary_wraps)] // the type of `seal`
fn leave_inodes(root: &Root<'_>, many: u32) -> Built {
    root.fill_inodes("var/filler");
    (0..many).for_each(|n| root.remove(format!("var/filler/{n}")));
    root.age();
    Ok(())
}

pub const CASES: &[Case] = &[
    Case {
        name: "casefold",
        on: &[Fs::Ext4],
        options: |fs| Options::new(fs).mkfs(&["-O", "casefold"]),
        // Only an empty directory takes the flag.
        base: |root, keep| {
            root.remove("lost+found");
            let _ = root.flags("", CASEFOLD);
            super::typical::typical(root, keep);
        },
        expect: Expect::Refuses(&["is a case-insensitive directory"]),
        ..Case::TYPICAL
    },
    Case {
        name: "projects-on-every-directory",
        on: &[Fs::Xfs],
        seal: |root| root.project_everywhere("", 42),
        ..Case::TYPICAL
    },
    // More than 64 KiB of names cannot be listed; any owner can bring that about.
    Case {
        name: "attributes-beyond-the-limit",
        on: &[Fs::Xfs, Fs::Btrfs],
        keep: b"srv/www/kept\n",
        build: |root| {
            root.file("srv/www/kept", "");
            for n in 0..300 {
                root.xattr("srv/www", &format!("user.{n:0240}"), b"");
            }
            Ok(())
        },
        expect: Expect::Lustrates(Outcome {
            keepers: &[b"srv/www/kept"],
            warnings: &["could not be set on 'srv/www'"],
            ..Outcome::NOTHING_KEPT
        }),
        ..Case::TYPICAL
    },
    // Renames into a directory of another project are EXDEV.
    Case {
        name: "project-quota-xfs",
        on: &[Fs::Xfs],
        seal: |root| root.project("", 7),
        expect: SAFE,
        ..Case::TYPICAL
    },
    Case {
        name: "project-quota-ext4",
        on: &[Fs::Ext4],
        options: |fs| Options::new(fs).mkfs(&["-O", "project"]).mount("prjquota"),
        seal: |root| root.project("", 7),
        expect: SAFE,
        ..Case::TYPICAL
    },
    Case {
        name: "project-quota-of-an-entry",
        on: &[Fs::Xfs],
        build: |root| {
            root.project("srv", 9)?;
            root.file("srv/in-project", "");
            Ok(())
        },
        ..Case::TYPICAL
    },
    Case {
        name: "no-space",
        on: &[Fs::Ext4, Fs::Xfs, Fs::Tmpfs],
        options: |fs| match fs {
            Fs::Tmpfs => Options::new(fs).size_mib(8),
            _ => Options::new(fs),
        },
        seal: |root| {
            root.fill_blocks("var/filler");
            Ok(())
        },
        expect: FULL,
        ..Case::TYPICAL
    },
    Case {
        name: "no-space-but-for-metadata",
        on: &[Fs::Btrfs],
        seal: |root| {
            root.fill_blocks("var/filler");
            Ok(())
        },
        expect: SAFE,
        ..Case::TYPICAL
    },
    Case {
        name: "no-inodes",
        on: &[Fs::Ext4, Fs::Tmpfs],
        options: few_inodes,
        seal: |root| {
            root.fill_inodes("var/filler");
            Ok(())
        },
        expect: FULL,
        ..Case::TYPICAL
    },
    Case {
        name: "too-few-inodes-for-the-parents-of-keepers",
        on: &[Fs::Ext4, Fs::Tmpfs],
        options: few_inodes,
        seal: |root| leave_inodes(root, 17),
        expect: FULL,
        ..Case::TYPICAL
    },
    // Where a note in etc has the flags meanwhile.
    Case {
        name: "too-few-inodes-in-an-immutable-root",
        on: &[Fs::Ext4],
        options: few_inodes,
        seal: |root| {
            leave_inodes(root, 17)?;
            root.flags("", IMMUTABLE)
        },
        expect: FULL,
        ..Case::TYPICAL
    },
    Case {
        name: "just-enough-inodes",
        on: &[Fs::Ext4, Fs::Tmpfs],
        options: few_inodes,
        seal: |root| leave_inodes(root, 40),
        ..Case::TYPICAL
    },
    Case {
        name: "no-sparse-superblocks-no-journal",
        on: &[Fs::Ext4],
        options: |fs| Options::new(fs).mkfs(&["-O", "^has_journal,^dir_index,^extent,^64bit"]),
        ..Case::TYPICAL
    },
    Case {
        name: "one-kilobyte-blocks",
        on: &[Fs::Ext4],
        options: |fs| Options::new(fs).mkfs(&["-b", "1024"]),
        ..Case::TYPICAL
    },
];
