//! What a place is compared with when it is put back. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::catalog::{Catalog, Item, Path};
use crate::bootloader::configurations;
use crate::fs::name::Name;
use crate::fs::sys::Kind;

/// What is known of what the boot loader's installer left.
#[derive(Debug)]
pub(in crate::prepare) enum Left {
    /// It has not begun: whatever there is, is not its work.
    Nothing,
    /// Nobody saw its end: what is there now and provably its work, or NixOS's.
    Proven(BTreeSet<Path>),
    /// Its files.
    Listed(Catalog),
}

/// What a place is compared with.
pub(in crate::prepare) struct Lists {
    pub(in crate::prepare) before: Catalog,
    left: Left,
    pub(in crate::prepare) now: Catalog,
    /// The path that a file has on vfat, where another case is the same file.
    folded: BTreeMap<Vec<u8>, Path>,
}

fn fold(path: &[Name]) -> Vec<u8> {
    path.iter().map(|name| name.as_bytes().to_ascii_lowercase()).collect::<Vec<_>>().join(&b'/')
}

impl Lists {
    pub(in crate::prepare) fn new(before: Catalog, left: Left, now: Catalog) -> Self {
        let vfat = now.iter().filter(|(_, item)| item.vfat);
        let folded = vfat.map(|(path, _)| (fold(path), path.clone())).collect();
        Self { before, left, now, folded }
    }

    /// The file that is there now under a path.
    pub(in crate::prepare) fn now(&self, path: &[Name], vfat: bool) -> Option<(&[Name], &Item)> {
        let other = || self.folded.get(&fold(path)).filter(|_| vfat);
        let found = self.now.get_key_value(path).or_else(|| self.now.get_key_value(other()?));
        found.map(|(path, item)| (path.as_slice(), item))
    }

    /// Whether what is there now, and was not before, is not provably what the
    /// installer left.
    pub(in crate::prepare) fn is_of_others(&self, path: &[Name], now: Option<&Item>) -> bool {
        let after = match (&self.left, now) {
            (Left::Listed(after), _) => after,
            // Putting back what is missing takes nothing from anybody, and of a
            // directory only an empty one goes.
            (_, None) => return false,
            (Left::Proven(proven), Some(now)) => {
                return now.kind != Kind::Dir && !proven.contains(path);
            }
            (Left::Nothing, Some(_)) => return true,
        };
        match (after.get(path), now) {
            (Some(left), Some(now)) => !left.same_content(now),
            (None, None) => false,
            // What the installer replaced comes back in any case: a cancel may have
            // been interrupted where it made room for the old file.
            (Some(left), None) => self.before.get(path).is_none_or(|old| old.same_content(left)),
            _ => true,
        }
    }

    /// Whether nobody saw the installer end, so that what is not proven may be its.
    pub(in crate::prepare) fn is_unseen(&self) -> bool {
        matches!(self.left, Left::Proven(_))
    }

    /// Whether something of others is in a directory.
    pub(in crate::prepare) fn holds_of_others(&self, path: &[Name]) -> bool {
        let inside = self.now.range(path.to_vec()..).take_while(|(at, _)| at.starts_with(path));
        let mut inside = inside.filter(|(at, _)| at.len() > path.len());
        inside.any(|(at, item)| self.is_of_others(at, Some(item)))
    }

    /// Whether a path was there before.
    pub(in crate::prepare) fn was_there(&self, path: &[Name], vfat: bool) -> bool {
        let same = |known: &Path| vfat && fold(known) == fold(path);
        self.before.contains_key(path) || (vfat && self.before.keys().any(same))
    }
}

