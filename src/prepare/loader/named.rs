//! Which boot files name a NixOS, whichever: as long as one does, the marker has
//! to stay (P1), and nothing that it boots may go.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Stop;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::prepare::catalog::{Item, Path};
use crate::prepare::files::{From, Hash, hash};
use crate::prepare::follow::{follow, parent};
use crate::prepare::places::{Place, places};
use crate::prepare::restore;
use crate::prepare::saving::{How, Note, read};
use crate::prepare::site::Site;
use crate::prepare::step::{Ledger, Result};
use crate::prepare::steps;
use crate::prepare::text;

/// A configuration is seldom larger; an image with one in it has a name for that.
const SMALL: u64 = 1 << 20;
/// No unified kernel image is larger.
const MAX: usize = 1 << 30;
const STORE: &[u8] = b"/nix/store/";
const SYSTEM: &[u8] = b"-nixos-system-";

/// The systems in a store that a text, or an image, names as what to boot.
#[must_use]
pub fn systems(content: &[u8]) -> BTreeSet<String> {
    let is_of_name = |b: &u8| b.is_ascii_alphanumeric() || b"+-._?=".contains(b);
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(next) = content.get(at..).and_then(|rest| find(rest, STORE)) {
        let start = at + next + STORE.len();
        let rest = content.get(start..).unwrap_or_default();
        let length = rest.iter().take_while(|b| is_of_name(b)).count();
        let name = rest.get(..length).unwrap_or_default();
        let before = content.get(..at + next).unwrap_or_default();
        if !name.is_empty() && (before.ends_with(b"init=") || find(name, SYSTEM).is_some()) {
            found.insert(String::from_utf8_lossy(name).into_owned());
        }
        at = start;
    }
    found
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = 0;
    loop {
        at += text.get(at..)?.iter().position(|&b| b == first)?;
        if text.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

fn may_name(path: &[Name], item: &Item) -> bool {
    let name = path.last().map(|name| name.as_bytes().to_ascii_lowercase()).unwrap_or_default();
    let speaks = [&b".cfg"[..], b".conf", b".efi"].iter().any(|end| name.ends_with(end));
    item.kind == Kind::File && (item.size <= SMALL || speaks)
}

fn content(site: &Site, place: &Place, path: &[Name]) -> Result<Vec<u8>> {
    let path = [std::slice::from_ref(&place.name), path].concat();
    let Some((dir, name)) = parent(&site.disk, &site.root, &path)? else { return Ok(Vec::new()) };
    Ok(site.disk.read(&dir, &name, MAX)?.unwrap_or_default())
}

/// What of a place names a system, and which.
fn of_place(site: &Site, place: &Place) -> Result<Vec<(Path, Item, BTreeSet<String>)>> {
    let mut found = Vec::new();
    for (path, item) in read(site, place, From::Nowhere)? {
        if may_name(&path, &item) {
            let systems = systems(&content(site, place, &path)?);
            if !systems.is_empty() {
                found.push((path, item, systems));
            }
        }
    }
    Ok(found)
}

/// Every system that a boot file names.
///
/// # Errors
/// Any failure of a system call.
pub fn all(site: &Site) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for place in places(&site.disk, &site.root, &site.mounts)? {
        found.extend(of_place(site, &place)?.into_iter().flat_map(|(_, _, systems)| systems));
    }
    Ok(found)
}

/// Notes, before anything is changed, which systems are named already: those of
/// other disks, which the old system's configuration offers.
///
/// # Errors
/// Any failure of a system call.
pub fn note_others(site: &mut Site) -> Result<()> {
    if site.state.notes.named.is_none() {
        site.state.notes.named = Some(all(site)?);
    }
    Ok(())
}

/// Whether a text names a system that the old one did not.
#[must_use]
pub fn names_ours(site: &Site, text: &[u8]) -> bool {
    let known = site.state.notes.named.as_ref();
    systems(text).iter().any(|system| known.is_none_or(|known| !known.contains(system)))
}

/// Why the marker has to stay: a configuration names NixOS, and will when the
/// boot files are put back. `None` when nothing does.
///
/// # Errors
/// Any failure of a system call.
pub fn remains(site: &Site) -> Result<Option<Stop>> {
    let known = site.state.notes.named.clone().unwrap_or_default();
    for place in places(&site.disk, &site.root, &site.mounts)? {
        let note = site.state.notes.saved.get(&place.name.to_string());
        let note = note.filter(|_| site.mark(steps::loader::NAME).is_some());
        let named = of_place(site, &place)?;
        let named = named.into_iter().filter(|(_, _, systems)| !systems.is_subset(&known));
        for (path, mut item, systems) in named {
            if let Some(note) = note {
                item.hash = Some(hashed(site, &place, &path)?);
                if goes(site, &place, note, &path, &item)? {
                    continue;
                }
            }
            let system = systems.difference(&known).next().cloned().unwrap_or_default();
            return Ok(Some(said(site, &place, note, &path, &system)?));
        }
    }
    Ok(None)
}

fn hashed(site: &Site, place: &Place, path: &[Name]) -> Result<Hash> {
    let path = [std::slice::from_ref(&place.name), path].concat();
    let (name, parents) = path.split_last().unwrap_or((&place.name, &[]));
    hash(&site.disk, &site.dir(parents)?, name, From::Cache, &site.watch)
}

/// Whether a file leaves, or is replaced, when its place is put back.
fn goes(site: &Site, place: &Place, note: &Note, path: &[Name], item: &Item) -> Result<bool> {
    if note.how == How::Move
        && let Some((entry, inode)) = note
            .moved
            .iter()
            .find(|(entry, _)| text::path(entry).is_some_and(|entry| path.starts_with(&entry)))
        && let Some(saved) = note.saved(site)?
        && let Some(name) = text::path(entry).and_then(|path| path.into_iter().next())
        && site.disk.stat(&saved, &name)?.is_some_and(|stat| stat.inode == *inode)
    {
        return Ok(true); // it changes places with the old one
    }
    let now = BTreeMap::from([(path.to_vec(), item.clone())]);
    let lists = restore::lists(site, place, note, now)?;
    let is_old = lists.before.get(path).is_some_and(|old| old.same_content(item));
    Ok(!is_old && !lists.is_of_others(path, Some(item)))
}

fn said(
    site: &Site,
    place: &Place,
    note: Option<&Note>,
    path: &[Name],
    system: &str,
) -> Result<Stop> {
    let dir = site.dir(std::slice::from_ref(&place.name))?;
    let (shown, system) = (site.show_below(&dir, path), format!("/nix/store/{system}"));
    let saved = note.map(|note| note.saved(site)).transpose()?.flatten();
    let was_there = match &saved {
        Some(saved) => parent(&site.disk, saved, path)?
            .map_or(Ok(None), |(dir, name)| site.disk.stat(&dir, &name))?
            .is_some(),
        None => false,
    };
    let anew = "Write the old boot loader's configuration anew, for example with update-grub";
    let mend = match saved {
        Some(saved) if was_there => {
            let saved = site.show_below(&saved, path);
            format!("{anew}, or take the one that was saved (cp -p {saved} {shown})")
        }
        _ if note.is_some() => {
            format!("If NixOS is not to be booted by it, remove it (rm {shown})")
        }
        _ => anew.to_owned(),
    };
    Ok(Stop::changed(format!(
        "{shown} still names NixOS, so that the marker has to stay. Somebody else has changed \
         it since, and all that it may need stays too: it boots {system}. {mend}, then try again"
    )))
}

/// What is NixOS's whoever wrote it.
#[derive(Debug)]
pub struct Judge<'a> {
    site: &'a Site,
    /// The kernels and initrds of the systems in the store, once they are wanted.
    parts: std::cell::OnceCell<BTreeSet<Hash>>,
}

