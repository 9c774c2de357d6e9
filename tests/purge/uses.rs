//! What is in use is not removed, by whichever way somebody came to it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::population::assert_untouched;
use crate::common::text::says;
use crate::common::trees::Built;
use crate::common::{isolation, or_skip, require_root, sys};
use crate::scene::{assert_only_gone, lustrated, purge};

/// Somebody who is at work until dropped.
struct Somebody(Child);

impl Somebody {
    /// A shell runs that, says so, and waits.
    fn does(script: &str, at: &Path) -> Self {
        let script = format!("{script}; echo ready; read -r forever");
        Self::is(Command::new("sh").args(["-ec", &script]).current_dir(at))
    }

    fn is(command: &mut Command) -> Self {
        let command = command.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.process_group(0).spawn().expect("a process");
        let mut line = String::new();
        let said = child.stdout.as_mut().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Somebody {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// While somebody uses a file, a purge says who and what, and touches nothing; then
/// everything goes.
fn used_by<T>(
    more: impl FnOnce(&Path) -> Built,
    begin: impl FnOnce(&Path) -> T,
    said: impl FnOnce(&Path, &T) -> [String; 2],
    end: impl FnOnce(&Path, T),
) {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        root.file("old-root/srv/data", "theirs");
        more(root.path)
    }));
    let root = mounted.path();
    let before = Manifest::of(root);
    let using = begin(root);
    let [found, fix] = said(root, &using);
    for arguments in [&["--yes"][..], &["--dry-run"], &["--yes", "old-root"]] {
        let ended = purge(root, arguments).expect(3);
        assert!(says(&ended.err(), &format!("refused: {found}. ")), "{found}\n{}", ended.err());
        assert!(says(&ended.err(), &fix), "{fix}\n{}", ended.err());
    }
    assert_untouched(&before, &Manifest::of(root));
    end(root, using);
    purge(root, &["--yes"]).expect(0);
    assert_only_gone(&before, &Manifest::of(root), &["old-root"]);
}

fn by_process(
    of: &'static str,
    more: impl FnOnce(&Path) -> Built,
    begin: impl FnOnce(&Path) -> Somebody,
) {
    let said = |root: &Path, who: &Somebody| {
        let id = who.id();
        let name = fs::read_to_string(format!("/proc/{id}/comm")).expect("a name");
        let path = root.join(of);
        [
            format!("{} is in use by {} (process {id})", path.display(), name.trim_end()),
            format!("systemctl status {id}"),
        ]
    };
    used_by(more, begin, said, |_, who| drop(who));
}

#[test]
fn a_working_directory() {
    by_process("old-root/srv", |_| Ok(()), |root| Somebody::does(":", &root.join("old-root/srv")));
}

#[test]
fn an_open_file() {
    let begin = |root: &Path| Somebody::does("exec 7<old-root/srv/data", root);
    by_process("old-root/srv/data", |_| Ok(()), begin);
}

#[test]
fn a_program_that_runs() {
    let more = |root: &Path| {
        fs::create_dir_all(root.join("old-root/opt")).expect("a directory");
        fs::copy("/bin/sh", root.join("old-root/opt/server")).expect("a program");
        Ok(())
    };
    by_process("old-root/opt/server", more, |root| {
        let script = "echo ready; read -r forever";
        Somebody::is(Command::new(root.join("old-root/opt/server")).args(["-c", script]))
    });
}

/// The same file system, mounted a second time: the path says nothing.
#[test]
fn an_open_file_that_was_reached_by_another_mount() {
    let other: PathBuf = isolation::new_directory();
    let at = other.clone();
    let begin = move |root: &Path| {
        sys::mount(root, &at, "none", libc::MS_BIND, "").expect("a bind mount");
        let who = Somebody::does("exec 7<old-root/srv/data", &at);
        // What the mount itself shows is the whole root.
        who
    };
    by_process("old-root/srv/data", |_| Ok(()), begin);
    sys::unmount(&other, 0).expect("an unmount");
}

/// A container's root: a bind mount that only its own mount namespace has.
#[test]
fn a_mount_of_another_namespace() {
    let begin = |root: &Path| {
        let script = "mkdir -p srv/inner; mount --bind old-root/srv srv/inner; cd /; echo ready; \
                      read -r forever";
        Somebody::is(Command::new("unshare").args(["-m", "sh", "-ec", script]).current_dir(root))
    };
    let said = |root: &Path, who: &Somebody| {
        let (at, id) = (root.display(), who.id());
        [
            format!("{at}/old-root/srv is mounted at {at}/srv/inner for sh (process {id})"),
            format!("systemctl status {id}"),
        ]
    };
    let more = |root: &Path| {
        fs::create_dir_all(root.join("srv/inner")).expect("a directory");
        Ok(())
    };
    used_by(more, begin, said, |_, who| drop(who));
}

#[test]
fn a_layer_of_an_overlay() {
    let point = isolation::new_directory();
    let over = isolation::new_directory();
    let at = point.clone();
    let begin = |root: &Path| {
        for name in ["up", "work"] {
            fs::create_dir_all(over.join(name)).expect("a directory");
        }
        let options = format!(
            "lowerdir={}/old-root/srv,upperdir={1}/up,workdir={1}/work",
            root.display(),
            over.display()
        );
        sys::mount(Path::new("none"), &at, "overlay", 0, &options).expect("an overlay");
    };
    let said = |root: &Path, (): &()| {
        let (at, point) = (root.display(), point.display());
        [
            format!("{at}/old-root/srv is a layer of the overlay at {point}"),
            format!("Unmount it first: umount {point}"),
        ]
    };
    used_by(|_| Ok(()), begin, said, |_, ()| sys::unmount(&point, 0).expect("an unmount"));
}

fn losetup(arguments: &[&str], file: &Path) -> String {
    let ended = Command::new("losetup").args(arguments).arg(file).output().expect("losetup");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("UTF-8").trim_end().to_owned()
}

/// A disk image of a guest.
#[test]
fn the_file_behind_a_loop_device() {
    let image = "old-root/var/lib/images/disk.img";
    let more = |root: &Path| {
        let path = root.join(image);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        File::create(path).expect("a file").set_len(1 << 20).expect("a size");
        Ok(())
    };
    let begin = |root: &Path| losetup(&["--find", "--show"], &root.join(image));
    let said = |root: &Path, device: &String| {
        [
            format!("{}/{image} is in use as {device}", root.display()),
            format!("losetup -d {device}"),
        ]
    };
    used_by(more, begin, said, |_, device| {
        losetup(&["--detach"], Path::new(&device));
    });
}

/// What stays may be used, and whoever is beside it is no matter.
#[test]
fn who_uses_something_else_is_no_matter() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        root.file("old-root-backup/data", "mine");
        root.file("home/data", "mine");
        Ok(())
    }));
    let root = mounted.path();
    let before = Manifest::of(root);
    let _one = Somebody::does("exec 7<data", &root.join("old-root-backup"));
    let _other = Somebody::does("exec 7<data", &root.join("home"));
    purge(root, &["--yes"]).expect(0);
    assert_only_gone(&before, &Manifest::of(root), &["old-root"]);
}
