//! `--root`: what is not there, what is none, and the running system's own.

use std::fs;
use std::path::Path;

use crate::common::command::{lustrate, on, program, run_limited};
use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::population::assert_untouched;
use crate::common::strace;
use crate::common::text::says;
use crate::common::{isolation, or_skip, require_root};
use crate::{assert_refusal, changed};

const VERBS: [&str; 4] = ["run", "plan", "status", "revert"];

#[test]
fn a_root_that_is_missing_or_none_is_refused() {
    let nowhere = Path::new("/nonexistent/root");
    for verb in VERBS {
        assert_refusal(
            on(verb, nowhere),
            nowhere,
            [
                "@ is missing",
                "There is no root to work on",
                "Mount the root there, or give another --root",
            ],
        );
        for file in ["/dev/null", "/etc/passwd"] {
            assert_refusal(
                on(verb, Path::new(file)),
                Path::new(file),
                [
                    "@ is not a directory",
                    "There is no root to work on",
                    "Give the directory where the root is mounted",
                ],
            );
        }
    }
}

#[test]
fn a_root_behind_a_link_loop_is_refused() {
    require_root!();
    let directory = isolation::new_directory();
    let link = directory.join("loop");
    std::os::unix::fs::symlink("loop", &link).expect("a link");
    assert_refusal(
        on("run", &link),
        &link,
        [
            "Failed to open '@': Too many symbolic links encountered",
            "There is no root to work on",
            "Mount the root there, or give another --root",
        ],
    );
}

#[test]
fn an_empty_root_is_none_of_a_system_and_nothing_happens() {
    require_root!();
    let directory = isolation::new_directory();
    let (run, revert) = (on("run", &directory).expect(0), on("revert", &directory).expect(0));
    assert_eq!((run.err().as_str(), run.out().as_str()), ("", ""));
    assert_eq!(revert.err(), format!("{}: there is nothing to revert\n", directory.display()));
    assert_eq!(fs::read_dir(&directory).expect("the root").count(), 0);
}

/// In a mount namespace whose `/` is a lustratable root, reached by chroot.
#[test]
fn the_root_of_the_running_system_is_refused() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |_| {}));
    let root = mounted.path();
    // The marker of the test's root is behind another path of the same directory:
    // what counts is the directory, not its name.
    let before = Manifest::of(root);
    let inside = |arguments: &'static [&'static str]| {
        let root = root.to_path_buf();
        std::thread::scope(|scope| {
            let run = || {
                isolation::enter();
                lend(&root);
                crate::common::sys::chroot(&root).expect("a chroot");
                let file = crate::common::command::binary();
                let file = Path::new("/mnt/program").join(file.file_name().expect("a name"));
                run_limited(
                    std::process::Command::new(file).args(arguments).env_clear(),
                    crate::common::command::LIMIT,
                )
            };
            scope.spawn(run).join().expect("no panic")
        })
    };
    for (arguments, fix) in [
        (
            &["run"][..],
            "In NixOS's initrd it runs by itself at the next boot: touch /etc/NIXOS_LUSTRATE",
        ),
        (&["run", "--root", "/mnt/.."], ""),
        (
            &["revert"],
            "Do it from a rescue system or an initrd: mount the root file system, and give --root",
        ),
    ] {
        let ended = inside(arguments).expect(3);
        let says = ["is the root of the running system. Its programs would have been moved", fix];
        ended.says(&says).says(&["Nothing was touched."]);
    }
    assert_untouched(&without_mounts(&before), &without_mounts(&Manifest::of(root)));
}

/// `/mnt` is where the program and its libraries were lent.
fn without_mounts(manifest: &Manifest) -> Manifest {
    ["mnt", "usr", "lib64", "lib", "proc"]
        .iter()
        .fold(manifest.clone(), |m, name| m.without(name.as_bytes()))
}

/// The host's program and libraries, mounted in the root.
fn lend(root: &Path) {
    let bind = |from: &Path, to: &Path| {
        crate::common::sys::mount(from, to, "none", libc::MS_BIND | libc::MS_REC, "")
            .expect("a bind mount");
    };
    let program = crate::common::command::binary();
    fs::create_dir_all(root.join("mnt/program")).expect("a directory");
    bind(program.parent().expect("a directory"), &root.join("mnt/program"));
    bind(Path::new("/usr"), &root.join("usr"));
    bind(Path::new("/proc"), &root.join("proc"));
    if Path::new("/nix/store").exists() {
        bind(Path::new("/nix/store"), &root.join("nix/store"));
    }
}

#[test]
fn a_plan_of_the_live_root_writes_nothing() {
    require_root!();
    or_skip!(strace::available());
    isolation::isolated();
    let trace = strace::trace("all", ["plan"]);
    assert!([0, 3].contains(&trace.ended.code), "{}", trace.ended.err());
    if trace.ended.code == 0 {
        assert!(says(&trace.ended.out(), "Moves to /old-root:"), "{}", trace.ended.out());
    }
    let own = trace.from("initrd-release");
    assert!(own.len() > 10, "the program's own calls: {own:?}");
    let bad = own.iter().filter(|call| {
        let to_terminal = call.line.starts_with("write(1,") || call.line.starts_with("write(2,");
        let reads = call.name.starts_with("readlink");
        let opens = call.name.starts_with("open")
            && ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|f| call.line.contains(f));
        opens || (!to_terminal && !reads && CHANGES.iter().any(|name| call.name.contains(name)))
    });
    let bad: Vec<_> = bad.map(|call| &call.line).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

/// What the names of calls that change a file system contain.
const CHANGES: [&str; 16] = [
    "write",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "link",
    "mknod",
    "chmod",
    "chown",
    "utime",
    "setxattr",
    "truncate",
    "fallocate",
    "sync",
    "flock",
    "mount",
];

#[test]
fn a_plan_of_the_live_root_looks_below_its_mounts() {
    require_root!();
    isolation::isolated();
    // A mount inside an entry would be refused if the initrd could see it.
    let deep = isolation::new_directory();
    crate::common::sys::mount(Path::new("x"), &deep, "tmpfs", 0, "size=1m").expect("a mount");
    let ended = run_limited(program().arg("plan"), crate::common::command::LIMIT);
    let err = ended.err();
    assert!(!says(&err, "is a mount point"), "{err}");
}

#[test]
fn an_option_before_its_value_may_be_anything_the_system_takes() {
    // A root with a name that is no UTF-8, shown with an escape.
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"/none\xff\n");
    let ended = lustrate([std::ffi::OsStr::new("status"), "--root".as_ref(), name]).expect(3);
    assert!(ended.err().starts_with("refused: /none\\xff\\x0a is missing."), "{}", ended.err());
}
