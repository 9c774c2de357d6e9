//! NixOS never activates itself over somebody else's root, and its own roots
//! boot.

use super::disk;
use crate::lab::boot::{Boot, End};
use crate::lab::check::assert_untouched;
use crate::lab::layout::{Fs, Layout};
use crate::lab::population::Population;
use crate::lab::stage1::Kind;

in_both!(a_debian_without_a_marker_is_left_alone);

fn a_debian_without_a_marker_is_left_alone(kind: Kind) {
    let disk = disk(Population::Debian);
    let before = disk.manifest();
    let ended = Boot::plain(kind, &disk).run();
    ended.expect(End::Stopped).says(&["Debian GNU/Linux", "lustrate=off"]);
    assert_untouched(&before, &disk.manifest());
}

in_both!(off_boots_whatever_the_root_is);

fn off_boots_whatever_the_root_is(kind: Kind) {
    let disk = disk(Population::Debian);
    Boot::plain(kind, &disk).word("lustrate=off").run().report();
}

in_both!(without_the_guard_any_root_boots);

fn without_the_guard_any_root_boots(kind: Kind) {
    let disk = disk(Population::Debian);
    let mut boot = Boot::plain(kind, &disk);
    boot.stage1.options.guard = false;
    boot.run().sound();
}

in_both!(a_fresh_root_boots);

fn a_fresh_root_boots(kind: Kind) {
    Boot::plain(kind, &disk(Population::Fresh)).run().sound();
}

#[test]
fn a_fresh_root_with_an_etc_overlay_boots() {
    let layout = Layout { etc_overlay: true, ..Layout::new(Fs::Ext4) };
    let disk = disk(Population::Fresh);
    let boot = || Boot::new(Kind::Systemd, layout.clone(), &disk).run().sound();
    boot();
    // What the first boot made is no other distribution's either.
    boot();
}
