//! What bash, zsh and fish themselves offer, with the script that `completions`
//! prints, at places of the command line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nixos_lustrate::check::ids::IDS;
use nixos_lustrate::cli::grammar;

use crate::common::command::{LIMIT, lustrate, run_limited};
use crate::common::skip::{self, Skipped};
use crate::common::{isolation, or_skip, require_root, sys};

#[derive(Clone, Copy, Debug)]
enum Shell {
    Bash,
    /// With the package bash-completion, which finds the script by its name.
    BashCompletion,
    Zsh,
    Fish,
}

const SHELLS: [Shell; 4] = [Shell::Bash, Shell::BashCompletion, Shell::Zsh, Shell::Fish];

const PACKAGE: &str = "/usr/share/bash-completion/bash_completion";

impl Shell {
    const fn program(self) -> &'static str {
        match self {
            Self::Bash | Self::BashCompletion => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    fn available(self) -> Result<(), Skipped> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|dir| dir.join(self.program()).is_file()) {
            return Err(Skipped::new(format!("no {} here", self.program())));
        }
        match self {
            Self::BashCompletion if !Path::new(PACKAGE).is_file() => {
                Err(Skipped::new(format!("no bash-completion: {PACKAGE} is missing")))
            }
            _ => Ok(()),
        }
    }
}

/// The script of a shell as it is installed, and what looks at the shell.
struct Installed {
    shell: Shell,
    directory: PathBuf,
}

impl Installed {
    /// In `directory`, which the test removes.
    fn new(shell: Shell, directory: PathBuf) -> Result<Self, Skipped> {
        shell.available()?;
        let script = lustrate(["completions", shell.program()]).expect(0).out();
        let write = |name: &str, text: &str| {
            fs::write(directory.join(name), text).expect("a file");
        };
        write("_nixos-lustrate", &script);
        write("offered.bash", include_str!("offered.bash"));
        write("offered.zsh", include_str!("offered.zsh"));
        write("capture.zsh", include_str!("capture.zsh"));
        Ok(Self { shell, directory })
    }

    /// What the shell offers behind `nixos-lustrate LINE`.
    #[track_caller]
    fn offers(&self, line: &str) -> BTreeSet<String> {
        let line = format!("nixos-lustrate {line}");
        let script = self.directory.join("_nixos-lustrate");
        let mut command = Command::new(self.shell.program());
        match self.shell {
            Shell::Bash | Shell::BashCompletion => {
                let how = if matches!(self.shell, Shell::Bash) { "alone" } else { "package" };
                command.arg(self.directory.join("offered.bash")).arg(script).arg(how);
                command.args(words(&line));
            }
            Shell::Zsh => {
                command.arg("-f").arg(self.directory.join("capture.zsh"));
                command.arg(&self.directory).arg(&line);
            }
            Shell::Fish => {
                command.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]);
                command.arg(script).arg(&line);
            }
        }
        let home = &self.directory;
        command.env("HOME", home).env("TMPDIR", home).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        command.current_dir("/");
        let ended = run_limited(&mut command, LIMIT).expect(0);
        assert_eq!(ended.err(), "", "{:?}: {line}", self.shell);
        ended.out().lines().map(word).filter(|word| !word.is_empty()).collect()
    }

    #[track_caller]
    fn assert_offers<S: Into<String>>(&self, line: &str, want: impl IntoIterator<Item = S>) {
        let want: BTreeSet<String> = want.into_iter().map(Into::into).collect();
        assert_eq!(self.offers(line), want, "{:?}: {line}", self.shell);
    }
}

/// As bash splits a line, where `=` is a word of its own, and `\ ` part of one.
fn words(line: &str) -> Vec<String> {
    let line = line.replace("\\ ", "\0");
    let words = line.split(' ').flat_map(|word| match word.split_once('=') {
        Some((option, "")) => vec![option, "="],
        Some((option, value)) => vec![option, "=", value],
        None => vec![word],
    });
    words.map(|word| word.replace('\0', "\\ ")).collect()
}

/// What was offered, the same for each shell: one also prints what stands before
/// it in the word, one quotes it, one says what it means.
fn word(offered: &str) -> String {
    let offered = offered.split('\t').next().unwrap_or_default().trim_end_matches([' ', '/']);
    let value = offered.split_once('=').map_or(offered, |(_, value)| value);
    value.rsplit('/').next().unwrap_or_default().replace('\\', "")
}

/// A directory of the thread's own, with what the cases ask for in `root`.
fn scene() -> PathBuf {
    let directory = isolation::new_directory();
    for name in ["old-root", "old-root-2026-01-02", "nixos-root", "old-root.tmp", "a b/old-root"] {
        fs::create_dir_all(directory.join("root").join(name)).expect("a directory");
    }
    fs::write(directory.join("root/old-root-file"), "").expect("a file");
    directory
}

const OLD_ROOTS: [&str; 3] = ["old-root", "old-root-2026-01-02", "nixos-root"];

