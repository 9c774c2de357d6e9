//! `/etc/NIXOS` and `/etc/NIXOS_LUSTRATE`, with the keep-list. The old
//! distribution ignores both, so that the boot loader's switch is the commit (P1).
//! A marker that was there keeps its lines; itself it is put aside, by a hard
//! link, and comes back.

use serde::{Deserialize, Serialize};

use crate::engine::exchange::MAX_MARKER;
use crate::engine::keeplist;
use crate::engine::names::{ETC, MARKER, NIXOS};
use crate::error::Stop;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::prepare::aside;
use crate::prepare::durable::{put, temporary};
use crate::prepare::named;
use crate::prepare::notes::Key;
use crate::prepare::site::Site;
use crate::prepare::step::{Look, Result, Step};

/// Its name in the record.
pub(crate) const NAME: &str = "marker";
/// What was there before; none until that is known.
pub(crate) const BEFORE: Key<Option<MarkerNote>> = Key::new("marker");

/// What was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct MarkerNote {
    /// There was an `/etc/NIXOS`.
    pub nixos: bool,
    /// There was a marker.
    pub marker: bool,
}

/// The step.
#[derive(Debug)]
pub(crate) struct Marker;

fn parsed(content: &[u8], shown: &str) -> Result<Vec<RelPath>> {
    keeplist::parse(content).map_err(|bad| {
        Stop::wrong(
            bad.to_string(),
            "What it should have kept would have moved to /old-root",
            format!("Correct {shown}"),
        )
    })
}

/// The lines that the marker lacks; `None` when there is no marker at all.
fn lacking(site: &Site) -> Result<Option<(Vec<u8>, Vec<RelPath>)>> {
    let etc = site.dir(&[ETC])?;
    let Some(stat) = site.disk.stat(&etc, &MARKER)? else { return Ok(None) };
    let shown = site.disk.show(&etc, Some(&MARKER));
    if stat.kind != Kind::File {
        return Err(Stop::wrong(
            format!("{shown} is not a regular file"),
            "Its keep-list cannot be read, and everything in it would be gone",
            format!("Replace it by a file that lists what to keep: rm {shown}; touch {shown}"),
        ));
    }
    let content = site.disk.read(&etc, &MARKER, MAX_MARKER)?.unwrap_or_default();
    let listed = parsed(&content, &shown)?;
    let lacks = |path: &&RelPath| !listed.iter().any(|listed| listed.covers(path));
    let lacking = site.wish.keep.iter().filter(lacks).cloned().collect();
    Ok(Some((content, lacking)))
}

/// The marker that is wanted.
fn wanted(site: &Site) -> Result<Vec<u8>> {
    let (mut text, lines) = match lacking(site)? {
        Some(found) => found,
        None => (Vec::new(), site.wish.keep.clone()),
    };
    if text.last().is_some_and(|&last| last != b'\n') {
        text.push(b'\n');
    }
    for line in lines {
        text.extend(line.to_bytes());
        text.push(b'\n');
    }
    Ok(text)
}

impl Step<Site> for Marker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "marker files /etc/NIXOS and /etc/NIXOS_LUSTRATE"
    }

    fn look(&self, site: &Site) -> Result<Look> {
        let etc = site.dir(&[ETC])?;
        let nixos = site.disk.stat(&etc, &NIXOS)?.is_some();
        Ok(match lacking(site)? {
            Some((_, lines)) if nixos && lines.is_empty() => Look::Skip("both are there".into()),
            Some((_, lines)) if lines.is_empty() => Look::Due("make /etc/NIXOS".into()),
            Some((_, lines)) => Look::Due(format!("add to the keep-list: {}", shown(&lines))),
            None if site.wish.keep.is_empty() => Look::Due("write them; nothing is kept".into()),
            None => Look::Due(format!("write them; kept: {}", shown(&site.wish.keep))),
        })
    }

    fn record(&self, site: &mut Site) -> Result<()> {
        named::note_others(site)?;
        if site.state.notes.get(&BEFORE)?.is_none() {
            let etc = site.dir(&[ETC])?;
            let there = |name| site.disk.stat(&etc, name).map(|stat| stat.is_some());
            let note = MarkerNote { nixos: there(&NIXOS)?, marker: there(&MARKER)? };
            site.state.notes.set(&BEFORE, &Some(note))?;
        }
        Ok(())
    }

    fn carry_out(&self, site: &mut Site) -> Result<()> {
        let etc = site.dir(&[ETC])?;
        let note = site.state.notes.get(&BEFORE)?.unwrap_or_default();
        // First the list: an /etc/NIXOS alone asks for nothing.
        let content = wanted(site)?;
        if note.marker {
            aside::replace(&site.disk, &etc, &MARKER, &content)?;
        } else {
            put(&site.disk, &etc, &MARKER, &content)?;
        }
        if site.disk.stat(&etc, &NIXOS)?.is_none() {
            put(&site.disk, &etc, &NIXOS, b"")?;
        }
        Ok(site.disk.sync(&etc)?)
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        named::may_leave(site)?;
        let etc = site.dir(&[ETC])?;
        let note = site.state.notes.get(&BEFORE)?.unwrap_or_default();
        // After a revert the engine keeps the marker; what is not there need not go.
        if note.marker {
            aside::give_back(&site.disk, &etc, &MARKER)?;
        } else {
            site.disk.remove_file(&etc, &MARKER)?;
        }
        if !note.nixos {
            site.disk.remove_file(&etc, &NIXOS)?;
        }
        for name in [&MARKER, &NIXOS] {
            site.disk.remove_file(&etc, &temporary(name))?;
        }
        site.disk.sync(&etc)?;
        site.state.notes.set(&BEFORE, &None)?;
        Ok(Vec::new())
    }
}

fn shown(lines: &[RelPath]) -> String {
    lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What is in the marker or will be: what the lustration is going to keep.
///
/// # Errors
/// When the marker cannot be read.
pub(crate) fn kept(site: &Site) -> Result<Vec<RelPath>> {
    let shown = format!("{}/{ETC}/{MARKER}", site.base());
    parsed(&wanted(site)?, &shown)
}

/// Whether a path is going to be kept.
///
/// # Errors
/// When the marker cannot be read.
pub(crate) fn keeps(site: &Site, path: &[Name]) -> Result<bool> {
    let kept = kept(site)?;
    Ok(RelPath::new(path.to_vec()).is_some_and(|path| kept.iter().any(|k| k.covers(&path))))
}
