//! With NixOS's etc overlay a marker that is written on the running system
//! lands in the upper directory. (systemd stage 1 only.)

use super::disk;
use crate::lab::boot::Boot;
use crate::lab::layout::{Fs, Layout};
use crate::lab::population::Population;
use crate::lab::stage1::Kind;

const MARKER: &str = ".rw-etc/upper/NIXOS_LUSTRATE";

#[test]
fn a_marker_in_the_upper_directory_is_obeyed_once() {
    let disk = disk(Population::Nixos);
    disk.write(MARKER, "home\n");
    let layout = Layout { etc_overlay: true, ..Layout::new(Fs::Ext4) };
    let boot = || Boot::new(Kind::Systemd, layout.clone(), &disk).run();

    let report = boot().sound();
    assert_eq!(report.mounts["/etc"].1, "overlay");
    assert!(disk.read(MARKER).is_none(), "the marker is still there");
    assert_eq!(disk.read("home/alice/notes").as_deref(), Some("to be kept\n"));
    assert_eq!(disk.read("old-root/srv/shared/file").as_deref(), Some("shared\n"));

    boot().sound();
    let old: Vec<String> =
        disk.entries().into_iter().filter(|name| name.starts_with("old-root")).collect();
    assert_eq!(old, ["old-root"], "lustrated twice");
}
