//! Files, links and directories where the program has its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Must, Site, Tampering};
use crate::common::sys;

fn one(name: &str, act: fn(&Site)) -> Tampering {
    Tampering { name: name.to_owned(), must: Must::BeSafe, act: Box::new(act) }
}

fn bad(name: &str, act: fn(&Site)) -> Tampering {
    Tampering { must: Must::Refuse, ..one(name, act) }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Moves what is there; an immutable entry stays.
fn move_away(path: &Path, away: &Path) {
    match fs::rename(path, away) {
        Err(error) if is_there(path) && error.raw_os_error() != Some(libc::EPERM) => {
            panic!("{}: {error}", path.display())
        }
        _ => {}
    }
}

fn remove(path: &Path) {
    if is_there(path) {
        fs::remove_file(path).expect("removed");
    }
}

/// Puts something away, and a link to it in its place.
fn link_to_moved(path: &Path, away: PathBuf) {
    move_away(path, &away);
    if path.parent().is_some_and(is_there) {
        symlink(away, path).expect("a link");
    }
}

/// Puts a link in the place of something.
fn replace_by_link(path: &Path, aside: &Path, target: &Path) {
    move_away(path, aside);
    if path.parent().is_some_and(is_there) {
        symlink(target, path).expect("a link");
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp runs").success());
}

fn put(path: &Path) {
    // A file may be where the directory would have to be.
    if !is_there(path) && fs::create_dir_all(path.parent().expect("a parent")).is_ok() {
        fs::write(path, "by hand").expect("a file");
    }
}

pub fn all() -> Vec<Tampering> {
    let mut all = intents();
    all.extend(links());
    all.extend(by_hand());
    all.extend(removed());
    all
}

fn intents() -> Vec<Tampering> {
    vec![
        bad("the intent is of another user", |site| {
            let _ = chown(site.meta().join("intent"), Some(1000), Some(1000));
        }),
        bad("the intent is writable by all", |site| {
            let mode = Permissions::from_mode(0o666);
            let _ = fs::set_permissions(site.meta().join("intent"), mode);
        }),
        bad("the intent is a FIFO", |site| {
            let intent = site.meta().join("intent");
            remove(&intent);
            sys::make_node(&intent, libc::S_IFIFO | 0o644, 0).expect("a FIFO");
        }),
        bad("the intent is a link", |site| {
            link_to_moved(&site.meta().join("intent"), site.near.join("intent"));
        }),
        bad("the intent is a directory", |site| {
            let intent = site.meta().join("intent");
            remove(&intent);
            fs::create_dir(&intent).expect("a directory");
        }),
        one("the next intent is a directory", |site| {
            put(&site.meta().join("part/file"));
            put(&site.meta().join("making/file"));
        }),
        one("the intent is removed", |site| {
            remove(&site.meta().join("intent"));
        }),
    ]
}

fn links() -> Vec<Tampering> {
    vec![
        one("the new population is a link, near", |site| {
            replace_by_link(&site.incoming(), &site.root.join("aside"), &site.near);
        }),
        one("the new population is a link, far", |site| {
            replace_by_link(&site.incoming(), &site.root.join("aside"), &site.far);
        }),
        one("the new population is outside, behind a link", |site| {
            link_to_moved(&site.incoming(), site.near.join("incoming"));
        }),
        bad("our directory is a link", |site| {
            link_to_moved(&site.meta(), site.near.join("meta"));
        }),
        bad("the staging directory is a link", |site| {
            link_to_moved(&site.staging(), site.near.join("staging"));
        }),
        one("links lie where files of ours will be made", |site| {
            for name in ["part", "making", "marker", "marker-1", "record", "copies"] {
                let path = site.meta().join(name);
                if !is_there(&path) && site.meta().is_dir() {
                    symlink(site.far.join("file"), path).expect("a link");
                }
            }
        }),
        one("the new etc is a link", |site| {
            let (etc, target) = (site.incoming().join("etc"), site.near.join("etc"));
            replace_by_link(&etc, &site.root.join("aside"), &target);
        }),
        one("the etc of the root is a link", |site| {
            link_to_moved(&site.root.join("etc"), site.near.join("old-etc"));
        }),
        one("parents of keepers are links", |site| {
            for home in [site.staging(), site.incoming(), site.root.clone()] {
                if is_there(&home.join("var")) {
                    link_to_moved(&home.join("var"), site.root.join("aside"));
                    return;
                }
            }
        }),
        one("the marker of the root is a link", |site| {
            let marker = "etc/NIXOS_LUSTRATE";
            let (ours, target) = (site.root.join(marker), site.far.join(marker));
            replace_by_link(&ours, &site.root.join("aside"), &target);
        }),
    ]
}

fn by_hand() -> Vec<Tampering> {
    vec![
        one("a file is put into the staging directory", |site| put(&site.staging().join("mine"))),
        one("files are put into the new population", |site| {
            put(&site.incoming().join("mine"));
            put(&site.incoming().join("etc/mine"));
            put(&site.incoming().join("var/mine"));
        }),
        one("files lie where entries have to go", |site| {
            for name in ["var", "usr", "etc", "locked", "bin"] {
                put(&site.staging().join(name));
                put(&site.incoming().join(name));
            }
        }),
        one("the new population has protected names", |site| {
            for name in ["nix/store/mine", "boot/mine", "old-root.tmp/mine", "old-root/mine"] {
                put(&site.incoming().join(name));
            }
        }),
        one("the staging directory has protected names", |site| {
            for name in ["nix/store/mine", "boot/mine", "old-root.tmp/mine", "old-root/mine"] {
                put(&site.staging().join(name));
            }
        }),
        one("the other old root is in the way", |site| {
            put(&site.root.join("old-root/mine"));
            put(&site.root.join("nixos-root/mine"));
        }),
        one("a nixos-root.tmp is there, or one too many", |site| {
            put(&site.root.join("nixos-root.tmp/mine"));
            put(&site.meta().join("new/mine"));
        }),
        one("an entry comes into the root", |site| {
            put(&site.root.join("mine/file"));
            put(&site.root.join("var"));
        }),
    ]
}

fn removed() -> Vec<Tampering> {
    vec![
        bad("the staging directory is a copy", |site| {
            let aside = site.root.join("aside");
            move_away(&site.staging(), &aside);
            copy(&aside, &site.staging());
        }),
        bad("our directory is a copy", |site| {
            let aside = site.root.join("aside");
            move_away(&site.meta(), &aside);
            copy(&aside, &site.meta());
        }),
        bad("the root is a copy", |site| {
            let aside = site.near.join("root");
            move_away(&site.root, &aside);
            copy(&aside, &site.root);
        }),
        one("our directory is gone", |site| {
            move_away(&site.meta(), &site.near.join("meta"));
        }),
        one("the new population is gone", |site| {
            move_away(&site.incoming(), &site.near.join("incoming"));
        }),
        Tampering {
            must: Must::RefuseOnceArmed,
            ..one("the staging directory is gone", |site| {
                move_away(&site.staging(), &site.near.join("staging"));
            })
        },
        one("half of the staging directory is gone", |site| {
            let entries = fs::read_dir(site.staging()).expect("the entries");
            let entries = entries.map(|e| e.expect("an entry").file_name());
            for name in entries.filter(|n| n != ".lustrate").step_by(2) {
                let away = format!("half-{}", name.display());
                move_away(&site.staging().join(&name), &site.near.join(away));
            }
        }),
        one("etc is gone", |site| {
            move_away(&site.root.join("etc"), &site.near.join("root-etc"));
        }),
    ]
}
