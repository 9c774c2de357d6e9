//! What is refused stops the boot with the reason on the console, and leaves
//! the disk as it was.

use super::scheduled;
use crate::common::manifest::Manifest;
use crate::lab::boot::{Boot, End};
use crate::lab::check::assert_untouched;
use crate::lab::disk::Disk;
use crate::lab::layout::{Fs, Layout};
use crate::lab::stage1::Kind;

fn refuses(boot: &Boot<'_>, disk: &Disk, before: &Manifest, texts: &[&str]) {
    boot.run().expect(End::Stopped).says(texts);
    assert_untouched(before, &disk.manifest());
}

in_both!(a_store_without_the_system_to_start);

fn a_store_without_the_system_to_start(kind: Kind) {
    let disk = scheduled();
    let before = disk.manifest();
    let mut boot = Boot::plain(kind, &disk);
    let missing = "/nix/store/00000000000000000000000000000000-nixos-system-elsewhere/init";
    missing.clone_into(&mut boot.init);
    refuses(&boot, &disk, &before, &["nixos-lustrate", missing]);
}

in_both!(a_root_mounted_read_only);

fn a_root_mounted_read_only(kind: Kind) {
    let disk = scheduled();
    let before = disk.manifest();
    let layout = Layout { read_only: true, ..Layout::new(Fs::Ext4) };
    refuses(&Boot::new(kind, layout, &disk), &disk, &before, &["nixos-lustrate", "read-only"]);
}
