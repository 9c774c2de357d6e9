//! Modes of kept SSH host keys. RHEL and others have 0640 and a group for them;
//! sshd elsewhere refuses a key that others may read, and nobody gets in
//! (nixos-infect#120).

use std::collections::BTreeMap;

use crate::engine::names::ETC;
use crate::fs::name::Name;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::prepare::durable::set_mode;
use crate::prepare::escape;
use crate::prepare::notes::{Key, Wrong};
use crate::prepare::site::Site;
use crate::prepare::step::{Look, Result, Step};
use crate::prepare::steps::marker;

/// Its name in the record.
pub(crate) const NAME: &str = "host-keys";
/// The modes that the keys had, by name.
pub(crate) const MODES: Key<BTreeMap<String, u32>> = Key::checked("keys", |keys| {
    let is_key = |name: &String| {
        name.starts_with("ssh_host_") && escape::path(name).is_some_and(|path| path.len() == 1)
    };
    let other = keys.keys().find(|name| !is_key(name))?;
    Some(Wrong::Never(format!("the host key '{other}'")))
});
const SSH: Name = Name::literal("ssh");
const GOOD: u32 = 0o600;

/// The step.
#[derive(Debug)]
pub(crate) struct Keys;

/// The keys that others may read, and their modes.
fn open_keys(site: &Site) -> Result<Vec<(Name, u32)>> {
    let Some(ssh) = site.disk.open(&site.root, &[ETC, SSH])? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for name in site.disk.list(&ssh)? {
        let bytes = name.as_bytes();
        if !bytes.starts_with(b"ssh_host_") || !bytes.ends_with(b"_key") {
            continue;
        }
        let Some(stat) = site.disk.stat(&ssh, &name)? else { continue };
        let kept = marker::keeps(site, &[ETC, SSH, name.clone()])?;
        if kept && stat.kind == Kind::File && stat.mode & 0o077 != 0 {
            found.push((name, stat.mode));
        }
    }
    Ok(found)
}

impl Step<Site> for Keys {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "modes of the SSH host keys"
    }

    fn look(&self, site: &Site) -> Result<Look> {
        let keys = open_keys(site)?;
        if keys.is_empty() {
            return Ok(Look::Skip("none that is kept can be read by others".into()));
        }
        let names: Vec<_> =
            keys.iter().map(|(name, mode)| format!("{name} ({mode:04o})")).collect();
        Ok(Look::Due(format!("0600 for {}", names.join(", "))))
    }

    fn record(&self, site: &mut Site) -> Result<()> {
        let mut modes = site.state.notes.get(&MODES)?;
        for (name, mode) in open_keys(site)? {
            modes.entry(escape::escape(name.as_bytes())).or_insert(mode);
        }
        site.state.notes.set(&MODES, &modes)
    }

    fn carry_out(&self, site: &mut Site) -> Result<()> {
        let ssh = site.dir(&[ETC, SSH])?;
        for (name, _) in open_keys(site)? {
            set_mode(&site.disk, &ssh, &name, GOOD)?;
        }
        Ok(site.disk.sync(&ssh)?)
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        let Some(ssh) = site.disk.open(&site.root, &[ETC, SSH])? else { return Ok(Vec::new()) };
        for (name, mode) in site.state.notes.get(&MODES)? {
            let Some(name) = escape::path(&name).and_then(|path| path.into_iter().next()) else {
                continue;
            };
            let now = site.disk.stat(&ssh, &name)?;
            if now.is_some_and(|stat| stat.kind == Kind::File && stat.mode == GOOD) {
                set_mode(&site.disk, &ssh, &name, mode)?;
            }
        }
        site.disk.sync(&ssh)?;
        site.state.notes.set(&MODES, &BTreeMap::new())?;
        Ok(Vec::new())
    }
}