/// Configurations come back after the files that they name.
pub(in crate::prepare) fn rank(path: &[Name], item: &Item) -> u8 {
    let name = path.last().map_or(&b""[..], Name::as_bytes);
    match item.kind {
        Kind::Dir => 0,
        _ if configurations::is_text(name) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::escape;

    fn item(content: u8, vfat: bool) -> Item {
        Item {
            kind: Kind::File,
            mode: 0o644,
            owner: (0, 0),
            modified: (0, 0),
            hash: Some([content; 32]),
            target: None,
            inode: 1,
            size: 1,
            vfat,
        }
    }

    fn catalog(files: &[(&str, u8)], vfat: bool) -> Catalog {
        let path = |text: &str| escape::path(text).expect("a path");
        files.iter().map(|(name, content)| (path(name), item(*content, vfat))).collect()
    }

    #[test]
    fn on_vfat_another_case_is_the_same_file() {
        for vfat in [true, false] {
            let before = catalog(&[("EFI/BOOT/BOOTX64.EFI", 1)], vfat);
            let now = catalog(&[("EFI/Boot/bootx64.efi", 2), ("EFI/nixos/k.efi", 3)], vfat);
            let lists = Lists::new(before, Left::Proven(BTreeSet::new()), now);
            let old = escape::path("EFI/BOOT/BOOTX64.EFI").expect("a path");
            let new = escape::path("EFI/Boot/bootx64.efi").expect("a path");
            assert_eq!(lists.now(&old, vfat).is_some(), vfat);
            // It must not be removed as something new.
            assert_eq!(lists.was_there(&new, vfat), vfat);
            assert!(!lists.was_there(&escape::path("EFI/nixos/k.efi").expect("a path"), vfat));
        }
    }

    #[test]
    fn what_differs_from_what_the_installer_left_is_of_others() {
        let after = catalog(&[("kept", 1), ("replaced", 2)], false);
        let lists = |after| Lists::new(Catalog::new(), after, Catalog::new());
        let path = |text: &str| escape::path(text).expect("a path");
        let known = lists(Left::Listed(after));
        assert!(!known.is_of_others(&path("replaced"), Some(&item(2, false))));
        assert!(known.is_of_others(&path("replaced"), Some(&item(3, false))));
        assert!(known.is_of_others(&path("kept"), None), "removed by somebody");
        assert!(known.is_of_others(&path("new"), Some(&item(4, false))));
        assert!(!known.is_of_others(&path("gone"), None), "removed by the installer");
        let before = catalog(&[("kept", 1), ("replaced", 9)], false);
        let known = Lists::new(before, known.left, Catalog::new());
        assert!(known.is_of_others(&path("kept"), None));
        assert!(!known.is_of_others(&path("replaced"), None), "it comes back in any case");
        // Interrupted: only what is proven was the installer's.
        let proven = lists(Left::Proven(BTreeSet::from([path("new")])));
        assert!(!proven.is_of_others(&path("new"), Some(&item(4, false))));
        assert!(proven.is_of_others(&path("other"), Some(&item(4, false))));
        assert!(!proven.is_of_others(&path("gone"), None), "it comes back");
        assert!(lists(Left::Nothing).is_of_others(&path("new"), Some(&item(4, false))));
    }

    #[test]
    fn a_directory_with_something_of_others_is_known() {
        let now = catalog(&[("k", 1), ("k/theirs", 2), ("kk", 3)], false);
        let left = |names: &[(&str, u8)]| Left::Listed(catalog(names, false));
        let path = escape::path("k").expect("a path");
        let lists = Lists::new(Catalog::new(), left(&[("k", 1)]), now.clone());
        assert!(lists.holds_of_others(&path));
        let lists = Lists::new(Catalog::new(), left(&[("k", 1), ("k/theirs", 2)]), now);
        assert!(!lists.holds_of_others(&path), "kk is not in it");
    }

    #[test]
    fn configurations_come_back_last() {
        let rank = |path: &str| super::rank(&escape::path(path).expect("a path"), &item(1, false));
        assert!(rank("grub/grub.cfg") > rank("vmlinuz"));
        assert!(rank("loader/entries/x.conf") > rank("grub/i386-pc/normal.mod"));
    }
}
