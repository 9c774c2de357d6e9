//! Without root's privileges: clear words, and nothing touched.

use std::path::Path;

use crate::common::command::on;
use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::nobody::{HERE, as_nobody};
use crate::common::population::assert_untouched;
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::{assert_refusal, changed};

#[test]
fn run_and_revert_need_root() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let before = Manifest::of(mounted.path());
    for verb in ["run", "revert"] {
        let found = format!("nixos-lustrate {verb} needs root");
        let fix = format!("Run it as root: sudo nixos-lustrate {verb}");
        assert_refusal(
            or_skip!(as_nobody(mounted.path(), &[verb, "--root", HERE])),
            mounted.path(),
            [&found, "Files of other users could not be moved", &fix],
        );
    }
    assert_untouched(&before, &Manifest::of(mounted.path()));
}

#[test]
fn plan_and_status_need_no_root_while_they_can_read() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| root.mode("root", 0o755)));
    let plan = or_skip!(as_nobody(mounted.path(), &["plan", "--root", HERE])).expect(0);
    assert!(says(&plan.out(), "Moves to /old-root:"), "{}", plan.out());
    let status = or_skip!(as_nobody(mounted.path(), &["status", "--root", HERE])).expect(0);
    assert!(says(&status.out(), "scheduled"), "{}", status.out());
}

#[test]
fn what_only_root_may_read_is_named() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    // A keeper is in a directory of mode 0700.
    assert_refusal(
        or_skip!(as_nobody(mounted.path(), &["plan", "--root", HERE])),
        Path::new(HERE),
        [
            "Failed to open '@/root': Permission denied",
            "The root cannot be judged without it",
            "Run it as root",
        ],
    );
    on("run", mounted.path()).expect(0);
    // What is left of the old system is root's.
    assert_refusal(
        or_skip!(as_nobody(mounted.path(), &["status", "--root", HERE])),
        Path::new(HERE),
        [
            "Failed to open '@/old-root': Permission denied",
            "The root cannot be judged without it",
            "Run it as root",
        ],
    );
}

#[test]
fn a_root_that_may_not_be_opened_says_so() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| root.mode("", 0o700)));
    for verb in ["run", "plan", "status", "revert"] {
        assert_refusal(
            or_skip!(as_nobody(mounted.path(), &[verb, "--root", HERE])),
            Path::new(HERE),
            [
                "Failed to open '@': Permission denied",
                "There is no root to work on",
                "Run it as root",
            ],
        );
    }
}

#[test]
fn a_plan_of_the_running_system_needs_root() {
    require_root!();
    let ended = or_skip!(as_nobody(Path::new("/"), &["plan"]));
    assert_refusal(
        ended,
        Path::new("/"),
        [
            "Failed to look below the mounts of '@': Operation not permitted",
            "What is below the mounts cannot be seen",
            "Run it as root: sudo nixos-lustrate plan",
        ],
    );
}
