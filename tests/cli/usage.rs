//! Help, version, and what is no command line.

use crate::common::command::lustrate;
use crate::common::text::says;

#[test]
fn help_names_every_command_and_fits_the_console() {
    let help = lustrate(["--help"]).expect(0);
    assert_eq!(help.err(), "");
    for word in ["run", "plan", "status", "revert", "Exit status: 0", "--help", "--version"] {
        assert!(says(&help.out(), word), "{word} is missing:\n{}", help.out());
    }
    assert!(help.out().lines().all(|line| line.chars().count() <= 80), "{}", help.out());
    assert_eq!(lustrate(["-h"]).expect(0), help);
}

#[test]
fn help_of_a_command_names_its_options() {
    for (command, options) in [
        ("run", &["--root", "--keep", "--always", "--system-id", "--no-guard"][..]),
        ("plan", &["--root", "--keep", "--always"]),
        ("status", &["--root"]),
        ("revert", &["--root", "--keep-boot"]),
    ] {
        let help = lustrate([command, "--help"]).expect(0);
        for option in options {
            assert!(says(&help.out(), option), "{command} {option}:\n{}", help.out());
        }
        assert!(help.out().lines().all(|line| line.chars().count() <= 80), "{}", help.out());
    }
}

#[test]
fn the_version_is_one_line() {
    let version = concat!("nixos-lustrate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(lustrate(["--version"]).expect(0).out(), version);
    assert_eq!(lustrate(["-V"]).expect(0).out(), version);
}

#[test]
fn wrong_usage_names_the_word_and_points_to_the_help() {
    for (line, word) in [
        ("", "no command given"),
        ("rum", "rum"),
        ("run --kep x", "--kep"),
        ("run --root", "--root"),
        ("run --keep ../x", "'../x' of --keep has a '..' component"),
        ("run --keep /", "'/' of --keep is the root itself"),
        ("run extra", "extra"),
        ("run --keep-boot", "--keep-boot"),
        ("revert --keep x", "--keep"),
        ("status --always", "--always"),
        ("run --json", "--json"),
        ("run --always=yes", "--always"),
        ("-x", "-x"),
    ] {
        let ended = lustrate(line.split_whitespace()).expect(2);
        let (err, out) = (ended.err(), ended.out());
        assert!(err.starts_with("nixos-lustrate: ") && says(&err, word), "{line}: {err}");
        assert!(err.ends_with("\nTry: nixos-lustrate --help\n"), "{line}: {err}");
        assert!(out.is_empty() && err.lines().count() <= 3, "{line}: {err}{out}");
        assert!(!says(&err, "--help'"), "points to the help twice: {err}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else { return };
    let mut command = crate::common::command::program();
    let ended = command.args(["status", "--root", "/"]).stdout(full).output().expect("it runs");
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("standard output"));
}
