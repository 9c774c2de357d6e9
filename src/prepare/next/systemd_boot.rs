//! Which entry systemd-boot takes: what was said once (`LoaderEntryOneShot`) or for
//! good (`LoaderEntryDefault`) in the firmware's variables goes before `loader.conf`.

use super::super::proof::bases;
use super::super::site::Site;
use super::super::step::Result;
use super::super::wildcards::matches;
use super::super::{efi, escape};
use super::{Elsewhere, Fix};
use crate::bootloader::firmware::text;
use crate::fs::name::Name;
use crate::fs::tree::Tree;

/// Where it has its entries.
const FOLDERS: [&str; 2] = ["loader/entries", "EFI/Linux"];

/// The name that an entry has for it: without the tries that its file counts.
fn id(file: &str) -> String {
    let Some((stem, end)) = file.rsplit_once('.') else { return file.to_owned() };
    let is_counter = |tail: &str| {
        let mut numbers = tail.split('-');
        let all = numbers.clone().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        all && numbers.by_ref().count() <= 2
    };
    match stem.rsplit_once('+') {
        Some((name, tail)) if is_counter(tail) => format!("{name}.{end}"),
        _ => file.to_owned(),
    }
}

/// Whether a pattern chooses an entry.
fn chooses(pattern: &str, id: &str) -> bool {
    let (pattern, id) = (pattern.to_ascii_lowercase(), id.to_ascii_lowercase());
    let stem = id.trim_end_matches(".conf");
    [id.as_str(), stem].iter().any(|name| matches(pattern.as_bytes(), name.as_bytes()))
}

/// The entries that are there, by name.
fn entries(site: &Site) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for base in bases(site)? {
        for folder in FOLDERS {
            let path = [base.as_slice(), &escape::path(folder).unwrap_or_default()].concat();
            let Some(dir) = site.disk.open(&site.root, &path)? else { continue };
            let names = site.disk.list(&dir)?;
            found.extend(names.iter().map(|name| id(&String::from_utf8_lossy(name.as_bytes()))));
        }
    }
    Ok(found)
}

/// `default` of a `loader.conf`.
fn default_of(conf: &str) -> Option<&str> {
    let words = |line: &str| line.trim().starts_with("default");
    let line = conf.lines().rev().find(|line| words(line))?;
    line.trim().strip_prefix("default")?.split_whitespace().next()
}

/// Why it takes another entry than the one that was found.
pub(super) fn elsewhere(site: &Site, found: &str) -> Result<Option<Elsewhere>> {
    if !FOLDERS.iter().any(|folder| found.contains(&format!("/{folder}/"))) {
        return Ok(None);
    }
    let ours = id(found.rsplit('/').next().unwrap_or(found));
    let there = entries(site)?;
    let variable = |name: &str| -> Result<Option<String>> {
        let value = efi::variable(&site.disk, &site.root, name)?;
        Ok(value.map(|value| text(&value)).filter(|value| !value.is_empty()))
    };
    // What chooses nothing is passed over; of those that it makes itself nothing is known.
    let is_there =
        |pattern: &str| pattern.starts_with("auto-") || there.iter().any(|id| chooses(pattern, id));
    let clears = [("LoaderEntryOneShot", "set-oneshot"), ("LoaderEntryDefault", "set-default")];
    for (name, verb) in clears {
        let Some(pattern) = variable(name)? else { continue };
        let pattern = match pattern.as_str() {
            "@saved" => variable("LoaderEntryLastBooted")?,
            "@current" => variable("LoaderEntrySelected")?,
            _ => Some(pattern),
        };
        let Some(pattern) = pattern.filter(|pattern| is_there(pattern)) else { continue };
        if chooses(&pattern, &ours) {
            return Ok(None);
        }
        return Ok(Some(Elsewhere {
            found: format!(
                "systemd-boot takes the entry '{pattern}' ({name}), and NixOS is {ours}"
            ),
            fix: Fix::Command(format!("bootctl {verb} \"\"")),
        }));
    }
    for base in bases(site)? {
        let path = [base.as_slice(), &[Name::literal("loader")]].concat();
        let Some(dir) = site.disk.open(&site.root, &path)? else { continue };
        let Some(conf) = site.disk.read(&dir, &Name::literal("loader.conf"), 1 << 20)? else {
            continue;
        };
        let conf = String::from_utf8_lossy(&conf).into_owned();
        let Some(pattern) = default_of(&conf).filter(|pattern| is_there(pattern)) else { continue };
        if !chooses(pattern, &ours) {
            let shown = escape::of_path(&path);
            return Ok(Some(Elsewhere {
                found: format!(
                    "/{shown}/loader.conf has '{pattern}' as default, and NixOS is {ours}"
                ),
                fix: Fix::Command(format!("bootctl set-default {ours}")),
            }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_chosen_by_its_name_without_the_tries() {
        for (file, name) in [
            ("nixos-generation-1.conf", "nixos-generation-1.conf"),
            ("nixos-generation-1+3.conf", "nixos-generation-1.conf"),
            ("nixos-generation-1+2-1.conf", "nixos-generation-1.conf"),
            ("arch+x.conf", "arch+x.conf"),
        ] {
            assert_eq!(id(file), name);
        }
        assert!(chooses("nixos-*", "nixos-generation-1.conf"));
        assert!(chooses("nixos-generation-1", "nixos-generation-1.conf"));
        assert!(!chooses("arch.conf", "nixos-generation-1.conf"));
    }

    #[test]
    fn the_last_default_of_a_loader_conf_counts() {
        assert_eq!(default_of("timeout 5\ndefault a.conf\n default  b.conf \n"), Some("b.conf"));
        assert_eq!(default_of("#default a.conf\n"), None);
    }
}
