//! The guard in an initrd: NixOS is never booted on somebody else's root, and
//! a healthy machine is never stopped.

use std::path::Path;

use crate::common::command::Ended;
use crate::common::image::Fs;
use crate::common::initrd::Initrd;
use crate::common::manifest::Manifest;
use crate::common::population::assert_untouched;
use crate::common::trees::Root;
use crate::common::{or_skip, require_root};
use crate::unmarked;

/// `run MORE...` in an initrd, and what it logged, on a root without a marker.
fn boot(change: impl FnOnce(&Root<'_>), more: &[&str]) -> Option<(Ended, String)> {
    let (_image, mounted) = match unmarked() {
        Ok(made) => made,
        Err(skipped) => {
            crate::common::skip::say(&skipped);
            return None;
        }
    };
    change(&Root { path: mounted.path(), fs: Fs::Tmpfs });
    let before = Manifest::of(mounted.path());
    let end = Initrd::default().run(mounted.path(), [&["run"], more].concat());
    assert_untouched(&before, &Manifest::of(mounted.path()));
    let log = String::from_utf8(end.kmsg).expect("a log in UTF-8");
    Some((end.ended, log))
}

const REFUSAL: &str = "<3>nixos-lustrate: refused: /sysroot holds Debian GNU/Linux 12 \
    (bookworm), and no marker asks for its lustration. NixOS would have activated itself over \
    the files of that system. To boot Debian GNU/Linux 12 (bookworm), choose it in the boot \
    menu. To lustrate it after all: touch /sysroot/etc/NIXOS_LUSTRATE, and boot again. To boot \
    NixOS all the same: lustrate=off on the kernel command line. Nothing was touched.\n";

#[test]
fn another_systems_root_without_a_marker_is_refused() {
    require_root!();
    let Some((ended, log)) = boot(|_| {}, &[]) else { return };
    ended.expect(3);
    assert_eq!(log, REFUSAL);
    // Behind a link, as on most distributions.
    let link = |root: &Root<'_>| {
        root.rename("etc/os-release", "usr/lib/os-release");
        root.link("etc/os-release", "../usr/lib/os-release");
    };
    let (ended, log) = boot(link, &[]).expect("as before");
    ended.expect(3);
    assert_eq!(log, REFUSAL);
    // A link that leads out of the root stays in it.
    let out = |root: &Root<'_>| {
        root.rename("etc/os-release", "usr/lib/os-release");
        root.link("etc/os-release", "/../../../usr/lib/os-release");
    };
    assert_eq!(boot(out, &[]).expect("as before").1, REFUSAL);
}

