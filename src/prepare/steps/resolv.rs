//! A plain `/etc/resolv.conf` where it was a link into `/run`.
//!
//! Only when the keep-list keeps it: otherwise it goes to `/old-root` like the
//! rest of `etc`, and what it is does not matter to NixOS. A link that is kept
//! leads to nothing in the new system. Where systemd-resolved's stub is all that
//! the file names, its servers are taken from the file beside it: the stub is not
//! there afterwards.

use nix::errno::Errno;

use crate::engine::names::ETC;
use crate::error::Stop;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::fs::walk;
use crate::prepare::notes::Key;
use crate::prepare::site::Site;
use crate::prepare::step::{Look, Result, Step};
use crate::prepare::steps::marker;
use crate::prepare::{aside, durable};

/// Its name in the record.
pub(crate) const NAME: &str = "resolv-conf";
/// Whether it is replaced.
pub(crate) const REPLACED: Key<bool> = Key::new("resolv");
const FILE: Name = Name::literal("resolv.conf");
const MAX: usize = 1 << 20;
/// Where systemd-resolved lists the servers that it asks (systemd-resolved(8)).
const SERVERS: &[u8] = b"run/systemd/resolve/resolv.conf";

/// The step.
#[derive(Debug)]
pub(crate) struct Resolv;

/// What the link leads to, when it is one into `/run`.
fn linked(site: &Site) -> Result<Option<Vec<u8>>> {
    let etc = site.dir(&[ETC])?;
    let is_link = site.disk.stat(&etc, &FILE)?.is_some_and(|stat| stat.kind == Kind::Link);
    if !is_link {
        return Ok(None);
    }
    let path = [ETC, FILE];
    let Some(target) = walk::real(&site.disk, &site.root, &path)? else { return Ok(None) };
    if target.first().is_none_or(|first| first.as_bytes() != b"run") {
        return Ok(None);
    }
    durable::read(&site.disk, &site.root, &target, MAX)
}

/// What a plain file should say.
fn servers(site: &Site, content: Vec<u8>) -> Result<Vec<u8>> {
    let named: Vec<_> = content
        .split(|&b| b == b'\n')
        .filter_map(|line| line.strip_prefix(b"nameserver")?.trim_ascii().into())
        .collect();
    let stub = |server: &&[u8]| server.starts_with(b"127.") || **server == *b"::1";
    if named.is_empty() || !named.iter().all(stub) {
        return Ok(content);
    }
    let other = RelPath::parse(SERVERS).map(|p| p.names().to_vec()).unwrap_or_default();
    let other = durable::read(&site.disk, &site.root, &other, MAX)?;
    Ok(other.filter(|text| text.windows(10).any(|w| w == b"nameserver")).unwrap_or(content))
}

impl Step<Site> for Resolv {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "plain /etc/resolv.conf"
    }

    fn look(&self, site: &Site) -> Result<Look> {
        if !marker::keeps(site, &[ETC, FILE])? {
            return Ok(Look::Skip("it is not kept; NixOS makes its own".into()));
        }
        Ok(match linked(site)? {
            Some(_) => Look::Due("a copy instead of the link into /run".into()),
            None => Look::Skip("no link into /run".into()),
        })
    }

    fn record(&self, site: &mut Site) -> Result<()> {
        site.state.notes.set(&REPLACED, &true)
    }

    fn carry_out(&self, site: &mut Site) -> Result<()> {
        let Some(content) = linked(site)? else { return Ok(()) };
        let content = servers(site, content)?;
        let etc = site.dir(&[ETC])?;
        aside::replace(&site.disk, &etc, &FILE, &content).map_err(|stop| match stop {
            Stop::Op(e) if e.errno() == Errno::EPERM => Stop::wrong(
                e.to_string(),
                "A link would have been kept that leads to nothing in NixOS",
                "See whether it or /etc is immutable: lsattr -d /etc; clear that: chattr -ia",
            ),
            stop => stop,
        })
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        let etc = site.dir(&[ETC])?;
        aside::give_back(&site.disk, &etc, &FILE)?;
        site.disk.remove_file(&etc, &crate::prepare::durable::temporary(&FILE))?;
        site.disk.sync(&etc)?;
        site.state.notes.set(&REPLACED, &false)?;
        Ok(Vec::new())
    }
}
