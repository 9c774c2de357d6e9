//! Every state of a root as `status` tells it, and what `plan` says of it.

use std::path::Path;

use crate::common::command::{arguments, on};
use crate::common::image::{Fs, Image, Mounted};
use crate::common::skip::Skipped;
use crate::common::strace::{self, Call, Fault};
use crate::common::text::{says, unfolded};
use crate::common::trees::{self, Root};
use crate::common::{or_skip, require_root};
use crate::{changed, unmarked};

/// A root on which this verb was killed on its way.
pub(crate) fn interrupted(verb: &str) -> Result<(Image, Mounted), Skipped> {
    let (image, mounted) = changed(Fs::Tmpfs, |_| {})?;
    if verb == "revert" {
        on("run", mounted.path()).expect(0);
    }
    kill(verb, mounted.path(), "renameat2", 8);
    Ok((image, mounted))
}

/// A root on which a run was killed before its intent had its name: nothing moved.
fn without_intent() -> Result<(Image, Mounted), Skipped> {
    let (image, mounted) = changed(Fs::Tmpfs, |_| {})?;
    kill("run", mounted.path(), "renameat2", 1);
    let meta = mounted.path().join("old-root.tmp/.lustrate");
    assert!(meta.is_dir() && !meta.join("intent").exists());
    Ok((image, mounted))
}

fn kill(verb: &str, root: &Path, name: &str, nth: usize) {
    let call = Call { name: name.into(), nth, line: String::new() };
    let ended = strace::run_with(Fault::Kill, &call, arguments(verb, root, &[]));
    assert!(ended.was_killed(), "{}", ended.err());
}

/// A root on which this verb was killed just before its last step.
fn unfinished(verb: &str) -> Result<(Image, Mounted), Skipped> {
    let prepare = || {
        let (image, mounted) = changed(Fs::Tmpfs, |_| {})?;
        if verb == "revert" {
            on("run", mounted.path()).expect(0);
        }
        Ok((image, mounted))
    };
    let (_image, mounted) = prepare()?;
    let removed = strace::trace("unlinkat", arguments(verb, mounted.path(), &[])).calls.len();
    drop(mounted);
    let (image, mounted) = prepare()?;
    kill(verb, mounted.path(), "unlinkat", removed);
    Ok((image, mounted))
}

/// One state: how it comes about, the word for it, what else the text says,
/// and what `run` would do.
#[cfg_attr(not(feature = "full"), allow(dead_code))] // only JSON tells what run would do
pub(crate) struct State {
    pub(crate) make: fn() -> Result<(Image, Mounted), Skipped>,
    pub(crate) word: &'static str,
    texts: &'static [&'static str],
    pub(crate) run: &'static str,
}

pub(crate) fn after(verbs: &[&str]) -> Result<(Image, Mounted), Skipped> {
    let (image, mounted) = changed(Fs::Tmpfs, |_| {})?;
    for verb in verbs {
        on(verb, mounted.path()).expect(0);
    }
    Ok((image, mounted))
}

const DEBIAN: &str = "  The root                   Debian GNU/Linux 12 (bookworm)\n";
const OLD_ROOT: &str =
    "  /old-root                  Debian GNU/Linux 12 (bookworm), 18 entries, since 20";

pub(crate) const STATES: &[State] = &[
    State {
        make: unmarked,
        word: "none",
        texts: &[DEBIAN, "\n  Nothing to do.\n"],
        run: "nothing",
    },
    State {
        make: || changed(Fs::Tmpfs, |_| {}),
        word: "scheduled",
        texts: &[DEBIAN, "The next boot into NixOS lustrates.", "nixos-lustrate plan --root @"],
        run: "begins",
    },
    State {
        make: || interrupted("run"),
        word: "in progress",
        texts: &[
            "A lustration is half-way: ",
            " of 18 entries of the old system are in /old-root.tmp.\n",
            "Go on: nixos-lustrate run --root @. Go back: nixos-lustrate revert --root @",
        ],
        run: "goes on",
    },
    State {
        make: without_intent,
        word: "scheduled",
        texts: &[DEBIAN, "The next boot into NixOS lustrates.", "nixos-lustrate plan --root @"],
        run: "begins",
    },
    State {
        make: || interrupted("revert"),
        word: "in progress",
        texts: &[
            "A revert is half-way: ",
            " of 18 entries of the old system are in /old-root.tmp.\n",
            "Go on: nixos-lustrate revert --root @. Go back, to NixOS: nixos-lustrate run --root @",
        ],
        run: "goes on",
    },
    State {
        make: || trees::named("stock-stopped-after-etc").make(Fs::Tmpfs),
        word: "interrupted stock lustration",
        texts: &["Go on: nixos-lustrate run --root @. Go back: nixos-lustrate revert --root @"],
        run: "takes over",
    },
    State {
        make: || unfinished("run"),
        word: "done but for the last step",
        texts: &[OLD_ROOT, "The last step: nixos-lustrate run --root @\n"],
        run: "last step",
    },
    State {
        make: || unfinished("revert"),
        word: "done but for the last step",
        texts: &["  /nixos-root ", "The last step: nixos-lustrate run --root @\n"],
        run: "last step",
    },
    State {
        make: || after(&["run"]),
        word: "done",
        texts: &[
            OLD_ROOT,
            "\nKept:\n  etc/nixos\n  etc/ssh/ssh_host_ed25519_key\n",
            "The way back, from a rescue system: nixos-lustrate revert --root @",
        ],
        run: "nothing",
    },
    State {
        make: || after(&["run", "revert"]),
        word: "reverted",
        texts: &[DEBIAN, "  /nixos-root ", "What NixOS had written is in /nixos-root"],
        run: "nothing",
    },
];

