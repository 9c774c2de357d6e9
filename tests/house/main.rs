//! The house of the source: an import goes down a floor, never up, and never in a
//! circle; and a room uses no other than its table says.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::expect_used, reason = "a test that cannot go on ends")]

mod paths;
mod rooms;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rooms::{circles, misplaced, untold};

fn house() -> BTreeMap<String, String> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    collect(&base, &base, &mut files);
    files
}

fn collect(base: &Path, dir: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).expect("a folder of the source") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(base, &path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let inside = path.strip_prefix(base).expect("below it").with_extension("");
            let module = inside.to_str().expect("a plain name").replace('/', "::");
            files.insert(module, fs::read_to_string(&path).expect("a source file"));
        }
    }
}

/// The house with one more line in one file.
fn planted(module: &str, line: &str) -> BTreeMap<String, String> {
    let mut house = house();
    let text = house.get_mut(module).expect("that file");
    text.insert_str(0, &format!("{line}\n"));
    house
}

#[test]
fn imports_go_down() {
    assert_eq!(misplaced(&house()), Vec::<String>::new());
}

#[test]
fn imports_run_in_no_circle() {
    assert_eq!(circles(&house()), Vec::<Vec<String>>::new());
}

#[test]
fn the_head_of_a_room_says_what_it_uses() {
    assert_eq!(untold(&house()), Vec::<String>::new());
    let mut house = house();
    let head = house.get_mut("purge").expect("that file");
    *head = head.replace("Uses: engine, ", "Uses: ");
    assert_eq!(untold(&house), ["purge"]);
}

#[test]
fn an_import_that_goes_up_is_noticed() {
    for line in [
        "use crate::prepare::site::Site;",
        "use crate::{error::Error, prepare::site::{self, Site}};",
        "fn planted() { let _ = crate::prepare::command; }",
    ] {
        let found = misplaced(&planted("engine::plan", line));
        assert_eq!(found, ["engine::plan uses prepare"], "{line}");
    }
}

#[test]
fn an_import_of_a_neighbour_that_the_table_does_not_name_is_noticed() {
    let found = misplaced(&planted("purge::survey", "use crate::check::finding::Finding;"));
    assert_eq!(found, ["purge::survey uses check"]);
}

#[test]
fn a_circle_is_noticed() {
    let found = circles(&planted("fs::name", "use super::walk::Found;"));
    assert!(found.iter().any(|circle| circle.contains(&"fs::name".to_owned())), "{found:?}");
    let inline = "fn planted() { crate::engine::survey::look::<()>(); }";
    let found = circles(&planted("engine::intent", inline));
    assert!(found.iter().any(|circle| circle.contains(&"engine::intent".to_owned())), "{found:?}");
}
