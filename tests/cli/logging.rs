//! Where the lines go: the kernel log in an initrd, the journal where there is
//! one, stderr elsewhere; and never more than is due.

use std::ffi::OsString;

use crate::common::command::{LIMIT, on, program, run_limited};
use crate::common::image::Fs;
use crate::common::initrd::{Initrd, InitrdEnded};
use crate::common::text::says;
use crate::common::{or_skip, require_root, strace};
use crate::{changed, with};

/// What the kernel takes of one record and what it takes in 5 seconds.
const MAX_RECORD: usize = 976;
const MAX_RECORDS: usize = 10;

fn in_initrd(root: &std::path::Path, wrapper: &[&str]) -> InitrdEnded {
    let wrapper = wrapper.iter().map(OsString::from).collect();
    Initrd { wrapper, ..Initrd::default() }.run(root, ["run"])
}

/// A keep-list with more than the warnings that are said one by one.
fn missing_keepers(count: usize) -> String {
    (0..count).fold(String::new(), |list, n| list + &format!("var/missing-{n}\n"))
}

#[test]
fn a_run_in_an_initrd_is_a_few_records_in_the_kernel_log() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let end = in_initrd(mounted.path(), &[]);
    let ended = end.ended.expect(0);
    assert_eq!((ended.err(), ended.out()), (String::new(), String::new()));
    let log = String::from_utf8(end.kmsg).expect("UTF-8");
    assert_eq!(
        log,
        "<6>nixos-lustrate: Beginning the lustration of /sysroot: 18 entries to /old-root, \
         5 paths kept\n\
         <6>nixos-lustrate: Lustrated /sysroot: 18 entries moved to /old-root, 4 nested keepers \
         moved back in\n"
    );
}

#[test]
fn many_warnings_are_counted() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.file("etc/NIXOS_LUSTRATE", missing_keepers(30));
    }));
    let end = in_initrd(mounted.path(), &[]);
    end.ended.expect(0);
    let log = String::from_utf8(end.kmsg).expect("UTF-8");
    let warnings = log.lines().filter(|line| line.starts_with("<4>nixos-lustrate: ")).count();
    assert_eq!(warnings, 6, "{log}");
    assert!(log.contains("<4>nixos-lustrate: 25 more are in the record, .lustrate/record\n"));
    assert!(log.lines().count() <= MAX_RECORDS, "{log}");
}

#[test]
fn one_write_is_one_record_that_the_kernel_takes() {
    require_root!();
    or_skip!(strace::available());
    let many = |root: &crate::common::trees::Root<'_>| {
        root.file("etc/NIXOS_LUSTRATE", missing_keepers(30));
        for n in 0..300 {
            root.file(format!("a-long-name-of-an-entry-{n:0100}"), "");
        }
    };
    for line in ["quiet", "lustrate=plan"] {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, many));
        let initrd = Initrd {
            wrapper: ["strace", "-qq", "-y", "-s", "9999", "-e", "trace=write,writev"]
                .map(OsString::from)
                .to_vec(),
            ..Initrd::with_command_line(line)
        };
        let end = initrd.run(mounted.path(), ["run"]);
        let log = String::from_utf8(end.kmsg).expect("UTF-8");
        let writes = end.ended.err().lines().filter(|l| l.contains("kmsg>")).count();
        assert_eq!(writes, log.lines().count(), "{log}");
        assert!((1..=MAX_RECORDS).contains(&writes), "{writes} records:\n{log}");
        for record in log.lines() {
            assert!(record.len() < MAX_RECORD, "{} bytes: {record}", record.len());
            let text = record.strip_prefix('<').and_then(|r| r.split_once(">nixos-lustrate: "));
            assert!(text.is_some_and(|(level, _)| ["3", "4", "6", "7"].contains(&level)));
        }
    }
}

