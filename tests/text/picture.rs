//! The picture in README.md of the root before, during and after a lustration: made
//! so on a file system, and each line followed by its inode.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::common::command::{arguments, on};
use crate::common::image::{Fs, Image, Mounted};
use crate::common::skip::Skipped;
use crate::common::strace::{self, Call, Fault};
use crate::common::trees::Root;
use crate::common::{or_skip, require_root};
use crate::readme::blocks;

/// A line: the path before, half-way and after, and whether it is kept.
struct Line {
    at: [String; 3],
    kept: bool,
}

fn picture() -> Vec<Line> {
    let blocks = blocks();
    let picture =
        blocks.iter().find(|block| block.lines.first().is_some_and(|l| l.starts_with("before")));
    let lines = &picture.expect("the picture").lines;
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["before", "half-way", "after"]);
    let columns = ["before", "half-way", "after"].map(|title| lines[0].find(title).expect(title));
    let line = |line: &String| {
        let cell =
            |from: usize, to: Option<usize>| line[from..to.unwrap_or(line.len())].trim().to_owned();
        let [first, second, third] = columns;
        let before = cell(first, Some(second));
        let path = before.trim_end_matches([' ', '*']).to_owned();
        Line { kept: path != before, at: [path, cell(second, Some(third)), cell(third, None)] }
    };
    lines[1..].iter().map(line).collect()
}

/// A root with what the picture has before, and the marker.
fn before(picture: &[Line]) -> Result<(Image, Mounted), Skipped> {
    let image = Image::new(Fs::Tmpfs)?;
    let mounted = image.mount()?;
    let root = Root { path: mounted.path(), fs: Fs::Tmpfs };
    for line in picture {
        let path = line.at[0].trim_start_matches('/');
        if path.ends_with("machine-id") {
            fs::create_dir_all(root.at(path).parent().expect("a parent")).expect("a directory");
            root.file(path, "id\n");
        } else {
            fs::create_dir_all(root.at(path)).expect("a directory");
        }
    }
    let kept = picture.iter().filter(|line| line.kept).map(|line| format!("{}\n", line.at[0]));
    root.file("etc/NIXOS_LUSTRATE", kept.collect::<String>());
    Ok((image, mounted))
}

fn inodes(root: &Path, picture: &[Line], column: usize) -> Vec<Option<u64>> {
    let inode = |line: &Line| {
        let path = root.join(line.at[column].trim_start_matches('/'));
        fs::symlink_metadata(path).ok().map(|meta| meta.ino())
    };
    picture.iter().map(inode).collect()
}

/// The entries that a column has, and those of the root.
fn assert_entries(root: &Path, picture: &[Line], column: usize) {
    let entry =
        |path: &str| path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let mut drawn: Vec<String> = picture.iter().map(|line| entry(&line.at[column])).collect();
    drawn.sort();
    drawn.dedup();
    let names =
        fs::read_dir(root).expect("the root").map(|entry| entry.expect("an entry").file_name());
    let mut there: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    there.sort();
    assert_eq!(drawn, there, "column {column}");
}

#[test]
fn the_picture_is_how_it_is() {
    require_root!();
    or_skip!(strace::available());
    let picture = picture();
    let (_image, mounted) = or_skip!(before(&picture));
    let root = mounted.path();
    let was = inodes(root, &picture, 0);
    assert!(picture.len() > 5 && was.iter().all(Option::is_some));
    assert_entries(root, &picture, 0);

    // Killed before the last entry of the old system but etc moves.
    let (_other, probe) = or_skip!(before(&picture));
    let calls = strace::trace("renameat2", arguments("run", probe.path(), &[])).calls;
    let last = calls.iter().find(|call| call.line.contains("\"var\"")).expect("var moves");
    let call = Call { name: last.name.clone(), nth: last.nth, line: String::new() };
    let ended = strace::run_with(Fault::Kill, &call, arguments("run", root, &[]));
    assert!(ended.was_killed(), "{}", ended.err());
    assert_eq!(inodes(root, &picture, 1), was, "half-way");
    assert_entries(root, &picture, 1);

    on("run", root).expect(0);
    assert_eq!(inodes(root, &picture, 2), was, "after");
    assert_entries(root, &picture, 2);
}
