//! `plan --json` and `status --json` in every state.

use std::path::Path;

use serde_json::Value;

use crate::common::image::Fs;
use crate::common::{or_skip, require_root, strace};
use crate::states::{STATES, after};
use crate::{changed, with};

fn document(verb: &str, root: &Path, code: i32) -> Value {
    let ended = with(verb, root, &["--json"]).expect(code);
    serde_json::from_str(&ended.out()).expect("JSON")
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn every_state_is_one_document_with_the_same_fields() {
    require_root!();
    or_skip!(strace::available());
    for state in STATES {
        let (_image, mounted) = or_skip!((state.make)());
        let status = document("status", mounted.path(), 0);
        assert_eq!(
            keys(&status),
            [
                "direction",
                "keepers",
                "missing",
                "moved",
                "moving",
                "root",
                "roots",
                "state",
                "system",
                "trouble",
                "warnings"
            ]
        );
        assert_eq!(status["state"], state.word);
        assert_eq!(status["root"], mounted.path().to_str().expect("UTF-8"));
        let in_progress = state.word == "in progress";
        assert_eq!(status["direction"].is_string(), in_progress);
        assert_eq!(status["moving"] == 18, in_progress, "{status}");
        for root in status["roots"].as_array().expect("a list") {
            assert_eq!(keys(root), ["entries", "finished", "name", "system"]);
        }
        let plan = document("plan", mounted.path(), 0);
        assert_eq!(
            keys(&plan),
            [
                "kept",
                "left",
                "links",
                "moves",
                "old_root_becomes",
                "refusals",
                "root",
                "run",
                "warnings"
            ]
        );
        assert_eq!(plan["run"], state.run, "{}: {plan}", state.word);
    }
}

#[test]
fn a_record_gives_status_its_figures() {
    require_root!();
    let (_image, mounted) = or_skip!(after(&["run"]));
    let status = document("status", mounted.path(), 0);
    let roots = &status["roots"];
    assert_eq!(roots[0]["name"], "old-root");
    assert_eq!(roots[0]["entries"], 18);
    assert_eq!(roots[0]["system"], "Debian GNU/Linux 12 (bookworm)");
    assert!(roots[0]["finished"].as_u64().is_some_and(|t| t > 1_600_000_000));
    assert_eq!(status["keepers"][0], "etc/nixos");
}

#[test]
fn refusals_are_documents_with_three_parts() {
    require_root!();
    let (_image, mounted) = or_skip!(changed(Fs::Tmpfs, |root| root.remove("nix")));
    let plan = document("plan", mounted.path(), 3);
    assert_eq!(plan["run"], "refuses");
    let refusal = &plan["refusals"][0];
    assert_eq!(keys(refusal), ["consequence", "fix", "found"]);
    let path = mounted.path().display();
    assert_eq!(refusal["found"], format!("{path}/nix is missing"));
    assert_eq!(plan["refusals"].as_array().map(Vec::len), Some(1));
}