impl<'a> Judge<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(site: &'a Site) -> Self {
        Self { site, parts: std::cell::OnceCell::new() }
    }

    /// Whether a file is provably NixOS's: by its name, which begins with a hash of
    /// the store; by its text; or because a system in the store has it.
    ///
    /// # Errors
    /// Any failure of a system call.
    pub fn is_of_nixos(&self, place: &Place, path: &[Name], item: &Item) -> Result<bool> {
        if item.kind != Kind::File {
            return Ok(false);
        }
        if path.last().is_some_and(|name| is_of_store(name.as_bytes())) {
            return Ok(true);
        }
        if may_name(path, item) {
            let text = content(self.site, place, path)?;
            let default = b"nixos-generation-";
            let lists = item.size <= SMALL && find(&text, default).is_some();
            if lists || names_ours(self.site, &text) {
                return Ok(true);
            }
        }
        Ok(match item.hash {
            Some(hash) => self.parts()?.contains(&hash),
            None => false,
        })
    }

    fn parts(&self) -> Result<&BTreeSet<Hash>> {
        if let Some(parts) = self.parts.get() {
            return Ok(parts);
        }
        let (site, store) = (self.site, text::path("nix/store").unwrap_or_default());
        let mut files = BTreeSet::new();
        if let Some(dir) = site.disk.open(&site.root, &store)? {
            let known = text::path(&site.state.system).unwrap_or_default();
            let names = site.disk.list(&dir)?.into_iter();
            let names =
                names.filter(|n| find(n.as_bytes(), SYSTEM).is_some() || known.last() == Some(n));
            for name in names {
                for part in ["kernel", "initrd"] {
                    let part = Name::literal(part);
                    let path = [store.as_slice(), &[name.clone(), part]].concat();
                    files.extend(follow(&site.disk, &site.root, &path)?);
                }
            }
        }
        let mut parts = BTreeSet::new();
        for path in files {
            let Some((dir, name)) = parent(&site.disk, &site.root, &path)? else { continue };
            if site.disk.stat(&dir, &name)?.is_some_and(|stat| stat.kind == Kind::File) {
                parts.insert(hash(&site.disk, &dir, &name, From::Cache, &site.watch)?);
            }
        }
        Ok(self.parts.get_or_init(|| parts))
    }
}

