//! The whole program: exit codes, texts, JSON, on a system built by real Nix.

use serde_json::Value;

use crate::common::command::{self, lustrate};
use crate::common::image::{Fs, Image, Options};
use crate::common::system::System;
use crate::common::{or_skip, require_root};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
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
    let image = or_skip!(Image::with(&Options::new(Fs::Tmpfs)));
    let mounted = or_skip!(image.mount());
    let top = or_skip!(System::new().build(mounted.path()));
    let ended = command::on("check", mounted.path());
    let out = ended.out();
    assert!(out.contains(top.to_str().expect("UTF-8")), "{out}");
    for line in ["ok       profile-complete: ", "ok       initrd-lustrates: nixos-lustrate 0.1.0"] {
        assert!(out.contains(line), "no {line:?} in\n{out}");
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
        assert_eq!(keys(finding), ["checked", "consequence", "found", "id", "level", "mend"]);
    }
    let blocks = document["blocks"].as_bool().expect("a truth");
    assert_eq!(json.code, if blocks { 3 } else { 0 });
    assert_eq!(ended.code, json.code);
}
