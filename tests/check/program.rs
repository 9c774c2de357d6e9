//! The whole program: exit codes, texts, JSON, on a system built by real Nix.

use std::path::{Path, PathBuf};
use std::process::Command;

use nixos_lustrate::check::Level;
use serde_json::Value;

use crate::common::command::{self, LIMIT, binary, lustrate, run_limited};
use crate::common::image::{Fs, Image, Mounted, Options};
use crate::common::manifest::Manifest;
use crate::common::nobody::{HERE, as_nobody};
use crate::common::population::assert_untouched;
use crate::common::skip::Skipped;
use crate::common::strace::{Call, Fault};
use crate::common::system::System;
use crate::common::text::{says, unfolded};
use crate::common::{or_skip, require_root, strace};
use crate::machine::Machine;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A root on a file system of its own, with a system that real Nix built.
fn built(system: &System) -> Result<(Image, Mounted, PathBuf), Skipped> {
    let image = Image::with(&Options::new(Fs::Tmpfs))?;
    let mounted = image.mount()?;
    let top = system.build(mounted.path())?;
    std::fs::create_dir_all(mounted.path().join("etc")).expect("a directory");
    std::fs::write(mounted.path().join("etc/os-release"), "ID=debian\n").expect("a file");
    Ok((image, mounted, top))
}

#[test]
fn a_root_that_is_missing_is_refused() {
    let ended = lustrate(["check", "--root", "/nonexistent"]).expect(3);
    ended.says(&["refused: /nonexistent is missing", "--root"]);
    lustrate(["check", "--keep", "../x"]).expect(2).says(&["'../x' of --keep"]);
}

#[test]
fn a_system_that_real_nix_built_is_examined() {
    require_root!();
    let (_image, mounted, top) = or_skip!(built(&System::new()));
    let ended = command::on("check", mounted.path());
    let out = ended.out();
    assert!(says(&out, top.to_str().expect("UTF-8")), "{out}");
    for line in ["ok       profile-complete: ", "ok       initrd-lustrates: nixos-lustrate 0.1.0"] {
        assert!(says(&out, line), "no {line:?} in\n{out}");
    }
    let json = lustrate(command::arguments("check", mounted.path(), &["--json"]));
    let document: Value = serde_json::from_str(&json.out()).expect("JSON");
    assert_eq!(
        keys(&document),
        [
            "blockers",
            "blocks",
            "distribution",
            "findings",
            "keep",
            "ok",
            "root",
            "schema",
            "system",
            "system_version",
            "unchecked",
            "warnings"
        ]
    );
    assert_eq!(document["system"], top.to_str().expect("UTF-8"));
    assert_eq!(document["system_version"], "26.05");
    for finding in document["findings"].as_array().expect("a list") {
        assert_eq!(keys(finding), ["checked", "consequence", "fix", "found", "id", "level"]);
    }
    let blocks = document["blocks"].as_bool().expect("a truth");
    assert_eq!(json.code, if blocks { 3 } else { 0 });
    assert_eq!(ended.code, json.code);
}

/// The level and texts of a finding of the program.
fn finding(root: &Path, id: &str, more: &[&str]) -> (String, String) {
    let ended = lustrate(command::arguments("check", root, &[&["--json"], more].concat()));
    let document: Value = serde_json::from_str(&ended.out()).expect("JSON");
    let found = document["findings"].as_array().expect("a list").iter().find(|f| f["id"] == id);
    let found = found.unwrap_or_else(|| panic!("no {id} in {document:#}"));
    (found["level"].as_str().expect("a level").to_owned(), found.to_string())
}

#[test]
fn the_database_tells_what_belongs_to_a_closure() {
    require_root!();
    let (_image, mounted, top) = or_skip!(built(&System::new()));
    let root = mounted.path();
    let (level, text) = finding(root, "closure", &[]);
    assert_eq!(level, "ok", "{text}");
    // The system, its parts, and the busybox that built it is not among them.
    assert!(says(&text, "all 4 paths of it are in the store"), "{text}");
    let store = std::fs::read_dir(root.join("nix/store")).expect("the store");
    let names: Vec<_> = store.map(|entry| entry.expect("an entry").path()).collect();
    let part =
        names.iter().find(|path| path.to_string_lossy().ends_with("-initrd")).expect("a part");
    std::fs::remove_file(part).expect("removed");
    let (level, text) = finding(root, "closure", &[]);
    assert!(level == "blocker" && says(&text, "1 of its 4 paths are missing"), "{text}");
    // One that Nix knows nothing of.
    let copied = Path::new("nix/store/0000000000000000000000000000000a-nixos-system-copied");
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(root.join(top.strip_prefix("/").expect("absolute"))).arg(root.join(copied));
    let done = copy.status().expect("cp");
    assert!(done.success());
    let asked = Path::new("/").join(copied);
    let (level, text) = finding(root, "closure", &["--system", asked.to_str().expect("UTF-8")]);
    assert!(level == "blocker" && says(&text, "is not valid in Nix's database"), "{text}");
}

