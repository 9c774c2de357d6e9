//! Work in progress is what can be proved (I5): a directory called old-root.tmp is no
//! order, nor is what is in it; and a boot never takes old copies for live data.

use std::path::Path;

use crate::common::command::on;
use crate::common::image::{Fs, Mounted};
use crate::common::initrd::Initrd;
use crate::common::manifest::Manifest;
use crate::common::population::assert_untouched;
use crate::common::trees::Root;
use crate::common::{or_skip, require_root, strace};
use crate::states::interrupted;
use crate::{changed, unmarked, with};

fn root(mounted: &Mounted) -> Root<'_> {
    Root { path: mounted.path(), fs: Fs::Tmpfs }
}

fn boot(root: &Path) -> (i32, String) {
    let end = Initrd::default().run(root, ["run", "--no-guard"]);
    (end.ended.code, String::from_utf8(end.kmsg).expect("UTF-8"))
}

/// A backup of a whole system, as somebody makes it by `cp -a`.
fn backup(root: &Root<'_>, path: &str) {
    for file in ["etc/passwd", "home/alice/letter", "usr/bin/sh", "var/lib/app/data"] {
        root.file(format!("{path}/{file}"), "older");
    }
}

type Change = fn(&Root<'_>);

/// What proves nothing.
const FOREIGN: [(&str, Change); 5] = [
    ("empty", |root| root.directory("old-root.tmp", 0o755)),
    ("a backup", |root| backup(root, "old-root.tmp")),
    ("one file", |root| root.file("old-root.tmp/backup.tar", "")),
    ("before its intent", |root| root.file("old-root.tmp/.lustrate/part", "nixos-lust")),
    // A directory, where the stock function leaves a file.
    ("no marker in it", |root| root.directory("old-root.tmp/etc/NIXOS_LUSTRATE", 0o755)),
];

#[test]
fn a_directory_of_that_name_is_no_order() {
    require_root!();
    for (what, change) in FOREIGN {
        let (_image, mounted) = or_skip!(unmarked());
        change(&root(&mounted));
        let before = Manifest::of(mounted.path());
        let left = "old-root.tmp is there, and no lustration is in progress: it is left alone\n";
        on("run", mounted.path()).expect(0).says(&[left]);
        let (code, log) = boot(mounted.path());
        assert_eq!((code, log), (0, format!("<4>nixos-lustrate: /sysroot/{left}")), "{what}");
        let status = on("status", mounted.path()).expect(0).out();
        assert!(status.contains(": none\n"), "{what}: {status}");
        assert_untouched(&before, &Manifest::of(mounted.path()));
    }
}

#[test]
fn consent_that_was_withdrawn_is_none() {
    require_root!();
    or_skip!(strace::available());
    // Killed before its intent has a name; then the marker is taken back.
    for nth in 1..=2 {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
        let call = strace::Call { name: "renameat2".into(), nth, line: String::new() };
        let arguments = crate::common::command::arguments("run", mounted.path(), &[]);
        let ended = strace::run_with(strace::Fault::Kill, &call, arguments);
        assert!(ended.was_killed());
        let begun = mounted.path().join("old-root.tmp/.lustrate/intent").exists();
        std::fs::remove_file(mounted.path().join("etc/NIXOS_LUSTRATE")).expect("the marker");
        let before = Manifest::of(mounted.path());
        on("run", mounted.path()).expect(0);
        if begun {
            // An intent of ours proves it.
            assert!(mounted.path().join("old-root/etc").exists());
        } else {
            assert_untouched(&before, &Manifest::of(mounted.path()));
            // And what was begun can be taken back.
            on("revert", mounted.path()).expect(0).says(&["nothing had moved"]);
            assert!(!mounted.path().join("old-root.tmp").exists());
            on("revert", mounted.path()).expect(0).says(&["there is nothing to revert"]);
        }
    }
}

#[test]
fn a_backup_is_not_taken_for_the_old_system() {
    require_root!();
    // Also with a marker, and at every boot: it has a name that is needed.
    for more in [&[][..], &["--always"]] {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
            backup(root, "old-root.tmp");
        }));
        if !more.is_empty() {
            std::fs::remove_file(mounted.path().join("etc/NIXOS_LUSTRATE")).expect("the marker");
        }
        let before = Manifest::of(mounted.path());
        with("run", mounted.path(), more).expect(3).says(&[
            "/old-root.tmp is there, and nixos-lustrate did not make it",
            "Rename it: mv ",
        ]);
        on("revert", mounted.path()).expect(0).says(&["nothing to revert"]);
        assert_untouched(&before, &Manifest::of(mounted.path()));
    }
    // Beside a finished lustration.
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    on("run", mounted.path()).expect(0);
    backup(&root(&mounted), "old-root.tmp");
    let before = Manifest::of(mounted.path());
    on("revert", mounted.path()).expect(3).says(&["did not make it"]);
    assert_untouched(&before, &Manifest::of(mounted.path()));
    root(&mounted).remove("old-root.tmp");
    root(&mounted).directory("old-root.tmp/.lustrate", 0o700);
    on("revert", mounted.path()).expect(0).says(&["the old system is back"]);
    assert!(!mounted.path().join("old-root.tmp").exists());
}

