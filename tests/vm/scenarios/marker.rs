//! With a marker and without: the two boots that everybody has.

use super::{disk, scheduled};
use crate::lab::boot::Boot;
use crate::lab::check::{assert_lustrated, assert_untouched_but_booted};
use crate::lab::population::{Population, keepers};
use crate::lab::say;
use crate::lab::stage1::Kind;

in_both!(without_a_marker_nothing_changes);

fn without_a_marker_nothing_changes(kind: Kind) {
    let disk = disk(Population::Nixos);
    let before = disk.manifest();
    let report = Boot::plain(kind, &disk).run().sound();
    say(&format!("nothing to do took {}, up after {} s", report.run_took(), report.uptime));
    assert_untouched_but_booted(&before, &disk.manifest());
}

in_both!(a_marker_is_obeyed_once);

fn a_marker_is_obeyed_once(kind: Kind) {
    let disk = scheduled();
    let before = disk.manifest();
    let ended = Boot::plain(kind, &disk).run();
    let report = ended.sound();
    say(&format!("a lustration took {}, up after {} s", report.run_took(), report.uptime));
    assert_eq!(report.files["/etc/hostname"], ["old-machine"], "{}", ended.console);
    let lustrated = disk.manifest();
    assert_lustrated(&before, &lustrated, &keepers());

    Boot::plain(kind, &disk).run().sound();
    assert_untouched_but_booted(&lustrated, &disk.manifest());
}