#[test]
fn a_stop_part_way_names_the_two_ways_on() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.file("nixos-root/etc/mine", "");
    }));
    or_skip!(strace::available());
    let renames = "inject=renameat2:error=EIO:when=24";
    let end = in_initrd(mounted.path(), &["strace", "-qq", "-e", renames, "-e", "trace=renameat2"]);
    end.ended.expect(1);
    let log = String::from_utf8(end.kmsg).expect("UTF-8");
    let last = log.lines().last().expect("a line");
    assert!(last.starts_with("<3>nixos-lustrate: stopped part-way: Failed to rename '/sysroot/"));
    let ways = ": I/O error. Nothing is lost. | To go on, once the cause is fixed: nixos-lustrate \
        run --root /sysroot | To go back: nixos-lustrate revert --root /sysroot";
    assert!(last.ends_with(ways), "{log}");
}

#[test]
fn the_journal_gets_lines_with_their_level() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.file("etc/NIXOS_LUSTRATE", "var/missing\n");
    }));
    let end = in_initrd(mounted.path(), &["env", "JOURNAL_STREAM=8:1234"]);
    assert!(end.kmsg.is_empty(), "never to both");
    let err = end.ended.expect(0).err();
    let levels: Vec<_> = err.lines().map(|line| &line[..3]).collect();
    assert_eq!(levels, ["<6>", "<4>", "<6>"], "{err}");
    assert!(err.contains("<4>'var/missing' is in the keep-list but not there\n"), "{err}");
}

#[test]
fn without_a_kernel_log_an_initrd_speaks_on_stderr() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let script = "umount /dev/kmsg && rm /dev/kmsg && exec \"$@\"";
    let end = in_initrd(mounted.path(), &["sh", "-c", script, "sh"]);
    end.ended.expect(0).says(&["Beginning the lustration", "Lustrated /sysroot"]);
}

#[test]
fn outside_an_initrd_a_person_reads_stderr() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.file("etc/NIXOS_LUSTRATE", "var/missing\n");
    }));
    let mut command = program();
    command.env("JOURNAL_STREAM", "8:1234").args(["run", "--root"]).arg(mounted.path());
    let ended = run_limited(&mut command, LIMIT).expect(0);
    let err = ended.err();
    assert!(err.starts_with("Beginning the lustration of "), "{err}");
    assert!(err.contains("\nwarning: 'var/missing' is in the keep-list but not there\n"), "{err}");
    assert_eq!(ended.out(), "");
}

#[test]
fn quiet_and_verbose_say_less_and_more() {
    require_root!();
    let said = |options: &[&str]| {
        let (_image, mounted) = changed(Fs::Tmpfs, |root| {
            root.file("etc/NIXOS_LUSTRATE", "var/missing\n");
        })
        .expect("a tmpfs");
        with("run", mounted.path(), options).expect(0).err()
    };
    let (normal, verbose) = (said(&[]), said(&["-v"]));
    assert!(!says(&normal, "Moves to /old-root:") && says(&verbose, "Moves to /old-root:"));
    let quiet = said(&["-q"]);
    assert_eq!(quiet, "warning: 'var/missing' is in the keep-list but not there\n");
    assert_eq!(said(&["-qq"]), "");
    assert_eq!(said(&["-q", "-v"]).lines().count(), normal.lines().count());
    // Errors are said in any case.
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| root.remove("nix")));
    with("run", mounted.path(), &["-qqq"]).expect(3).says(&["refused: "]);
}

#[test]
fn what_a_plan_prints_fits_the_console() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.file("etc/NIXOS_LUSTRATE", "bin/su\nvar/missing\nhome\netc/localtime\n");
    }));
    let plan = on("plan", mounted.path()).expect(0);
    let status = on("status", mounted.path()).expect(0);
    for line in plan.out().lines().chain(status.out().lines()) {
        let only_a_path = line.contains(mounted.path().to_str().expect("UTF-8"));
        assert!(only_a_path || line.chars().count() <= 80, "{line}");
        assert_eq!(line, line.trim_end());
    }
    assert_eq!(plan.err() + &status.err(), "");
}

