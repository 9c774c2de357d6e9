//! The question, the line that tells how far it is, and Ctrl-C.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::command::{arguments, program};
use crate::common::image::{Fs, Options};
use crate::common::manifest::Manifest;
use crate::common::population::assert_untouched;
use crate::common::sys;
use crate::common::text::{says, unfolded};
use crate::common::trees::{Built, Case, Root};
use crate::common::{or_skip, require_root, strace};
use crate::scene::{assert_only_gone, lustrated, old_roots, purge};

/// Runs a command in front of a person who says `answer` to the question; the
/// exit status and all that was on the screen.
fn before_a_person(command: &mut Command, answer: &[u8]) -> (i32, String) {
    let (mut person, terminal) = sys::terminal::open().expect("a terminal");
    let end = || Stdio::from(terminal.try_clone().expect("its other end"));
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it runs");
    drop(terminal);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut screen = Vec::new();
    let mut asked = false;
    let mut buffer = [0u8; 4096];
    // Reading fails when nobody has the other end any more.
    while let Ok(length) = person.read(&mut buffer) {
        screen.extend_from_slice(&buffer[..length]);
        if !asked && screen.ends_with(b"[y/N] ") {
            person.write_all(answer).expect("an answer");
            asked = true;
        }
    }
    let status = child.wait().expect("its end");
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&screen).replace("\r\n", "\n"))
}

fn asking(root: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments("purge", root, more));
    command
}

#[test]
fn it_shows_what_goes_and_asks_once() {
    require_root!();
    for answer in ["y\n", "Yes\n"] {
        let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |_| Ok(())));
        let before = Manifest::of(mounted.path());
        let (code, screen) = before_a_person(&mut asking(mounted.path(), &[]), answer.as_bytes());
        assert_eq!(code, 0, "{screen}");
        let (told, done) = screen.split_once("Remove this? [y/N] ").expect("a question");
        let root = mounted.path().display();
        let first = format!("{root}: 1 old root to remove. This cannot be undone. Goes: ");
        assert!(unfolded(told).starts_with(&first), "{told}");
        assert!(says(told, "Goes: /old-root Debian GNU/Linux 12"), "{told}");
        assert!(says(done, &format!("Removed {root}/old-root: ")), "{done}");
        assert_eq!(screen.matches("[y/N]").count(), 1);
        assert_only_gone(&before, &Manifest::of(mounted.path()), &["old-root"]);
    }
}

#[test]
fn any_other_answer_is_no() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |_| Ok(())));
    let before = Manifest::of(mounted.path());
    for answer in [&b"n\n"[..], b"\n", b"yes please\n", b"\x04", b"\xff\n"] {
        let (code, screen) = before_a_person(&mut asking(mounted.path(), &[]), answer);
        assert_eq!(code, 3, "{screen}");
        let said = "refused: the answer was not yes. Nothing is done without it. To be asked \
                    again: nixos-lustrate purge. Nothing was touched.";
        let (_, told) = screen.split_once("[y/N] ").expect("a question");
        assert!(unfolded(told).ends_with(said), "{screen}");
        assert!(told.lines().all(|line| line.chars().count() <= 80), "{screen}");
        assert_untouched(&before, &Manifest::of(mounted.path()));
    }
}

#[test]
fn with_nothing_to_purge_it_does_not_ask() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |_| Ok(())));
    let (code, screen) = before_a_person(&mut asking(mounted.path(), &["--keep", "1"]), b"");
    let root = mounted.path().display();
    let want = format!("{root}: there is nothing to purge; 1 old root stays");
    assert_eq!(unfolded(&screen), unfolded(&want));
    assert_eq!(code, 0);
}

/// On a terminal only, and not with `-q`.
#[test]
fn it_tells_how_far_it_is() {
    require_root!();
    or_skip!(strace::available());
    let slowly = |root: &Path, more: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
        command.args(["-e", "inject=unlinkat:delay_enter=10000", "--"]);
        let asked = asking(root, more);
        command.arg(asked.get_program()).args(asked.get_args());
        command
    };
    for (more, tells) in [(&["--yes"][..], true), (&["--yes", "-q"], false)] {
        let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| many(root, 100)));
        let (code, screen) = before_a_person(&mut slowly(mounted.path(), more), b"");
        assert_eq!(code, 0, "{screen}");
        let lines = screen.split(['\r', '\n']).map(str::trim_end);
        let told: Vec<_> = lines.filter(|line| line.ends_with(" entries removed")).collect();
        assert_eq!(!told.is_empty(), tells, "{screen}");
        assert!(told.iter().all(|line| line.contains("/old-root: ")), "{screen}");
        assert!(told.iter().all(|line| line.chars().count() < 80), "{screen}");
    }
    // Into a file, it tells nothing on the way.
    let (_image, mounted) = or_skip!(lustrated(Fs::Tmpfs, |root| many(root, 50)));
    let ended = crate::common::command::run_limited(
        &mut slowly(mounted.path(), &["--yes"]),
        crate::common::command::LIMIT,
    );
    assert!(!ended.expect(0).err().contains('\r'));
}

#[allow(clippy::unnecessary_wraps)] // the type of what builds
fn many(root: &Root<'_>, files: usize) -> Built {
    for n in 0..files {
        root.file(format!("old-root/many/{n}"), "");
    }
    Ok(())
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn started(root: &Path) -> Child {
    let mut command = asking(root, &["--yes"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

#[test]
fn ctrl_c_ends_it_cleanly_and_it_can_be_repeated() {
    require_root!();
    let options = |fs| Options::new(fs).size_mib(512);
    let case = Case { options, ..Case::TYPICAL };
    let (_image, mounted) = or_skip!(case.make(Fs::Tmpfs));
    let root = mounted.path();
    crate::common::command::on("run", root).expect(0);
    std::fs::create_dir(root.join("old-root/many")).expect("a directory");
    for n in 0..100_000 {
        File::create(root.join(format!("old-root/many/{n}"))).expect("a file");
    }
    let going = || old_roots(root).iter().any(|name| name.starts_with("old-root.purge-"));
    let mut child = started(root);
    until("it has begun", going);
    sys::interrupt(&child).expect("a signal");
    let mut said = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut said).expect("what it says");
    assert_eq!(child.wait().expect("its end").code(), Some(1), "{said}");
    assert!(said.starts_with("stopped part-way: Interrupted. So far, "), "{said}");
    assert!(said.ends_with(" removed. To go on, give the same command again.\n"), "{said}");
    assert!(going(), "{:?}", old_roots(root));
    // The same command with a name finds it under its new one.
    purge(root, &["--yes", "old-root"]).expect(0);
    assert_eq!(old_roots(root), [""; 0]);
}
