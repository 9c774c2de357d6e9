//! NixOS's etc overlay: what is `etc/x` on the running system lies in
//! `.rw-etc/upper/x`, the marker and keepers too.

use crate::changed;
use crate::common::command::on;
use crate::common::image::Fs;
use crate::common::initrd::Initrd;
use crate::common::manifest::Manifest;
use crate::common::population::assert_same_population;
use crate::common::text::says;
use crate::common::trees::Root;
use crate::common::{or_skip, require_root};

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
