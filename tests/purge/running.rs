//! On the running system: `/`, with everything that is mounted below it.

use std::path::Path;
use std::process::Command;

use crate::common::command::{Ended, LIMIT, binary, run_limited};
use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::text::says;
use crate::common::{isolation, or_skip, require_root, sys};
use crate::scene::{assert_only_gone, lustrated, old_roots};

/// Runs the program with `root` as `/`, and mounts below it as a system has them.
fn inside(root: &Path, arguments: &[&str]) -> Ended {
    std::thread::scope(|scope| {
        let run = || {
            isolation::enter();
            let bind = |from: &Path, to: &str| {
                let to = root.join(to);
                std::fs::create_dir_all(&to).expect("a mount point");
                sys::mount(from, &to, "none", libc::MS_BIND | libc::MS_REC, "").expect("a bind");
            };
            for name in ["usr", "proc", "dev"] {
                bind(&Path::new("/").join(name), name);
            }
            bind(binary().parent().expect("a directory"), "mnt");
            sys::chroot(root).expect("a chroot");
            let file = Path::new("/mnt").join(binary().file_name().expect("a name"));
            run_limited(Command::new(file).args(arguments).env_clear(), LIMIT)
        };
        scope.spawn(run).join().expect("no panic")
    })
}

#[test]
fn the_running_systems_own_old_root_goes() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        // The links by which the loader is found.
        for link in ["bin", "lib", "lib64", "sbin"] {
            root.link(link, format!("usr/{link}"));
        }
        for name in ["usr", "proc", "dev", "mnt"] {
            root.directory(name, 0o755);
        }
        root.mount("old-root/mnt");
        Ok(())
    }));
    let root = mounted.path();
    let refused = inside(root, &["purge", "--yes"]).expect(3);
    let want = "refused: /old-root/mnt is a mount point inside an old root. ";
    assert!(refused.err().starts_with(want), "{}", refused.err());
    assert!(says(&refused.err(), "umount /old-root/mnt"), "{}", refused.err());
    sys::unmount(&root.join("old-root/mnt"), 0).expect("an unmount");
    let before = Manifest::of(root);
    let ended = inside(root, &["purge", "--yes"]).expect(0);
    assert!(ended.err().starts_with("Removed /old-root: "), "{}", ended.err());
    assert_only_gone(&before, &Manifest::of(root), &["old-root"]);
    assert_eq!(old_roots(root), [""; 0]);
    let again = inside(root, &["purge"]).expect(0);
    assert_eq!(again.err(), "/: there is nothing to purge\n");
}
