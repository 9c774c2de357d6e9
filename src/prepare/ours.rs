//! What of the boot files is NixOS's, whoever wrote it: by its name, its text, or
//! because a system in the store has it.

use std::collections::BTreeSet;

use super::catalog::{Item, Path};
use super::durable::{From, Hash, hash, parent};
use super::escape;
use super::notes::Key;
use super::places::Place;
use super::saving::read;
use super::site::Site;
use super::step::Result;
use crate::bootloader::{configurations, nixos};
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::fs::walk;

/// A configuration is seldom larger; an image with one in it has a name for that.
const SMALL: u64 = 1 << 20;
/// No unified kernel image is larger.
const MAX: usize = 1 << 30;

/// The systems in a store that were named as what to boot before anything was
/// changed; none until that is known.
pub(crate) const NAMED: Key<Option<BTreeSet<String>>> = Key::new("named");

fn may_name(path: &[Name], item: &Item) -> bool {
    let name = path.last().map(Name::as_bytes).unwrap_or_default();
    let speaks = configurations::is_text(name) || configurations::is_image(name);
    item.kind == Kind::File && (item.size <= SMALL || speaks)
}

fn content(site: &Site, place: &Place, path: &[Name]) -> Result<Vec<u8>> {
    let path = place.below(path);
    let Some((dir, name)) = parent(&site.disk, &site.root, &path)? else { return Ok(Vec::new()) };
    Ok(site.disk.read(&dir, &name, MAX)?.unwrap_or_default())
}

/// What of a place names a system, and which.
pub(super) fn of_place(site: &Site, place: &Place) -> Result<Vec<(Path, Item, BTreeSet<String>)>> {
    let mut found = Vec::new();
    for (path, item) in read(site, place, From::Nowhere)? {
        if may_name(&path, &item) {
            let systems = nixos::systems(&content(site, place, &path)?);
            if !systems.is_empty() {
                found.push((path, item, systems));
            }
        }
    }
    Ok(found)
}

/// Whether a text names a system that the old one did not.
fn names_ours(site: &Site, text: &[u8]) -> Result<bool> {
    let known = site.state.notes.get(&NAMED)?;
    let is_known = |system: &String| known.as_ref().is_some_and(|known| known.contains(system));
    Ok(!nixos::systems(text).iter().all(is_known))
}

/// What is NixOS's whoever wrote it.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    site: &'a Site,
    /// The kernels and initrds of the systems in the store, once they are wanted.
    parts: std::cell::OnceCell<BTreeSet<Hash>>,
}

impl<'a> Judge<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub(crate) fn new(site: &'a Site) -> Self {
        Self { site, parts: std::cell::OnceCell::new() }
    }

    /// Whether a file is provably NixOS's: by its name, which begins with a hash of
    /// the store; by its text; or because a system in the store has it.
    pub(crate) fn is_of_nixos(&self, place: &Place, path: &[Name], item: &Item) -> Result<bool> {
        if item.kind != Kind::File {
            return Ok(false);
        }
        if path.last().is_some_and(|name| nixos::is_of_store(name.as_bytes())) {
            return Ok(true);
        }
        if may_name(path, item) {
            let text = content(self.site, place, path)?;
            let lists = item.size <= SMALL && nixos::lists_generations(&text);
            if lists || names_ours(self.site, &text)? {
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
        let (site, store) = (self.site, escape::path("nix/store").unwrap_or_default());
        let mut files = BTreeSet::new();
        if let Some(dir) = site.disk.open(&site.root, &store)? {
            let known = escape::path(&site.state.system).unwrap_or_default();
            let names = site.disk.list(&dir)?.into_iter();
            let names = names.filter(|n| nixos::is_system(n.as_bytes()) || known.last() == Some(n));
            for name in names {
                for part in ["kernel", "initrd"] {
                    let part = Name::literal(part);
                    let path = [store.as_slice(), &[name.clone(), part]].concat();
                    files.extend(walk::real(&site.disk, &site.root, &path)?);
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