/// A stock lustration that was cut before its commit, and what a boot then made.
fn cut_before_the_commit(root: &Root<'_>, since: Change) {
    for entry in ["bin", "dev", "etc", "home"] {
        root.rename(entry, format!("old-root.tmp/{entry}"));
    }
    since(root);
}

const LIVED: [(&str, Change); 3] = [
    ("NixOS", |root| root.link("etc/static", "/nix/store/etc")),
    ("a system", |root| root.file("etc/os-release", "ID=nixos\n")),
    ("NixOS, without an etc", |root| {
        root.rename("var", "old-root.tmp/var");
        root.file("var/lib/nixos/uid-map", "{}");
    }),
];

#[test]
fn a_boot_does_not_exchange_live_data_for_old_copies() {
    require_root!();
    for (what, since) in LIVED {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
            cut_before_the_commit(root, since);
            root.file("home/alice/letter", "new");
        }));
        let before = Manifest::of(mounted.path());
        let (code, log) = boot(mounted.path());
        assert_eq!(code, 0, "{what}: {log}");
        assert!(log.starts_with("<4>nixos-lustrate: /sysroot/old-root.tmp is of a lustr"), "{log}");
        let complete: &[&str] = if cfg!(feature = "full") { &["--complete"] } else { &[] };
        for more in [&[][..], complete] {
            with("run", mounted.path(), more).expect(3).says(&["NixOS has used it since"]);
        }
        on("plan", mounted.path()).expect(3);
        let status = on("status", mounted.path()).expect(0).out().replace("\n    ", " ");
        assert!(status.contains("interrupted stock lustration\n"), "{status}");
        assert!(status.contains("Go back, from a") && !status.contains("Go on"), "{status}");
        assert_untouched(&before, &Manifest::of(mounted.path()));
        on("revert", mounted.path()).expect(0);
        let letter = std::fs::read(mounted.path().join("home/alice/letter")).expect("the letter");
        assert_eq!(letter, b"Dear Bob\n", "{what}");
    }
    // What stage 1 itself makes is nobody's life.
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        cut_before_the_commit(root, |root| root.directory("etc", 0o755));
    }));
    assert_eq!(boot(mounted.path()).0, 0);
    assert!(mounted.path().join("old-root/etc/passwd").exists());
}

/// A stock lustration that was cut while it copied keepers.
fn cut_after_the_commit(root: &Root<'_>) {
    let names = std::fs::read_dir(root.path).expect("the root");
    for name in names.map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8")) {
        if !["nix", "boot", "old-root"].contains(&name.as_str()) {
            root.rename(&name, format!("old-root/{name}"));
        }
    }
    root.file(".profile", "left in place");
    root.file("etc/NIXOS", "");
    root.file("etc/nixos/configuration.nix", "{ }\n");
    root.directory("home/alice", 0o700); // half of it
}

