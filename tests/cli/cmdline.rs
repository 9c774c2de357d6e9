//! `lustrate=` on the kernel command line.

use std::ffi::OsString;
use std::path::Path;

use crate::common::command::{Ended, on};
use crate::common::image::Fs;
use crate::common::initrd::Initrd;
use crate::common::manifest::Manifest;
use crate::common::population::{assert_same_population, assert_untouched};
use crate::common::text::says;
use crate::common::trees::typical::KEEPERS;
use crate::common::{or_skip, require_root, strace};
use crate::states::interrupted;
use crate::{changed, unmarked};

/// `run` in an initrd with this command line, and what it logged.
fn boot(root: &Path, line: &str) -> (Ended, String) {
    let end = Initrd::with_command_line(line).run(root, ["run"]);
    (end.ended, String::from_utf8(end.kmsg).expect("a log in UTF-8"))
}

#[test]
fn off_does_nothing_and_says_so() {
    require_root!();
    for made in [changed(Fs::Tmpfs, |_| {}), unmarked(), changed(Fs::Tmpfs, |r| r.remove("nix"))] {
        let (_image, mounted) = or_skip!(made);
        let before = Manifest::of(mounted.path());
        let (ended, log) = boot(mounted.path(), "quiet lustrate=off");
        assert_eq!(
            (ended.code, log.as_str()),
            (0, "<6>nixos-lustrate: lustrate=off on the kernel command line: nothing is done\n")
        );
        assert_untouched(&before, &Manifest::of(mounted.path()));
    }
}

#[test]
fn plan_logs_the_plan_and_boots_nothing_on_another_systems_root() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let before = Manifest::of(mounted.path());
    let (ended, log) = boot(mounted.path(), "lustrate=plan");
    ended.expect(3);
    assert_untouched(&before, &Manifest::of(mounted.path()));
    for text in [
        "<6>nixos-lustrate: lustrate=plan on the kernel command line: nothing is done\n",
        "Moves to /old-root: |",
        "etc/nixos                  moved by one rename",
        "and lustrate=plan only shows what its lustration would do",
        "To lustrate it: boot again without lustrate=plan",
    ] {
        assert!(log.contains(text), "{text} is missing:\n{log}");
    }
}

#[test]
fn plan_logs_what_would_be_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.remove("nix");
        root.remove("etc/os-release");
    }));
    let (ended, log) = boot(mounted.path(), "lustrate=plan");
    ended.expect(0);
    assert!(log.contains("<4>nixos-lustrate: refused: /sysroot/nix is missing."), "{log}");
}

#[test]
fn neither_plan_nor_off_boots_half_a_root() {
    require_root!();
    or_skip!(strace::available());
    for (verb, word) in [("run", "plan"), ("revert", "plan"), ("run", "off"), ("revert", "off")] {
        let (_image, mounted) = or_skip!(interrupted(verb));
        let before = Manifest::of(mounted.path());
        let (ended, log) = boot(mounted.path(), &format!("lustrate={word}"));
        ended.expect(3);
        for text in [
            "half-way through a lustration or a revert",
            "Half a system would have booted",
            "revert",
        ] {
            assert!(log.contains(text), "{text} is missing:\n{log}");
        }
        assert_untouched(&before, &Manifest::of(mounted.path()));
    }
}

/// `lustrate=revert` under two safeguards: a PID namespace, of which a reboot
/// would end only the init (`reboot(2)`), and strace, which lets it fail.
fn revert(root: &Path) -> (Ended, String) {
    let wrapper = [
        "unshare",
        "--pid",
        "--fork",
        "--",
        "strace",
        "-qq",
        "-f",
        "-e",
        "trace=reboot",
        "-e",
        "inject=reboot:error=EPERM",
    ];
    let initrd = Initrd {
        wrapper: wrapper.map(OsString::from).to_vec(),
        ..Initrd::with_command_line("lustrate=revert")
    };
    let end = initrd.run(root, ["run"]);
    (end.ended, String::from_utf8(end.kmsg).expect("a log in UTF-8"))
}

#[test]
fn revert_reverts_and_reboots() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let before = Manifest::of(mounted.path());
    on("run", mounted.path()).expect(0);
    let (ended, log) = revert(mounted.path());
    assert_same_population(&before, &Manifest::of(mounted.path()), KEEPERS);
    // The machine would be gone; since it is not, it says so.
    let ended = ended.expect(1);
    assert!(says(&ended.err(), "LINUX_REBOOT_CMD_RESTART"), "{}", ended.err());
    assert!(says(&ended.err(), "(INJECTED)"), "{}", ended.err());
    assert!(log.contains("<6>nixos-lustrate: Rebooting into the old system"), "{log}");
    assert!(log.ends_with("Failed to reboot 'the machine': Operation not permitted\n"), "{log}");
}

#[test]
fn revert_with_nothing_to_revert_does_not_reboot_for_ever() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(unmarked());
    let before = Manifest::of(mounted.path());
    let (ended, log) = revert(mounted.path());
    let ended = ended.expect(3);
    assert!(!says(&ended.err(), "reboot("), "{}", ended.err());
    assert_untouched(&before, &Manifest::of(mounted.path()));
    let refusal = "<3>nixos-lustrate: refused: lustrate=revert is on the kernel command line, and \
        there is nothing to revert. The machine would have rebooted again and again. Choose the \
        old system in the boot menu, or remove lustrate=revert to boot NixOS. Nothing was \
        touched.\n";
    assert!(log.ends_with(refusal), "{log}");
}

#[test]
fn an_unknown_value_is_named_and_ignored() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let (ended, log) = boot(mounted.path(), "lustrate=of\u{e9}");
    ended.expect(0);
    let first = log.lines().next().expect("a line");
    assert!(first.starts_with("<4>nixos-lustrate: lustrate=of\u{e9} on the kernel"), "{log}");
    assert!(log.contains("Lustrated /sysroot"), "{log}");
}

#[test]
fn the_command_line_counts_in_initrds_only() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let mut initrd = Initrd::with_command_line("lustrate=off");
    initrd.files.clear();
    let root = ["run", "--root", "/sysroot"];
    let end = initrd.run(mounted.path(), root);
    end.ended.expect(0).says(&["Lustrated /sysroot"]);
    assert!(end.kmsg.is_empty());
}

#[test]
fn init_of_another_root_is_refused_and_one_of_this_root_is_not() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let before = Manifest::of(mounted.path());
    for init in ["/nix/store/other/init", "/sbin/init", "init", "/nix/../x"] {
        let (ended, log) = boot(mounted.path(), &format!("init={init}"));
        ended.expect(3);
        let refusal = format!(
            "<3>nixos-lustrate: refused: {init} (init= on the kernel command line) is not in \
             /sysroot/nix/store. This is the wrong root, or the wrong generation, and it would \
             not have booted. Check root= and init=, or choose another entry in the boot menu. \
             Nothing was touched.\n"
        );
        assert_eq!(log, refusal);
    }
    assert_untouched(&before, &Manifest::of(mounted.path()));
    let toplevel = crate::common::trees::typical::TOPLEVEL;
    boot(mounted.path(), &format!("init=/{toplevel}/init")).0.expect(0);
}