#[test]
fn status_tells_every_state() {
    require_root!();
    or_skip!(strace::available());
    for state in STATES {
        let (_image, mounted) = or_skip!((state.make)());
        let root = mounted.path().to_str().expect("UTF-8");
        let status = on("status", mounted.path()).expect(0);
        let text = status.out();
        let first = format!("{root}: {} What is where: ", state.word);
        assert!(unfolded(&text).starts_with(&first), "{}: {text}", state.word);
        for want in state.texts {
            let want = want.replace('@', root);
            assert!(says(&text, &want), "{}: no {want:?} in\n{text}", state.word);
        }
        assert_eq!(status.err(), "");
    }
}

#[test]
fn what_status_advises_works() {
    require_root!();
    or_skip!(strace::available());
    for state in STATES.iter().filter(|s| s.word.starts_with("done but") || s.word == "in progress")
    {
        for verb in ["run", "revert"] {
            let (_image, mounted) = or_skip!((state.make)());
            if says(&on("status", mounted.path()).out(), &format!("nixos-lustrate {verb}")) {
                on(verb, mounted.path()).expect(0);
                let status = on("status", mounted.path()).expect(0).out();
                let is = |word: &str| says(&status, &format!(": {word} What is where: "));
                let settled = is("done") || is("reverted");
                assert!(settled, "{} {verb}: {status}", state.word);
            }
        }
    }
}

#[test]
fn status_of_what_cannot_be_followed_says_why() {
    require_root!();
    or_skip!(strace::available());
    let (_image, mounted) = or_skip!(interrupted("run"));
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    root.file("old-root.tmp/.lustrate/intent", "nixos-lustrate-intent 2\n");
    let status = on("status", mounted.path()).expect(0).out();
    let intent = mounted.path().join("old-root.tmp/.lustrate/intent");
    let trouble = format!("Trouble: {} cannot be followed: ", intent.display());
    assert!(says(&status, &trouble), "{status}");
    on("run", mounted.path()).expect(3).says(&["cannot be followed"]);
}

/// A NixOS as it runs: os-release leads through `static` into the store, which stage 2
/// has mounted on itself.
#[cfg_attr(not(feature = "full"), allow(dead_code))]
fn running_nixos(root: &Root<'_>) {
    let _ = std::fs::remove_file(root.at("etc/os-release"));
    root.link("etc/os-release", "/etc/static/os-release");
    root.link("etc/static", "/nix/store/etc/etc");
    root.file("nix/store/etc/etc/os-release", "ID=nixos\nPRETTY_NAME=\"NixOS 26.05 (Y)\"\n");
}

#[cfg(feature = "full")] // the small build knows it in the root only
#[test]
fn nixos_is_known_in_the_root_and_after_its_revert() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    on("run", mounted.path()).expect(0);
    running_nixos(&root);
    root.bind("nix/store", "nix/store");
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
    crate::common::sys::mount(Path::new("none"), &root.at("nix/store"), "", flags, "").expect("ro");
    let status = || on("status", mounted.path()).expect(0).out();
    let line = |name: &str, system: &str| format!("  {name:<26} {system}");
    let text = status();
    assert!(text.contains(&line("The root", "NixOS 26.05 (Y)\n")), "{text}");
    assert!(text.contains(&line("/old-root", "Debian GNU/Linux 12 (bookworm), ")), "{text}");
    on("revert", mounted.path()).expect(0);
    let text = status();
    assert!(text.contains(&line("The root", "Debian GNU/Linux 12 (bookworm)\n")), "{text}");
    assert!(text.contains(&line("/nixos-root", "NixOS 26.05 (Y), ")), "{text}");
    // Which NixOS cannot be told, when its store path is gone; that it is one can.
    crate::common::isolation::unmount_all(&root.at("nix/store"));
    root.remove("nix/store/etc");
    let text = status();
    assert!(text.contains(&line("/nixos-root", "NixOS, ")), "{text}");
    // Links of that kind that lead elsewhere prove nothing.
    root.remove("nixos-root/etc/static");
    root.link("nixos-root/etc/static", "/srv/etc");
    let text = status();
    assert!(text.contains(&line("/nixos-root", "no known system, ")), "{text}");
}

#[test]
fn a_system_without_an_etc_os_release_is_known() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| {
        root.rename("etc/os-release", "usr/lib/os-release");
    }));
    assert!(on("status", mounted.path()).expect(0).out().contains(DEBIAN));
}
