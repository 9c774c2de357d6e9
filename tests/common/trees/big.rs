//! Large roots: many entries, many keepers, deep ones.

use super::root::Root;
use super::typical::bare;

/// A bare root with `count` more entries, every tenth a directory, and
/// nothing kept.
pub fn entries(root: &Root<'_>, count: usize) {
    bare(root, b"");
    for n in 0..count {
        let name = format!("entry-{n}");
        if n % 10 == 0 { root.directory(name, 0o755) } else { root.file(name, "") }
    }
}

/// A bare root with `count` nested keepers, each `depth` components deep and
/// next to something that moves; returns the keep-list.
pub fn keepers(root: &Root<'_>, count: usize, depth: usize) -> Vec<u8> {
    let mut list = Vec::new();
    for n in 0..count {
        // At most 100 entries, each with its share of the keepers.
        let levels = (2..depth).map(|level| format!("{}/", n / 10 % (level + 8)));
        let parent = format!("entry-{}/{}", n % 100, levels.collect::<String>());
        root.file(format!("{parent}kept-{n}"), "");
        root.file(format!("{parent}other"), "");
        list.extend_from_slice(format!("{parent}kept-{n}\n").as_bytes());
    }
    bare(root, &list);
    list
}
