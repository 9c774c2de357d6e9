//! NixOS's etc overlay: what is `etc/x` on the running system lies in
//! `.rw-etc/upper/x`, the marker and keepers too.

use std::path::Path;

use crate::changed;
use crate::common::command::{Ended, on};
use crate::common::image::{Fs, Image};
use crate::common::initrd::Initrd;
use crate::common::manifest::Manifest;
use crate::common::population::{assert_same_population, assert_untouched};
use crate::common::text::says;
use crate::common::trees::Root;
use crate::common::{or_skip, require_root, skip, sys};

const UPPER: &str = ".rw-etc/upper";

/// A root on which a NixOS with the overlay ran, marked for a lustration.
fn overlaid(root: &Root<'_>) {
    root.remove("etc");
    root.directory("etc", 0o755);
    root.directory(".rw-etc/work", 0o755);
    root.file(format!("{UPPER}/NIXOS_LUSTRATE"), "etc/nixos\netc/machine-id\nhome\n");
    root.file(format!("{UPPER}/nixos/configuration.nix"), "{ }");
    root.file(format!("{UPPER}/machine-id"), "0\n");
    root.file(format!("{UPPER}/other"), "");
}

#[test]
fn keepers_in_etc_are_kept_in_the_upper_directory() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, overlaid));
    let before = Manifest::of(mounted.path());
    on("run", mounted.path()).expect(0);
    let after = Manifest::of(mounted.path());
    for kept in ["nixos", "nixos/configuration.nix", "machine-id"] {
        let path = format!("{UPPER}/{kept}");
        let (then, now) = (before.get(path.as_bytes()), after.get(path.as_bytes()));
        assert_eq!(then.map(|n| n.id), now.map(|n| n.id), "{kept}");
    }
    assert!(after.get(b".rw-etc/upper/other").is_none());
    assert!(after.get(b"old-root/.rw-etc/upper/other").is_some());
    assert!(after.get(b".rw-etc/upper/NIXOS_LUSTRATE").is_none(), "it would lustrate again");
    assert!(says(&on("status", mounted.path()).expect(0).out(), ": done What is where: "));
    on("revert", mounted.path()).expect(0);
    let reverted = Manifest::of(mounted.path());
    let moved: [&[u8]; 3] =
        [b".rw-etc/upper/nixos", b".rw-etc/upper/machine-id", b".rw-etc/upper/NIXOS_LUSTRATE"];
    let mut population = before.clone();
    population.nodes.remove(&b".rw-etc/upper/NIXOS_LUSTRATE"[..]);
    let mut now = reverted.clone();
    now.nodes.remove(&b".rw-etc/upper/NIXOS_LUSTRATE"[..]);
    assert_same_population(&population, &now, &moved);
}

#[test]
fn the_marker_in_the_upper_directory_is_seen_in_an_initrd() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, overlaid));
    let end = Initrd::default().run(mounted.path(), ["run"]);
    end.ended.expect(0);
    let log = String::from_utf8_lossy(&end.kmsg).into_owned();
    assert!(log.contains("Lustrated /sysroot"), "{log}");
    // And not again at the next boot.
    let end = Initrd::default().run(mounted.path(), ["run"]);
    end.ended.expect(0);
    assert!(end.kmsg.is_empty(), "{}", String::from_utf8_lossy(&end.kmsg));
}

/// An overlay with a typical root in its lower layer, which is a file system of its own
/// or not; and `run` on it.
fn run_on_overlay(lower: &Path, upper: &Path, options: &str, keep: &str) -> Option<Ended> {
    let root = Root { path: &lower.join("lower"), fs: Fs::Ext4 };
    for dir in [root.path, &upper.join("upper"), &upper.join("work")] {
        std::fs::create_dir_all(dir).expect("a layer");
    }
    crate::common::trees::typical::typical(&root, keep.as_bytes());
    let point = crate::common::isolation::new_directory();
    let data = format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=on,{options}",
        root.path.display(),
        upper.join("upper").display(),
        upper.join("work").display()
    );
    let mounted = sys::mount(Path::new("o"), &point, "overlay", 0, &data);
    if let Err(error) = mounted {
        skip::say(&skip::Skipped::new(format!("no overlay: {error}")));
        return None;
    }
    // What a run would write goes to the upper layer.
    let upper = upper.join("upper");
    let before = Manifest::of(&upper);
    let ended = on("run", &point);
    if ended.code == 3 {
        assert_untouched(&before, &Manifest::of(&upper));
    } else {
        assert!(point.join("old-root/usr/bin/sh").exists());
        on("revert", &point).expect(0);
        assert!(point.join("usr/bin/sh").exists() && point.join("etc/passwd").exists());
    }
    Some(ended)
}

/// Layers on two file systems need `xino`; what lies in a lower layer would be copied.
#[test]
fn an_overlay_as_root_is_refused_where_it_cannot_keep_its_promise() {
    require_root!();
    let rows: [(bool, &str, &str, &[&str]); 5] = [
        (true, "xino=off", "home\n", &["whose inode numbers do not last", "xino=on"]),
        (true, "xino=on", "etc/machine-id\nroot/.ssh\n", &["/root/.ssh is to be kept"]),
        (false, "xino=off", "root/.ssh\n", &["/root/.ssh is to be kept", "Keep the whole of"]),
        (true, "xino=on", "home\n", &[]),
        (false, "xino=off", "home\n", &[]),
    ];
    for (apart, options, keep, says) in rows {
        let (lower, upper) = (or_skip!(Image::new(Fs::Ext4)), or_skip!(Image::new(Fs::Ext4)));
        let (lower, upper) = (or_skip!(lower.mount()), or_skip!(upper.mount()));
        let top = if apart { upper.path() } else { lower.path() };
        let Some(ended) = run_on_overlay(lower.path(), top, options, keep) else { return };
        ended.expect(if says.is_empty() { 0 } else { 3 }).says(says);
    }
}