/// Whether a name begins as those in the store do: 32 digits and a hyphen.
fn is_of_store(name: &[u8]) -> bool {
    let is_digit = |b: &u8| b"0123456789abcdfghijklmnpqrsvwxyz".contains(b);
    name.get(..32).is_some_and(|digits| digits.iter().all(is_digit)) && name.get(32) == Some(&b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_system_of_any_store_is_seen() {
        let named = |text: &str| systems(text.as_bytes()).into_iter().collect::<Vec<_>>();
        assert_eq!(named("linux /k init=/nix/store/abc-custom/init quiet"), ["abc-custom"]);
        assert_eq!(
            named("x\0/nix/store/abc-nixos-system-m-26.05/init\0"),
            ["abc-nixos-system-m-26.05"]
        );
        assert_eq!(named("font /nix/store/abc-dejavu/x.ttf /nix/store/"), [""; 0]);
        assert_eq!(named("init=/nix/store/a/init init=/nix/store/b/init"), ["a", "b"]);
        assert_eq!(named("/sbin/init"), [""; 0]);
    }

    #[test]
    fn a_name_of_the_store_has_its_hash() {
        assert!(is_of_store(b"0123456789abcdfghijklmnpqrsvwxyz-linux-6.12-bzImage"));
        assert!(!is_of_store(b"0123456789abcdef0123456789abcdef-6.1.conf"), "a machine id");
        assert!(!is_of_store(b"vmlinuz-6.1"));
    }
}
