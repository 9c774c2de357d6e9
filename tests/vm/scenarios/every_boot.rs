//! `everyBoot`: mutable state goes at each boot, without a marker.

use super::disk;
use crate::lab::boot::Boot;
use crate::lab::population::Population;
use crate::lab::stage1::Kind;

in_both!(state_is_gone_after_each_of_three_boots_and_keepers_stay);

fn state_is_gone_after_each_of_three_boots_and_keepers_stay(kind: Kind) {
    let disk = disk(Population::Nixos);
    let kept = disk.manifest().subtree(b"home");
    let mut boot = Boot::plain(kind, &disk);
    boot.stage1.options.every_boot = true;
    boot.stage1.options.keep = vec!["home".to_owned(), "var/lib/state".to_owned()];
    for number in 1..=3 {
        boot.run().sound();
        assert_eq!(disk.read("var/lib/boots").as_deref(), Some("booted\n"), "boot {number}");
        assert_eq!(disk.read("var/lib/state/db").as_deref(), Some("rows\n"), "boot {number}");
        assert_eq!(disk.manifest().subtree(b"home"), kept, "boot {number}");
        let entries = disk.entries();
        let old = entries.iter().filter(|name| name.starts_with("old-root")).count();
        assert_eq!(old, number, "{entries:?}");
    }
    let log = disk.read("nix/persist/var/log/boots");
    assert_eq!(log.as_deref(), Some("logged\nlogged\nlogged\n"), "/var/log is not state");
}
