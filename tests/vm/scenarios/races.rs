//! Mounts below the root, while it is lustrated. (systemd stage 1 only.)

use super::scheduled;
use crate::lab::boot::Boot;
use crate::lab::say;
use crate::lab::stage1::{Kind, Wiring};

/// The unit as nixpkgs#509036 proposed it: ordered before
/// `initrd-root-fs.target` and nothing else, and under a condition.
const OLD_UNIT: &str = "\
[Unit]
Description=The unit that others have
DefaultDependencies=no
Requires=sysroot.mount
After=sysroot.mount
Before=initrd-root-fs.target
ConditionPathExists=/sysroot/etc/NIXOS_LUSTRATE

[Service]
Type=oneshot
ExecStart=/bin/nixos-lustrate
";

/// What NixOS itself does in the scripted stage 1, without keepers.
const OLD_PROGRAM: &str = "\
#!/bin/sh
mkdir /sysroot/old-root.tmp
for entry in /sysroot/*; do
    case ${entry##*/} in
        nix | boot | old-root*) ;;
        *) mv \"$entry\" /sysroot/old-root.tmp/ ;;
    esac
done
mv /sysroot/old-root.tmp /sysroot/old-root
exit 0
";

const BOOTS: usize = 5;

#[test]
fn a_unit_that_orders_no_mount_loses_var_log_to_the_old_root() {
    let lost = (1..=BOOTS).find(|_| {
        let disk = scheduled();
        let mut boot = Boot::plain(Kind::Systemd, &disk);
        boot.stage1.wiring = Wiring::Unit(OLD_UNIT);
        OLD_PROGRAM.as_bytes().clone_into(&mut boot.stage1.program);
        let ended = boot.run();
        ended.console.contains(" /old-root/var/log ")
    });
    let lost = lost.expect("the race was never lost: then the harness would not see it");
    say(&format!("/var/log was below the old root in boot {lost} of at most {BOOTS}"));
}

#[test]
fn ours_keeps_var_log_in_its_place() {
    let disk = scheduled();
    let report = Boot::plain(Kind::Systemd, &disk).run().sound();
    assert_eq!(report.mounts["/var/log"].0, "/nix/persist/var/log");
    assert!(!report.mounts.keys().any(|point| point.starts_with("/old-root")));
}
