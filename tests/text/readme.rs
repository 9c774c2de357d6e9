//! README.md: what it shows and says of the program is so.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nixos_lustrate::cli::{self, grammar};
use nixos_lustrate::engine::intent::Direction;
use nixos_lustrate::engine::state::State;

use crate::common::command::{LIMIT, run_limited};
use crate::source::checkout;
use crate::typed::commands;

pub(crate) const README: &str = include_str!("../../README.md");

/// A fenced block.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) lines: Vec<String>,
}

pub(crate) fn blocks() -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<(usize, Block)>);
    for line in README.lines() {
        let indent = line.len() - line.trim_start().len();
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                let language = language.to_owned();
                open = Some((indent, Block { language, lines: Vec::new() }));
            }
            (Some(_), Some((_, block))) => blocks.push(block),
            (None, Some((indent, mut block))) => {
                block.lines.push(line.get(indent..).unwrap_or_default().to_owned());
                open = Some((indent, block));
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The spans of code in the text.
fn spans() -> Vec<String> {
    let mut outside = String::new();
    let mut is_block = false;
    for line in README.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            outside = outside + line.trim() + " ";
        }
    }
    outside.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The program understands every command of its own, placeholders filled in.
#[test]
fn its_commands_are_understood() {
    let blocks = commands();
    let spans = spans();
    let all = blocks.iter().chain(&spans).filter(|line| line.starts_with("nixos-lustrate "));
    let mut seen = 0;
    for line in all {
        let words = line.split_whitespace().skip(1).map(|word| match word {
            "DIR" | "PATH" => "/mnt",
            "CHECK" => "boot",
            "N" => "1",
            word => word,
        });
        let words = words.map(OsString::from);
        assert!(cli::parse(words).is_ok(), "{line}");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn its_list_of_commands_is_whole() {
    let blocks = blocks();
    let list =
        blocks.iter().find(|b| b.language == "text" && b.lines[0].starts_with("nixos-lustrate "));
    let listed: BTreeSet<&str> = list
        .expect("the list")
        .lines
        .iter()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    let commands = grammar();
    let known: BTreeSet<&str> = commands.get_subcommands().map(clap::Command::get_name).collect();
    let known: BTreeSet<&str> = known.into_iter().filter(|name| *name != "completions").collect();
    assert_eq!(listed, known);
}

/// Scripts, tests and files that are named are there.
#[test]
fn what_it_names_is_there() {
    let links = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links
        .filter(|link| !link.starts_with("http"))
        .map(|link| link.split('#').next().unwrap_or_default());
    for link in links {
        assert!(checkout().join(link).exists(), "{link}");
    }
    for span in spans() {
        let words: Vec<&str> = span.split_whitespace().collect();
        match words[..] {
            ["cargo", "test", "--test", test, ..] => {
                assert!(checkout().join("tests").join(test).join("main.rs").exists(), "{span}");
            }
            ["tests/run", stage] if stage != "quick" => assert_stage(stage),
            [path, ..]
                if ["tests/", "src/", "initrd/", "benches/"]
                    .iter()
                    .any(|dir| path.starts_with(dir)) =>
            {
                assert!(checkout().join(path).exists(), "{span}");
            }
            _ => {}
        }
    }
}

fn assert_stage(stage: &str) {
    let ended =
        Command::new("grep").args(["-qw", stage, "tests/run"]).current_dir(checkout()).status();
    assert!(ended.expect("grep").success(), "tests/run has no stage {stage}");
}

/// The table of states, and what the console shows in them.
#[test]
fn the_states_are_those_of_status() {
    let section = README.split("## When it stops").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows =
        section.lines().filter(|line| line.starts_with("| `") && !line.contains("`status` says"));
    let rows: Vec<Vec<&str>> =
        rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect();
    let words: Vec<String> =
        rows.iter().map(|row| row[0].trim_matches(['|', ' ', '`']).to_owned()).collect();
    assert_eq!(words, states().map(State::word));
    let messages =
        fs::read_to_string(checkout().join("tests/text/messages.txt")).expect("the messages");
    let messages = messages.split_whitespace().collect::<Vec<_>>().join(" ");
    for shown in rows.iter().flat_map(|row| row[1].split('`').skip(1).step_by(2)) {
        for piece in shown.split('…').map(str::trim).filter(|piece| piece.len() > 5) {
            assert!(messages.contains(piece), "no message says '{piece}'");
        }
    }
}

/// What it says that the console will show on the way.
#[test]
fn what_to_expect_is_what_is_said() {
    let section = README.split("## Install NixOS in place").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let messages =
        fs::read_to_string(checkout().join("tests/text/messages.txt")).expect("the messages");
    let expected =
        ["The next boot lustrates.", "Beginning the lustration of /sysroot", "Lustrated /sysroot"];
    for said in expected {
        assert!(section.contains(&format!("`{said}`")), "{said}");
        assert!(messages.contains(&said.replace("/sysroot", "/mnt")), "{said}");
    }
}

/// Each state, in the order of the table; a new one does not compile.
fn states() -> [State; 7] {
    let all = [
        State::None,
        State::Scheduled,
        State::InProgress(Direction::Lustrate),
        State::Stock,
        State::Unfinished,
        State::Done,
        State::Reverted,
    ];
    let place = |state: &State| match state {
        State::None => 0,
        State::Scheduled => 1,
        State::InProgress(_) => 2,
        State::Stock => 3,
        State::Unfinished => 4,
        State::Done => 5,
        State::Reverted => 6,
    };
    assert!(all.iter().map(place).eq(0..all.len()));
    all
}

/// The example of a keep-list is one.
#[test]
fn its_keep_list_is_one() {
    let blocks = blocks();
    let list = blocks
        .iter()
        .find(|b| b.language == "text" && b.lines.iter().any(|l| l == "etc/machine-id"));
    let lines = &list.expect("the keep-list").lines;
    let parsed =
        nixos_lustrate::engine::keeplist::parse(lines.join("\n").as_bytes()).expect("a keep-list");
    assert_eq!(parsed.iter().map(ToString::to_string).collect::<Vec<_>>(), *lines);
}

/// The snippets of Nix, evaluated as modules beside a clone of this repository: they
/// turn the lustration on, import what is there, and use options that exist.
#[test]
fn its_snippets_of_nix_are_modules() {
    if Command::new("nix-instantiate").arg("--version").output().is_err() {
        crate::common::skip::say(&crate::common::skip::Skipped::new("no nix-instantiate here"));
        return;
    }
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme-nix");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory");
    std::os::unix::fs::symlink(checkout(), dir.join("nixos-lustrate")).expect("a link");
    fs::write(dir.join("hardware-configuration.nix"), "{ }").expect("a file");
    let blocks = blocks();
    let snippets = blocks.iter().filter(|block| block.language == "nix");
    let mut snippets: Vec<String> = snippets.map(|block| block.lines.join("\n")).collect();
    let echoed = commands().into_iter().filter(|command| command.starts_with("echo '{"));
    snippets.extend(echoed.filter_map(|command| Some(command.split('\'').nth(1)?.to_owned())));
    assert_eq!(snippets.len(), 4);
    for (at, text) in snippets.iter().enumerate() {
        let module = if text.starts_with('{') {
            text.clone()
        } else {
            format!("{{ inputs, ... }}: {{ {text} }}")
        };
        fs::write(dir.join("snippet.nix"), module).expect("a file");
        let judge = r"
          let
            inputs.nixos-lustrate = (import ./nixos-lustrate/flake.nix).outputs { self = { }; nixpkgs = { }; };
            lib = { mkOption = o: o; literalExpression = x: x; types = { }; };
            known = (import ./nixos-lustrate/initrd/options.nix { inherit lib; pkgs = { }; }).options.boot.initrd.lustrate;
            snippet = import ./snippet.nix;
            module = (if builtins.isFunction snippet then snippet else _: snippet) { inherit inputs; pkgs.pkgsStatic.callPackage = file: _: file; };
            files = module.imports ++ (module.environment.systemPackages or [ ]);
          in
            assert module.boot.initrd.lustrate.enable;
            assert builtins.all builtins.pathExists files;
            assert builtins.all (o: builtins.hasAttr o known) (builtins.attrNames module.boot.initrd.lustrate);
            builtins.length files > 0
        ";
        fs::write(dir.join("judge.nix"), judge).expect("a file");
        let mut nix = Command::new("nix-instantiate");
        nix.args(["--eval", "--strict", "--readonly-mode", "judge.nix"])
            .current_dir(&dir)
            .env("NIX_STATE_DIR", dir.join("state"));
        let ended = run_limited(&mut nix, LIMIT);
        assert_eq!(ended.out().trim(), "true", "snippet {at}: {}\n{text}", ended.err());
    }
    for command in commands().iter().filter(|command| command.starts_with("nix-env -iE")) {
        let expression = command.split('\'').nth(1).expect("an expression");
        let mut nix = Command::new("nix-instantiate");
        nix.args(["--parse", "-E", expression]);
        run_limited(&mut nix, LIMIT).expect(0);
        let package = expression
            .split("/etc/nixos/nixos-lustrate/")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        assert!(Path::new(&checkout()).join(package.expect("a path")).exists());
    }
}

/// The console in it is that of the test that takes a Debian over, with parts left
/// out where it says "…".
#[test]
fn what_it_looks_like_is_what_was_seen() {
    let seen = fs::read_to_string(checkout().join("tests/takeover/transcript.txt"));
    let seen = seen.expect("the transcript");
    let blocks = blocks();
    let shown: Vec<_> = blocks.iter().filter(|block| block.language == "console").collect();
    assert!(!shown.is_empty());
    for block in shown {
        let mut rest = seen.lines();
        for line in block.lines.iter().filter(|line| *line != "…") {
            assert!(rest.any(|other| other == line), "not in the transcript, or not there: {line}");
        }
    }
}
