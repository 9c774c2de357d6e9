//! A second lustration, of a NixOS this time, keeps what the first one left.

use super::scheduled;
use crate::common::population::Lustrated;
use crate::lab::boot::Boot;
use crate::lab::check::assert_as_planned;
use crate::lab::stage1::Kind;

in_both!(an_older_old_root_gets_another_name_and_stays_whole);

fn an_older_old_root_gets_another_name_and_stays_whole(kind: Kind) {
    let disk = scheduled();
    Boot::plain(kind, &disk).run().sound();
    disk.schedule(&["home", "etc/machine-id"]);
    let before = disk.manifest();

    Boot::plain(kind, &disk).run().sound();
    let entries = disk.entries();
    let older: Vec<&String> = entries.iter().filter(|name| name.starts_with("old-root-")).collect();
    let [older] = older[..] else { panic!("one older old root was expected: {entries:?}") };
    let plan = Lustrated {
        keepers: &[b"home", b"etc/machine-id"],
        renamed: &[(b"old-root", older.as_bytes())],
        ..Lustrated::default()
    };
    assert_as_planned(&before, &disk.manifest(), &plan);
}