/// What an initrd whose kernel shows levels below `level` has on its console, besides
/// what the kernel puts there.
fn on_console(root: &std::path::Path, level: u8, word: &str) -> (i32, String, String) {
    let script = "mount --bind /tmp/printk /proc/sys/kernel/printk || exit 99; \"$@\"; code=$?; \
        cat /dev/console; exit $code";
    let initrd = Initrd {
        wrapper: ["sh", "-c", script, "sh"].map(OsString::from).to_vec(),
        ..Initrd::with_command_line(word)
    };
    let initrd = initrd
        .file("dev/console", b"")
        .file("tmp/printk", format!("{level}\t4\t1\t7\n").as_bytes());
    let end = initrd.run(root, ["run"]);
    let log = String::from_utf8(end.kmsg).expect("UTF-8");
    (end.ended.code, end.ended.out(), log)
}

#[test]
fn who_watches_sees_the_beginning_and_the_end() {
    require_root!();
    let begin = "nixos-lustrate: Beginning the lustration of /sysroot: ";
    let end = "nixos-lustrate: Lustrated /sysroot: ";
    // `quiet` and NixOS's own loglevel=4, loglevel=3, and the kernel's default.
    for (level, own) in [(4, true), (3, true), (7, false), (15, false)] {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
            root.file("etc/NIXOS_LUSTRATE", "home\nvar/missing\n");
        }));
        let (code, console, log) = on_console(mounted.path(), level, "quiet");
        assert_eq!(code, 0, "{log}");
        assert!(log.contains(begin) && log.contains(end) && log.contains("var/missing"));
        let lines: Vec<_> = console.lines().collect();
        if own {
            assert!(lines.len() == 3 && lines[0].starts_with(begin), "{console}");
            assert!(lines[1].contains("var/missing") && lines[2].starts_with(end), "{console}");
        } else {
            assert_eq!(console, "", "once is enough");
        }
        // And nothing, where nothing is done.
        let quiet = on_console(mounted.path(), level, "quiet lustrate=");
        assert!(!quiet.1.contains(begin), "{}", quiet.1);
    }
}

#[test]
fn a_plan_is_readable_on_a_quiet_console() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let (code, console, _) = on_console(mounted.path(), 4, "quiet lustrate=plan");
    assert_eq!(code, 3, "the guard");
    for line in ["Moves to /old-root:", "Kept:", "  home                       stays where it is"] {
        assert!(console.lines().any(|l| l == line), "no {line:?} in\n{console}");
    }
    // What the kernel shows by itself is not there twice.
    assert!(!console.contains("refused: "), "{console}");
}

#[test]
fn wildcards_get_a_hint() {
    require_root!();
    for (line, hint) in
        [("etc/ssh/ssh_host_*", true), ("home/?", true), ("var/[ab]", true), ("var/x", false)]
    {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
            root.file("etc/NIXOS_LUSTRATE", format!("\u{feff}{line}\n"));
        }));
        let err = on("run", mounted.path()).expect(0).err();
        let end = if hint { ": wildcards are not expanded here" } else { "" };
        let want = format!("warning: '{line}' is in the keep-list but not there{end}\n");
        assert!(err.contains(&want), "{err}");
    }
}

#[test]
fn every_boot_warns_only_of_news() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.remove("etc/NIXOS_LUSTRATE");
    }));
    let boot = |keep: &[&str]| {
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let mut arguments = vec!["--always"];
        arguments.extend(keep);
        with("run", mounted.path(), &arguments).expect(0).err()
    };
    let (one, two) = ("'var/one' is in the keep-list", "'var/two' is in the keep-list");
    let first = boot(&["--keep=var/one"]);
    assert!(first.contains(one), "{first}");
    for _ in 0..2 {
        let again = boot(&["--keep=var/one"]);
        assert!(!again.contains("warning"), "{again}");
    }
    let more = boot(&["--keep=var/one", "--keep=var/two"]);
    assert!(!more.contains(one) && more.contains(two), "{more}");
    // The record has them all.
    let record = std::fs::read_to_string(mounted.path().join("old-root/.lustrate/record"));
    assert_eq!(record.expect("a record").matches("keep-list").count(), 2);
}