#[test]
fn without_a_profile_the_program_says_how_to_build_one() {
    require_root!();
    let image = or_skip!(Image::with(&Options::new(Fs::Tmpfs)));
    let mounted = or_skip!(image.mount());
    let ended = command::on("check", mounted.path()).expect(3);
    let out = ended.out();
    assert!(says(&out, "blocker  profile: ") && says(&out, "nix-env -p"), "{out}");
    assert!(unfolded(&out).ends_with("check again."), "{out}");
    ended.says(&["not ready", "Nothing was touched"]);
}

#[test]
fn nothing_is_written() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted, _) = or_skip!(built(&System::new()));
    let before = Manifest::of(mounted.path());
    let arguments = command::arguments("check", mounted.path(), &[]);
    for arguments in [arguments, vec!["check".into()]] {
        let trace = strace::trace(
            "%file,ftruncate,fchmod,fchown,fallocate,execve,clone,clone3,fork",
            arguments,
        );
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"];
        let reads = [
            "open",
            "openat",
            "openat2",
            "open_tree",
            "stat",
            "lstat",
            "newfstatat",
            "statx",
            "statfs",
            "access",
            "faccessat",
            "faccessat2",
            "readlink",
            "readlinkat",
            "getcwd",
            "execve",
            "chdir",
        ];
        for call in &trace.calls {
            let fine = reads.contains(&call.name.as_str())
                && !writes.iter().any(|w| call.line.contains(w));
            assert!(fine, "{}", call.line);
        }
        assert_eq!(trace.calls.iter().filter(|call| call.name == "execve").count(), 1);
        assert!(trace.calls.len() > 50);
    }
    assert_untouched(&before, &Manifest::of(mounted.path()));
}

#[test]
fn a_kernel_without_newer_calls_is_no_obstacle() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted, _) = or_skip!(built(&System::new()));
    let arguments = || command::arguments("check", mounted.path(), &[]);
    let whole = lustrate(arguments());
    for call in ["openat2", "faccessat2"] {
        let mut program = Command::new("strace");
        program.args(["-f", "-qq", "-o", "/dev/null"]);
        program.args([
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={call}:error=ENOSYS"),
        ]);
        program.arg("--").arg(binary()).args(arguments()).env("NO_COLOR", "1");
        assert_eq!(run_limited(&mut program, LIMIT).out(), whole.out(), "without {call}");
    }
    // Without open_tree a running root cannot be seen as an initrd will see it.
    let mut program = Command::new("strace");
    program.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=open_tree"]);
    program.args(["-e", "inject=open_tree:error=ENOSYS", "--"]).arg(binary()).arg("check");
    let out = run_limited(&mut program, LIMIT).out();
    assert!(says(&out, "warning  plan unchecked: ") && says(&out, "rescue system"), "{out}");
}

#[test]
fn without_root_it_says_what_it_could_not_see() {
    require_root!();
    let ended = or_skip!(as_nobody(Path::new("/"), &["check"]));
    assert!([0, 3].contains(&ended.code), "{}", ended.err());
    let out = ended.out();
    assert!(
        says(&out, "warning  plan unchecked: what is below the mounts cannot be seen"),
        "{out}"
    );
    assert!(says(&out, "Run it as root: sudo nixos-lustrate check"), "{out}");
    let (_image, mounted, _) = or_skip!(built(&System::new()));
    std::fs::create_dir_all(mounted.path().join("root/.ssh")).expect("a directory");
    std::fs::write(mounted.path().join("root/.ssh/authorized_keys"), crate::common::system::KEY)
        .expect("a file");
    for (path, mode) in [("root", 0o700), ("nix/var/nix/db/db.sqlite", 0o600)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(mounted.path().join(path), mode).expect("a mode");
    }
    let ended = or_skip!(as_nobody(mounted.path(), &["check", "--root", HERE]));
    let out = ended.out();
    for id in ["keepers", "closure"] {
        assert!(says(&out, &format!("warning  {id} unchecked: Failed to")), "{id}:\n{out}");
    }
    assert!(says(&out, "ok       initrd-lustrates"), "{out}");
}

#[test]
fn every_line_fits_a_terminal_unless_a_word_does_not() {
    require_root!();
    let (_image, mounted, _) = or_skip!(built(&System::new()));
    let out = command::on("check", mounted.path()).out();
    for line in out.lines().filter(|line| line.chars().count() > 80) {
        // A store path, behind at most the level and the id.
        assert!(line.split_whitespace().any(|word| word.len() > 40), "{line}");
    }
    assert!(!out.contains('\x1b'));
}

#[test]
fn a_lustration_in_progress_is_a_warning() {
    require_root!();
    or_skip!(strace::available());
    let machine = Machine::new();
    let call = Call { name: "renameat2".into(), nth: 8, line: String::new() };
    let run = command::arguments("run", &machine.root(), &["--always"]);
    let ended = strace::run_with(Fault::Kill, &call, run);
    assert!(ended.was_killed(), "{}", ended.err());
    machine.expect("plan", Level::Warning, &["in progress", "revert"]);
}
