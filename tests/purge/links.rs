//! Names and links: nothing leads out of an old root, and no name is too odd.

use std::os::unix::fs::symlink;

use crate::common::image::Fs;
use crate::common::manifest::Manifest;
use crate::common::{or_skip, require_root};
use crate::scene::{Canary, assert_only_gone, lustrated, purge};

#[test]
fn links_are_removed_and_not_followed() {
    require_root!();
    for fs in Fs::ALL {
        let canary = Canary::new();
        let (_image, mounted) = or_skip!(lustrated(fs, |root| {
            symlink(&canary.path, root.at("old-root/canary")).expect("a link");
            symlink(canary.path.join("etc/passwd"), root.at("old-root/file")).expect("a link");
            root.link("old-root/a/up", "../../home");
            root.link("old-root/a/b/c/root", "/");
            root.link("old-root/a/loop", "loop");
            root.link("old-root/a/self", ".");
            Ok(())
        }));
        let before = Manifest::of(mounted.path());
        purge(mounted.path(), &["--yes"]).expect(0);
        assert_only_gone(&before, &Manifest::of(mounted.path()), &["old-root"]);
        canary.assert_alive();
    }
}

#[test]
fn names_of_any_bytes_are_removed() {
    require_root!();
    for fs in Fs::ALL {
        let (_image, mounted) = or_skip!(lustrated(fs, |root| {
            let longest = [b'x'; 255];
            let names: [&[u8]; 9] =
                [b"-rf", b"a\nb", b"\xff\xfe", b"a b", b"...", b"*", b"\x01", b"'\"\\", &longest];
            for name in names {
                let directory = [b"old-root/odd/", name].concat();
                root.directory(&directory, 0o000);
                root.file([&directory, &b"/"[..], name].concat(), "x");
            }
            for byte in (1..=255u8).filter(|b| !b"/.".contains(b)) {
                root.file([&b"old-root/bytes/"[..], &[byte]].concat(), "");
            }
            Ok(())
        }));
        let before = Manifest::of(mounted.path());
        purge(mounted.path(), &["--yes"]).expect(0);
        assert_only_gone(&before, &Manifest::of(mounted.path()), &["old-root"]);
    }
}

/// A file with names inside and outside keeps those outside, and all else.
#[test]
fn a_file_that_has_another_name_outside_stays_as_it_is() {
    require_root!();
    let (_image, mounted) = or_skip!(lustrated(Fs::Ext4, |root| {
        root.file("old-root/one", "shared");
        root.hard_link("home/two", "old-root/one");
        root.hard_link("nix/var/three", "old-root/one");
        Ok(())
    }));
    let before = Manifest::of(mounted.path());
    purge(mounted.path(), &["--yes"]).expect(0);
    let after = Manifest::of(mounted.path());
    assert_only_gone(&before, &after, &["old-root"]);
    assert_eq!(after.get(b"home/two").expect("the other name").links, 2);
}
