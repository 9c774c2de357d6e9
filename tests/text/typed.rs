//! The commands in README.md's blocks: run, or named with what runs them, or with
//! the reason why nothing can.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::command::{LIMIT, binary, run_limited};
use crate::common::image::Fs;
use crate::common::trees::Case;
use crate::common::{or_skip, require_root};
use crate::readme::blocks;
use crate::source::checkout;

/// The lines of blocks without a language: what people type.
pub(crate) fn commands() -> Vec<String> {
    let blocks = blocks();
    let lines = blocks.iter().filter(|block| block.language.is_empty());
    let lines = lines.flat_map(|block| block.lines.iter());
    let lines = lines.map(|line| line.split("  # ").next().unwrap_or_default().trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Where a command is run.
enum Runs {
    /// By the tests below, with another root or system in its place.
    Here,
    /// By that file, which has the words.
    In(&'static str, &'static str),
    /// Nowhere: why not.
    Nowhere(&'static str),
}
use Runs::{Here, In, Nowhere};

const NETWORK: &str = "needs the network, and changes the machine";

const COMMANDS: &[(&str, Runs)] = &[
    ("apt-get install -y git ca-certificates", Nowhere(NETWORK)),
    ("git clone https://github.com/nixos-lustrate/nixos-lustrate", Nowhere(NETWORK)),
    ("cd nixos-lustrate", Nowhere("cargo test is there already")),
    ("tests/demo", In("tests/run", "all=(\"${quick[@]}\" demo ")),
    ("tests/run", In("tests/run", "usual=(\"${quick[@]}\" demo ")),
    ("tests/run all", In(".ci/run", "tests/run\" all")),
    ("tests/run quick", In("tests/run", "all=(\"${quick[@]}\" ")),
    ("cargo test --test trees", In("tests/run", "cargo test --locked \"${profile[@]}\"")),
    ("cargo test --test check network::", In("tests/run", "cargo test --locked \"${profile[@]}\"")),
    (
        "MESSAGES=write cargo test --test text",
        Nowhere("writes tests/text/messages.txt, to which the test compares"),
    ),
    ("apt-get install -y curl git xz-utils", Nowhere(NETWORK)),
    ("sh <(curl -L https://nixos.org/nix/install) --daemon", Nowhere(NETWORK)),
    (". /etc/profile.d/nix.sh", Nowhere("made by Nix's installer")),
    ("nix-channel --add https://nixos.org/channels/nixos-26.05 nixpkgs", Nowhere(NETWORK)),
    ("nix-channel --update", Nowhere(NETWORK)),
    (
        "git clone https://github.com/nixos-lustrate/nixos-lustrate /etc/nixos/nixos-lustrate",
        Nowhere(NETWORK),
    ),
    (
        // It is built by nix flake check; the expression is parsed below.
        "nix-env -iE '_: (import <nixpkgs> { }).pkgsStatic.callPackage \
         /etc/nixos/nixos-lustrate/initrd/package.nix { }'",
        In("tests/nix/checks.nix", "initrd/package.nix"),
    ),
    (
        "nix-shell -p nixos-install-tools --run 'nixos-generate-config --root /'",
        Nowhere("needs nixpkgs"),
    ),
    (
        "nix-env -p /nix/var/nix/profiles/system -f '<nixpkgs/nixos>' -I \
         nixos-config=/etc/nixos/configuration.nix -iA system",
        Nowhere("needs nixpkgs, and builds a system"),
    ),
    (
        "echo '{ imports = [ ./nixos-lustrate/initrd/module.nix ]; \
         boot.initrd.lustrate.enable = true; }' > /etc/nixos/lustrate.nix",
        In("tests/text/readme.rs", "its_snippets_of_nix_are_modules"),
    ),
    (
        "curl https://raw.githubusercontent.com/elitak/nixos-infect/master/nixos-infect | \
         NIXOS_IMPORT=./lustrate.nix bash -x",
        Nowhere(NETWORK),
    ),
    ("nixos-lustrate check", Here),
    ("nixos-lustrate check --root /mnt", Here),
    ("nixos-lustrate check --system PATH", Here),
    ("nixos-lustrate prepare --keep home", In("tests/prepare/machine.rs", "\"prepare\"")),
    ("nixos-lustrate prepare --dry-run", In("tests/prepare/refusals.rs", "--dry-run")),
    ("nixos-lustrate prepare", In("tests/prepare/machine.rs", "\"prepare\"")),
    ("nixos-lustrate cancel", In("tests/prepare/machine.rs", "\"cancel\"")),
    ("reboot", In("tests/common/lab/machine.rs", "qemu-system-x86_64")),
    ("nixos-lustrate status", Here),
    ("nixos-lustrate purge", In("tests/purge/terminal.rs", "asking(")),
    ("mount /dev/sda1 /mnt", Here),
    ("nixos-lustrate status --root /mnt", Here),
    ("nixos-lustrate run    --root /mnt", Here),
    ("nixos-lustrate revert --root /mnt", Here),
];

#[test]
fn each_command_is_run_or_said_where() {
    let commands = commands();
    let known: Vec<&str> = COMMANDS.iter().map(|(command, _)| *command).collect();
    for command in &commands {
        assert!(known.contains(&command.as_str()), "neither run nor in COMMANDS: {command}");
    }
    for (command, runs) in COMMANDS {
        assert!(commands.iter().any(|c| c == command), "not in README.md: {command}");
        match runs {
            Here => assert!(HERE.iter().any(|(c, _)| c == command), "{command}"),
            In(file, words) => {
                let text = fs::read_to_string(checkout().join(file)).expect(file);
                assert!(text.contains(words), "{file} has no '{words}'");
            }
            Nowhere(why) => assert!(!why.is_empty(), "{command}"),
        }
    }
}

/// What `Here` commands may end with: the first two are in this order.
const HERE: &[(&str, &[i32])] = &[
    ("mount /dev/sda1 /mnt", &[0]),
    ("nixos-lustrate status --root /mnt", &[0]),
    ("nixos-lustrate check --root /mnt", &[3]), // no NixOS was built there
    ("nixos-lustrate run    --root /mnt", &[0]),
    ("nixos-lustrate revert --root /mnt", &[0]),
    ("nixos-lustrate status", &[0]),
    ("nixos-lustrate check", &[0, 3]), // of whatever machine this is
    ("nixos-lustrate check --system PATH", &[0, 3]),
];

#[test]
fn what_is_typed_after_a_boot_that_stopped_works() {
    require_root!();
    let (image, mounted) = or_skip!(Case::TYPICAL.make(Fs::Ext4));
    mounted.unmount();
    let mnt = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme-mnt");
    fs::create_dir_all(&mnt).expect("a mount point");
    let path = format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        binary().parent().expect("a directory").display()
    );
    for (command, statuses) in HERE {
        let command = command.replace("/dev/sda1", image.file().to_str().expect("a path"));
        let command = command.replace("/mnt", mnt.to_str().expect("a path"));
        let command = command.replace("PATH", "/nix/var/nix/profiles/system");
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).env("PATH", &path);
        let ended = run_limited(&mut shell, LIMIT);
        assert!(
            statuses.contains(&ended.code),
            "{command}: {}\n{}{}",
            ended.code,
            ended.out(),
            ended.err()
        );
        assert!(!ended.err().contains("not found"), "{command}: {}", ended.err());
    }
    let shell = run_limited(Command::new("umount").arg(&mnt), LIMIT);
    shell.expect(0);
}