/// Does it for each shell that is here, and says which are not.
fn each(mut what: impl FnMut(&Installed, &str)) {
    for shell in SHELLS {
        let directory = scene();
        let root = directory.join("root");
        match Installed::new(shell, directory) {
            Ok(installed) => what(&installed, root.to_str().expect("UTF-8")),
            Err(skipped) => skip::say(&skipped),
        }
    }
}

fn built() -> clap::Command {
    let mut command = grammar();
    command.build();
    command
}

#[test]
fn a_shell_offers_each_command() {
    require_root!();
    let command = built();
    let all: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    each(|shell, _| {
        shell.assert_offers("", all.clone());
        shell.assert_offers("help ", all.clone());
        shell.assert_offers("-v p", ["plan", "prepare", "purge"]);
        shell.assert_offers("--quiet ca", ["cancel"]);
    });
}

#[test]
fn a_shell_offers_each_option_behind_its_command() {
    require_root!();
    let command = built();
    each(|shell, _| {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let options = sub.get_arguments().filter_map(clap::Arg::get_long);
            let options: Vec<_> = options.map(|option| format!("--{option}")).collect();
            shell.assert_offers(&format!("{} --", sub.get_name()), options);
        }
        shell.assert_offers("purge --json --older-than 30d --dry", ["--dry-run"]);
    });
}

#[test]
fn a_shell_offers_directories_for_a_root_and_files_for_what_is_kept() {
    require_root!();
    let directories = ["old-root", "old-root-2026-01-02", "nixos-root", "old-root.tmp", "a b"];
    each(|shell, root| {
        for sub in built().get_subcommands() {
            if sub.get_arguments().any(|arg| arg.get_long() == Some("root")) {
                shell.assert_offers(&format!("{} --root {root}/", sub.get_name()), directories);
            }
        }
        shell.assert_offers(&format!("check --root={root}/"), directories);
        shell.assert_offers(&format!("check --root {root}/a\\ "), ["a b"]);
        let all = directories.into_iter().chain(["old-root-file"]);
        shell.assert_offers(&format!("check --keep {root}/"), all.clone());
        shell.assert_offers(&format!("prepare --yes --system={root}/"), all);
    });
}

#[test]
fn a_shell_offers_the_checks_that_can_be_overruled() {
    require_root!();
    let ids: Vec<_> = IDS.iter().map(|(id, _)| *id).collect();
    assert!(ids.len() > 30);
    each(|shell, _| {
        shell.assert_offers("prepare --despite ", ids.clone());
        shell.assert_offers("prepare --despite=fstab-r", ["fstab-root"]);
        shell.assert_offers("prepare --despite esp --despite gatew", ["gateway"]);
    });
}

#[test]
fn a_shell_offers_the_old_roots_that_are_there() {
    require_root!();
    each(|shell, root| {
        shell.assert_offers(&format!("purge --root {root} "), OLD_ROOTS);
        shell.assert_offers(&format!("purge --root={root}/ --yes old-root-"), [OLD_ROOTS[1]]);
        shell.assert_offers(&format!("purge --yes --root {root} old-root n"), ["nixos-root"]);
        shell.assert_offers(&format!("purge --root {root}/a\\ b "), ["old-root"]);
    });
}

/// `/` in a chroot: nobody knows what the machine of the tests has there.
#[test]
fn without_a_root_those_of_the_machine_are_offered() {
    require_root!();
    for shell in SHELLS {
        or_skip!(std::thread::scope(|scope| scope
            .spawn(|| in_a_chroot(shell))
            .join()
            .expect("it")));
    }
}

fn in_a_chroot(shell: Shell) -> Result<(), Skipped> {
    let root = scene().join("root");
    let inside = Installed::new(shell, root.clone());
    if let Err(skipped) = &inside {
        skip::say(skipped);
        return Ok(());
    }
    for name in ["usr", "etc", "proc", "dev", "tmp"] {
        fs::create_dir(root.join(name)).expect("a directory");
        if name != "tmp" {
            let from = Path::new("/").join(name);
            sys::mount(&from, &root.join(name), "none", libc::MS_BIND | libc::MS_REC, "")
                .map_err(|error| Skipped::new(format!("a bind mount: {error}")))?;
        }
    }
    for name in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).expect("a link");
    }
    sys::chroot(&root).expect("a chroot");
    let shell = Installed { shell, directory: "/".into() };
    shell.assert_offers("purge ", OLD_ROOTS);
    shell.assert_offers("purge -y old-root ol", [OLD_ROOTS[0], OLD_ROOTS[1]]);
    Ok(())
}

#[test]
fn a_shell_offers_the_shells_and_nothing_where_it_cannot_know() {
    require_root!();
    each(|shell, _| {
        shell.assert_offers("completions ", ["bash", "zsh", "fish"]);
        for unknown in ["purge --keep ", "purge --older-than ", "run --system-id=", "nonsense "] {
            shell.assert_offers(unknown, [""; 0]);
        }
    });
}