#[cfg(feature = "full")] // what a person needs
#[test]
fn a_person_completes_what_was_cut_after_the_commit() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, cut_after_the_commit));
    let before = Manifest::of(mounted.path());
    let status = on("status", mounted.path()).expect(0).out();
    let missing = "Not kept, though listed:\n  etc/ssh/ssh_host_ed25519_key\n  root/.ssh\n  \
        var/lib/app\n";
    assert!(status.contains(missing), "{status}");
    let unfolded = status.replace("\n    ", " ");
    assert!(unfolded.contains("nixos-lustrate run --complete --root"), "{status}");
    // No boot does it, nor a run that was not told to.
    assert_eq!(boot(mounted.path()).0, 0);
    on("run", mounted.path()).expect(0);
    let end = Initrd::default().run(mounted.path(), ["run", "--complete"]);
    end.ended.expect(3);
    assert!(String::from_utf8_lossy(&end.kmsg).contains("for a person, not for a boot"));
    assert_untouched(&before, &Manifest::of(mounted.path()));
    with("run", mounted.path(), &["--complete"]).expect(0).says(&["Lustrated"]);
    let after = Manifest::of(mounted.path());
    for keeper in ["home/alice/letter", "root/.ssh/authorized_keys", "var/lib/app/data"] {
        let then = before.get(format!("old-root/{keeper}").as_bytes()).expect("the original");
        assert_eq!(after.get(keeper.as_bytes()).map(|n| n.id), Some(then.id), "{keeper}");
    }
    with("run", mounted.path(), &["--complete"]).expect(0).says(&["nothing to complete"]);
    on("revert", mounted.path()).expect(0);
    assert!(
        mounted.path().join("etc/passwd").exists() && mounted.path().join("usr/bin/sh").exists()
    );
}

#[cfg(feature = "full")] // what a person needs
#[test]
fn nobody_completes_a_root_that_was_used() {
    require_root!();
    for (what, since) in [
        LIVED[0],
        LIVED[1],
        ("NixOS", |root: &Root<'_>| {
            root.file("var/lib/nixos/uid-map", "{}");
        }),
    ] {
        let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
            cut_after_the_commit(root);
            since(root);
        }));
        let before = Manifest::of(mounted.path());
        let complete = with("run", mounted.path(), &["--complete"]);
        complete.expect(3).says(&["NixOS has used it since", "old copies"]);
        let status = on("status", mounted.path()).expect(0).out();
        assert!(status.contains("Not kept, though listed:\n"), "{what}: {status}");
        assert!(!status.contains("--complete"), "{what}: {status}");
        assert_untouched(&before, &Manifest::of(mounted.path()));
    }
}

#[test]
fn dotfiles_that_the_stock_function_left_stay() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        cut_after_the_commit(root);
        root.file(".rw-etc/upper/machine-id", "by NixOS");
    }));
    let before = Manifest::of(mounted.path());
    on("revert", mounted.path()).expect(0);
    let after = Manifest::of(mounted.path());
    let id = |tree: &Manifest| tree.get(b".profile").map(|node| node.id);
    assert!(id(&before).is_some());
    assert_eq!(id(&before), id(&after));
    assert!(after.get(b"nixos-root/.profile").is_none());
    assert!(after.get(b"nixos-root/.rw-etc/upper/machine-id").is_some());
}

#[test]
fn status_lists_entries_among_what_is_kept() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    on("run", mounted.path()).expect(0);
    let status = on("status", mounted.path()).expect(0).out();
    let kept = "\nKept:\n  etc/nixos\n  etc/ssh/ssh_host_ed25519_key\n  home\n  root/.ssh\n  \
        var/lib/app\n";
    assert!(status.contains(kept), "{status}");
}

#[test]
fn what_can_be_proved_goes_on() {
    require_root!();
    or_skip!(strace::available());
    for verb in ["run", "revert"] {
        let (_image, mounted) = or_skip!(interrupted(verb));
        // Without its marker, too: the intent is there.
        let _ = std::fs::remove_file(mounted.path().join("etc/NIXOS_LUSTRATE"));
        assert_eq!(boot(mounted.path()).0, 0);
        assert!(mounted.path().join("old-root/.lustrate/record").exists(), "{verb}");
    }
}
