//! `lustrate=` on the kernel command line.

use super::{disk, scheduled};
use crate::common::compare::assert_none;
use crate::lab::boot::{Boot, End};
use crate::lab::check::{assert_reverted, assert_untouched};
use crate::lab::disk::Disk;
use crate::lab::population::{Population, keepers};
use crate::lab::stage1::Kind;

fn assert_not_lustrated(disk: &Disk) {
    let entries = disk.entries();
    let old: Vec<String> =
        entries.into_iter().filter(|name| name.starts_with("old-root")).collect();
    assert_none("it was lustrated", &old);
    assert!(disk.read("etc/NIXOS_LUSTRATE").is_some(), "the marker is gone");
}

in_both!(off_boots_and_leaves_the_marker);

fn off_boots_and_leaves_the_marker(kind: Kind) {
    let disk = scheduled();
    Boot::plain(kind, &disk).word("lustrate=off").run().report();
    assert_not_lustrated(&disk);
}

in_both!(plan_says_what_would_happen_and_the_guard_stands);

/// Booting on would activate NixOS over the files of a Debian.
fn plan_says_what_would_happen_and_the_guard_stands(kind: Kind) {
    let disk = scheduled();
    let before = disk.manifest();
    let ended = Boot::plain(kind, &disk).word("lustrate=plan").word("loglevel=7").run();
    ended.expect(End::Stopped).says(&["old-root", "root/.ssh", "Debian GNU/Linux"]);
    assert_untouched(&before, &disk.manifest());
}

in_both!(plan_boots_on_a_root_of_its_own);

fn plan_boots_on_a_root_of_its_own(kind: Kind) {
    let disk = disk(Population::Nixos);
    disk.schedule(&["home"]);
    let ended = Boot::plain(kind, &disk).word("lustrate=plan").word("loglevel=7").run();
    ended.says(&["old-root", "home"]).report();
    assert_not_lustrated(&disk);
}

in_both!(revert_gives_the_old_system_back_and_reboots);

fn revert_gives_the_old_system_back_and_reboots(kind: Kind) {
    let disk = scheduled();
    let before = disk.manifest();
    Boot::plain(kind, &disk).run().sound();
    Boot::plain(kind, &disk).word("lustrate=revert").run().expect(End::Rebooted);
    assert_eq!(disk.read("etc/NIXOS_LUSTRATE"), None, "a marker is back");
    assert_reverted(&before, &disk.manifest(), &keepers());
    assert!(disk.read("nixos-root/etc/NIXOS").is_some(), "NixOS's own is not in nixos-root");
    assert_old_system_runs(kind, &disk);
}

/// Starts what was there before, by its own init.
pub fn assert_old_system_runs(kind: Kind, disk: &Disk) {
    let mut boot = Boot::plain(kind, disk).word("lustrate=off");
    "/usr/sbin/report".clone_into(&mut boot.init);
    let ended = boot.run();
    let files = ended.report().files;
    if files.get("dpkg").is_none_or(|lines| lines != &["base-files"]) {
        ended.fail("Debian does not find its packages");
    }
}
