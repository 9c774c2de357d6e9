//! A run that cannot go on stops the boot, and the console offers the two
//! ways on.

use std::time::Duration;

use super::words::assert_old_system_runs;
use super::{KEEP, scheduled};
use crate::common::population::MARKER;
use crate::lab::boot::{Boot, End, SHELL};
use crate::lab::check::{assert_lustrated, assert_reverted};
use crate::lab::disk::Disk;
use crate::lab::drive::Path;
use crate::lab::machine::{Machine, Waited};
use crate::lab::population::keepers;
use crate::lab::stage1::Kind;

const LIMIT: Duration = Duration::from_secs(30);

fn sysroot(kind: Kind) -> &'static str {
    match kind {
        Kind::Systemd => "/sysroot",
        Kind::Busybox => "/mnt-root",
    }
}

/// Boots until stage 1 has stopped and a shell waits for a line.
fn shell(boot: &mut Boot<'_>) -> Machine {
    boot.stage1.shell = true;
    let kind = boot.stage1.kind;
    let mut machine = boot.start();
    let seen = machine.wait_for(&SHELL, LIMIT);
    let is_stopped = matches!(seen, Waited::Saw(_));
    assert!(is_stopped, "no shell: {seen:?}\n{}", machine.console());
    if kind == Kind::Busybox {
        machine.type_line("i");
    }
    let prompt = machine.wait_for(&["stage-1# "], LIMIT);
    assert_eq!(prompt, Waited::Saw(0), "no prompt\n{}", machine.console());
    machine
}

/// Types a command and returns what it printed, if it succeeded.
fn command(machine: &mut Machine, line: &str) {
    let position = machine.position();
    // Not the text that is waited for: the console echoes what is typed.
    machine.type_line(&format!("{line}; echo \"status:\"$?"));
    let seen = machine.wait_after(position, &["status:0\r"], LIMIT);
    assert_eq!(seen, Waited::Saw(0), "{line}\n{}", machine.console());
}

/// The first sector of this directory's entries, on ext4.
fn sector(disk: &Disk, folder: &str) -> u64 {
    let request = format!("blocks {folder}");
    let printed = std::process::Command::new("debugfs")
        .args(["-R", &request])
        .arg(disk.path())
        .output()
        .expect("debugfs runs");
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    let block = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    block.expect("a block number") * 8
}

in_both!(a_disk_error_stops_the_boot_and_revert_mends_it);

fn a_disk_error_stops_the_boot_and_revert_mends_it(kind: Kind) {
    let disk = scheduled();
    let before = disk.manifest();
    let bad = sector(&disk, "/srv");
    // Another parent means another "..", in a block that cannot be read.
    let mut boot = Boot::plain(kind, &disk).through(Path::BadSector(bad));
    let mut machine = shell(&mut boot);
    let console = machine.console();
    for text in ["Failed to", "srv", "nixos-lustrate run", "nixos-lustrate revert"] {
        assert!(console.contains(text), "no {text:?} on the console\n{console}");
    }
    command(&mut machine, &format!("nixos-lustrate revert --root {}", sysroot(kind)));
    command(&mut machine, "sync");
    machine.cut_power();

    assert_reverted(&before, &disk.manifest(), &keepers());
    assert_old_system_runs(kind, &disk);
}

in_both!(what_was_refused_goes_on_once_it_is_mended);

fn what_was_refused_goes_on_once_it_is_mended(kind: Kind) {
    let disk = scheduled();
    disk.schedule(&["home/../../etc"]);
    let mut before = disk.manifest();
    let mut boot = Boot::plain(kind, &disk);
    let mut machine = shell(&mut boot);
    let console = machine.console();
    assert!(console.contains(".."), "no reason on the console\n{console}");
    let marker = format!("{}/etc/NIXOS_LUSTRATE", sysroot(kind));
    let list = KEEP.join("\\n");
    command(&mut machine, &format!("printf '{list}\\n' >{marker}"));
    machine.type_line("exit");
    machine.resume().expect(End::Up);
    let after = disk.manifest();
    // The marker is the same file with another content, as typed above.
    let marker = after.get(b"old-root/etc/NIXOS_LUSTRATE").expect("the marker in the old root");
    before.nodes.insert(MARKER.to_vec(), marker.clone());
    assert_lustrated(&before, &after, &keepers());
}
