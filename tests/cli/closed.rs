//! What a lustration leaves behind is root's: set-user-id programs of a system that
//! nobody patches are not within a user's reach; and a revert gives the root
//! directory back as it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::common::command::{LIMIT, arguments, binary, on, program, run_limited};
use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::nobody::{HERE, as_nobody};
use crate::common::population::assert_untouched;
use crate::common::trees::Root;
use crate::common::{or_skip, require_root};
use crate::{changed, with};

fn mode(root: &Path, name: &str) -> u32 {
    root.join(name).metadata().expect(name).mode() & 0o7777
}

fn with_umask(umask: &str, verb: &str, root: &Path) {
    let script = format!("umask {umask}; exec \"$0\" \"$@\"");
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(script).arg(binary()).args(arguments(verb, root, &[]));
    run_limited(&mut command, LIMIT).expect(0);
}

#[test]
fn old_roots_are_closed_whatever_the_umask() {
    require_root!();
    for umask in ["000", "022", "077", "777"] {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
        let root = mounted.path();
        with_umask(umask, "run", root);
        assert_eq!(mode(root, "old-root"), 0o700, "umask {umask}");
        assert_eq!(mode(root, "etc/NIXOS"), 0o644, "umask {umask}");
        with_umask(umask, "revert", root);
        assert_eq!(mode(root, "nixos-root"), 0o700, "umask {umask}");
    }
}

#[test]
fn a_user_cannot_reach_an_old_set_user_id_program() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    on("run", mounted.path()).expect(0);
    let old = mounted.path().join("old-root/usr/bin/su");
    assert_eq!(old.metadata().expect("for root it is there").mode() & 0o7777, 0o4755);
    let mut user = std::process::Command::new("setpriv");
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "sh", "-c"]);
    // A shell between: setpriv itself still has root's rights when it looks.
    user.arg("exec ./old-root/usr/bin/su").current_dir(mounted.path());
    run_limited(&mut user, LIMIT).expect(126).says(&["Permission denied"]);
    let ended = or_skip!(as_nobody(mounted.path(), &["status", "--root", HERE])).expect(3);
    ended.says(&["old-root", "Permission denied", "Run it as root"]);
}

/// Earlier versions, and the stock function, have left them open.
#[test]
fn a_run_closes_older_roots_that_are_open() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        for name in ["old-root", "old-root-20200101T000000Z"] {
            root.file(format!("{name}/usr/bin/old"), "");
            root.mode(name, 0o755);
        }
        // Somebody's own, whatever its name.
        root.directory("old-root.saved", 0o755);
    }));
    let root = mounted.path();
    on("run", root).expect(0);
    let open: Vec<_> = fs::read_dir(root)
        .expect("the root")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("old-root"))
        .filter(|entry| entry.metadata().expect("metadata").mode() & 0o77 != 0)
        .map(|entry| entry.file_name())
        .collect();
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(mode(root, "old-root/old-root.saved"), 0o755, "an entry is not touched");
}

#[test]
fn a_staging_directory_that_the_stock_function_made_is_closed() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.directory("old-root.tmp", 0o755);
        fs::rename(root.path.join("usr"), root.path.join("old-root.tmp/usr")).expect("a rename");
    }));
    on("run", mounted.path()).expect(0);
    assert_eq!(mode(mounted.path(), "old-root"), 0o700);
}

#[test]
fn a_revert_gives_the_root_directory_back_as_it_was() {
    require_root!();
    for fs in [Fs::Ext4, Fs::Xfs, Fs::Btrfs, Fs::Tmpfs] {
        let (_image, mounted) = or_skip!(changed(fs, |root| {
            root.mode("", 0o1775);
            root.own("", 3, 4);
            root.mode("", 0o1775);
            root.age();
        }));
        let look = |root: &Path| {
            let meta = root.metadata().expect("the root");
            (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec())
        };
        let root = mounted.path();
        let before = look(root);
        on("run", root).expect(0);
        // What NixOS makes of it, and what is put there.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("a mode");
        std::os::unix::fs::chown(root, Some(0), Some(0)).expect("an owner");
        Root { path: root, fs }.file("by-nixos", "");
        with("revert", root, &[]).expect(0);
        assert_eq!(look(root), before, "{}", fs.name());
    }
}

/// Or it is refused: root may raise the limit, but not in every container.
#[test]
fn eight_descriptors_are_enough() {
    require_root!();
    for limit in 4..12 {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
        let root = mounted.path();
        let few = |verb: &str| {
            let mut command = std::process::Command::new("sh");
            command.arg("-c").arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""));
            command.arg(binary()).args(arguments(verb, root, &[]));
            run_limited(&mut command, LIMIT)
        };
        let before = Manifest::of(root);
        for verb in ["run", "revert"] {
            let ended = few(verb);
            match ended.code {
                0 => {}
                // Not even loaded.
                127 => assert_untouched(&before, &Manifest::of(root)),
                _ => {
                    ended.expect(3).says(&["Nothing was touched."]);
                    assert_untouched(&before, &Manifest::of(root));
                }
            }
        }
    }
}

#[test]
fn without_memory_it_ends_with_a_message() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        let keep: String =
            (0..20_000).flat_map(|at| ["var/".to_owned(), format!("{at}/{at}\n")]).collect();
        root.file("etc/NIXOS_LUSTRATE", keep);
    }));
    let (mut out, mut whole) = (0, 0);
    for kib in (4_000..64_000).step_by(4_000) {
        let mut command = std::process::Command::new("sh");
        command.arg("-c").arg(format!("ulimit -v {kib}; exec \"$0\" \"$@\""));
        command.arg(binary()).args(arguments("plan", mounted.path(), &[]));
        let ended = run_limited(&mut command, LIMIT);
        match ended.code {
            0 => whole += 1,
            1 if ended.err().contains("out of memory. Nothing is lost") => out += 1,
            // Too little to be loaded at all.
            127 | 135 | 137 | 139 => {}
            _ => panic!("{kib} KiB: {ended:?}"),
        }
    }
    println!("{out} without memory, {whole} with enough");
    assert!(out > 0 && whole > 0, "{out} without memory, {whole} with enough");
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let mut command = program();
        let child = command.args(arguments).stdout(full()).stderr(std::process::Stdio::piped());
        let output = child.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("standard output"), "{arguments:?}: {said}");
        assert!(said.contains("No space left on device"), "{arguments:?}: {said}");
    }
    // Nor is it one that the error cannot be.
    let status = program().arg("rum").stderr(full()).status().expect("it runs");
    assert_eq!(status.code(), Some(2));
}