type Change = fn(&Root<'_>);

#[test]
fn a_root_that_may_be_nixos_boots_in_silence() {
    require_root!();
    let roots: [(&str, Change); 12] = [
        ("NixOS", |root| {
            root.remove("etc/os-release");
            root.link("etc/os-release", "/etc/static/os-release");
            root.link("etc/static", "/nix/store/etc");
        }),
        ("into the store", |root| {
            root.remove("etc/os-release");
            root.link("etc/os-release", "/nix/store/etc/os-release");
        }),
        // Where NixOS's own link leads is NixOS's, whatever is there.
        ("into static", |root| {
            root.rename("etc/os-release", "etc/static/os-release");
            root.link("etc/os-release", "/etc/static/os-release");
        }),
        ("relative, into static", |root| {
            root.rename("etc/os-release", "etc/static/os-release");
            root.link("etc/os-release", "static/os-release");
        }),
        ("fresh, without an os-release", |root| root.remove("etc/os-release")),
        ("without etc", |root| root.remove("etc")),
        ("without an ID", |root| root.file("etc/os-release", "NAME=Debian\nVERSION_ID=12\n")),
        ("with an empty ID", |root| root.file("etc/os-release", "ID=\n")),
        ("NixOS as a file", |root| root.file("etc/os-release", "NAME=NixOS\nID=\"nixos\"\n")),
        ("a dangling link", |root| {
            root.remove("etc/os-release");
            root.link("etc/os-release", "../usr/lib/nowhere");
        }),
        ("a FIFO", |root| {
            root.remove("etc/os-release");
            root.fifo("etc/os-release");
        }),
        ("a directory", |root| {
            root.remove("etc/os-release");
            root.directory("etc/os-release", 0o755);
        }),
    ];
    for (name, change) in roots {
        let Some((ended, log)) = boot(change, &[]) else { return };
        assert_eq!((ended.code, ended.err(), log), (0, String::new(), String::new()), "{name}");
    }
}

#[test]
fn the_systems_own_id_is_an_option() {
    require_root!();
    let mine = |root: &Root<'_>| root.file("etc/os-release", "ID=mine\nPRETTY_NAME=Mine\n");
    let Some((ended, log)) = boot(mine, &["--system-id", "mine"]) else { return };
    assert_eq!((ended.code, log.as_str()), (0, ""));
    let (ended, log) = boot(mine, &[]).expect("as before");
    assert!(log.contains("/sysroot holds Mine, and no marker"), "{log}");
    ended.expect(3);
    let nixos = |root: &Root<'_>| root.file("etc/os-release", "ID=nixos\nPRETTY_NAME=NixOS\n");
    boot(nixos, &["--system-id", "mine"]).expect("as before").0.expect(3);
    let (ended, log) = boot(|_| {}, &["--no-guard"]).expect("as before");
    assert_eq!((ended.code, log.as_str()), (0, ""));
}

#[test]
fn the_guard_stands_in_initrds_only() {
    require_root!();
    let (_image, mounted) = or_skip!(unmarked());
    let ended = crate::common::command::on("run", mounted.path());
    assert_eq!((ended.code, ended.err(), ended.out()), (0, String::new(), String::new()));
}

#[test]
fn a_reverted_root_meets_the_guard() {
    require_root!();
    let (_image, mounted) = or_skip!(crate::changed(Fs::Tmpfs, |_| {}));
    let on = |verb| crate::common::command::on(verb, mounted.path()).expect(0);
    on("run");
    on("revert");
    let end = Initrd::default().run(mounted.path(), ["run"]);
    end.ended.expect(3);
    assert_eq!(String::from_utf8_lossy(&end.kmsg), REFUSAL);
    // Also where the power was cut before the revert's very last step.
    let marker = "# nixos-lustrate: revert in progress\n\
        # Do not edit or remove this file. To go on: nixos-lustrate revert\n\
        # To go back: nixos-lustrate run\n";
    std::fs::write(mounted.path().join("etc/NIXOS_LUSTRATE"), marker).expect("the marker");
    let end = Initrd::default().run(mounted.path(), ["run"]);
    end.ended.expect(3);
    assert!(String::from_utf8_lossy(&end.kmsg).ends_with(REFUSAL));
    assert!(!mounted.path().join("etc/NIXOS_LUSTRATE").exists(), "the last step");
    assert!(!Path::new("/sysroot/etc").exists(), "an initrd of its own");
}

#[test]
fn the_guard_reads_os_release_as_the_root_would() {
    require_root!();
    let roots: [(&str, Change); 6] = [
        ("etc is a link", |root| {
            root.rename("etc", "usr/etc");
            root.link("etc", "usr/etc");
        }),
        ("a chain of links", |root| {
            root.rename("etc", "srv/etc");
            root.link("etc", "/var/etc");
            root.link("var/etc", "../../srv/etc");
            root.rename("srv/etc/os-release", "usr/lib/os-release");
            root.link("srv/etc/os-release", "/lib/os-release");
        }),
        ("only in usr/lib", |root| root.rename("etc/os-release", "usr/lib/os-release")),
        ("only in usr/lib, which is a link", |root| {
            root.rename("etc/os-release", "opt/lib/os-release");
            root.remove("usr/lib");
            root.link("usr/lib", "../opt/lib");
        }),
        ("prepared and reverted, only in usr/lib", |root| {
            root.rename("etc/os-release", "usr/lib/os-release");
            root.file("etc/NIXOS", "");
            root.directory("nixos-root", 0o700);
        }),
        ("etc is a link, only in usr/lib", |root| {
            root.rename("etc/os-release", "usr/lib/os-release");
            root.rename("etc", "usr/etc");
            root.link("etc", "usr/etc");
        }),
    ];
    for (what, change) in roots {
        let change = |root: &Root<'_>| {
            root.remove("etc/NIXOS");
            change(root);
        };
        let Some((ended, log)) = boot(change, &[]) else { return };
        assert_eq!((ended.code, log.as_str()), (3, REFUSAL), "{what}");
    }
}

/// A false alarm would stop a healthy machine.
#[test]
fn the_guard_objects_only_when_it_is_sure() {
    require_root!();
    let roots: [(&str, Change); 9] = [
        ("a link that leads nowhere", |root| {
            root.remove("etc/os-release");
            root.link("etc/os-release", "../mnt/os-release");
        }),
        ("etc leads nowhere", |root| {
            root.rename("etc", "usr/etc");
            root.link("etc", "mnt/etc");
        }),
        ("a chain into the store", |root| {
            root.remove("etc/os-release");
            root.link("etc/os-release", "release");
            root.link("etc/release", "/nix/store/etc/os-release");
            root.file("nix/store/etc/os-release", "ID=other\n");
        }),
        ("etc is a link to NixOS's", |root| {
            root.rename("etc", "var/etc");
            root.link("etc", "var/etc");
            root.remove("var/etc/os-release");
            root.link("var/etc/os-release", "/etc/static/os-release");
            root.file("var/etc/static/os-release", "ID=other\n");
        }),
        ("a kept usr, and what a run makes", |root| {
            root.remove("etc/os-release");
            root.file("etc/NIXOS", "");
        }),
        ("a kept usr, with the etc overlay", |root| {
            root.remove("etc");
            root.directory("etc", 0o755);
            root.directory(".rw-etc/upper", 0o755);
        }),
        ("a kept usr, before the first boot", |root| {
            root.remove("etc/os-release");
            root.directory("old-root", 0o700);
        }),
        ("a kept usr, with the state of NixOS", |root| {
            root.remove("etc/os-release");
            root.file("var/lib/nixos/uid-map", "{}");
        }),
        ("a kept usr, and NixOS's static", |root| {
            root.remove("etc/os-release");
            root.link("etc/static", "/nix/store/etc");
        }),
    ];
    for (what, change) in roots {
        let change = |root: &Root<'_>| {
            root.remove("etc/NIXOS");
            change(root);
        };
        let Some((ended, log)) = boot(change, &[]) else { return };
        assert_eq!((ended.code, log.as_str()), (0, ""), "{what}");
    }
}
