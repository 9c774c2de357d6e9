//! What is known of the last run of the boot loader's installer: when it began,
//! whether it has ended, and, as lists beside this record, what it left.
//!
//! It is written by the process that waits for the installer (`installer.rs`),
//! which also touches it each second while the installer runs. So if that process
//! is killed or the power fails, it is known until when at least it ran: what is
//! older is its work, what is newer may be anybody's.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};

use super::boot_code;
use super::catalog::{self, Item};
use super::durable::{From, damaged, failed, not_json, open, put};
use super::places::Kept;
use super::saving::list_name;
use super::site::Site;
use super::step::{Ledger, Result};
use crate::engine::environment::boot_id;
use crate::fs::name::Name;
use crate::fs::tree::Tree;

/// The step that runs it, by its name in the state file.
pub(crate) const STEP: &str = "boot-loader";

/// The record, in the state directory.
pub(crate) const RECORD: Name = Name::literal("installer.json");

const MAX: usize = 1 << 20;

/// The kernel takes the times of files from a clock that lags by a tick.
const LAG: u32 = 20_000_000;
/// vfat counts in steps of two seconds.
const VFAT: i64 = 2;
/// After a power cut: how long the record may not have been touched any more.
const CUT: i64 = 5;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Record {
    /// Seconds and nanoseconds.
    began: (i64, u32),
    /// Of this boot; another one has ended with all its processes.
    boot: String,
    /// How it ended, once it has and its files are listed.
    ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    /// How it failed.
    trouble: Option<String>,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// It has not begun.
    NotRun,
    /// It began; when it ended nobody has seen.
    Unfinished {
        /// It began after this.
        from: (i64, u32),
        /// And ran at least until then.
        until: (i64, u32),
    },
    /// It ended, and what it left is listed; how it failed.
    Ended(Option<String>),
}

impl Known {
    /// Whether a file was written while it ran, as far as that is known.
    #[must_use]
    pub(crate) fn covers(&self, item: &Item) -> bool {
        let Self::Unfinished { from, until } = self else { return false };
        let slack = if item.vfat { VFAT } else { 0 };
        (from.0 - slack, from.1) <= item.modified && item.modified <= *until
    }
}

/// Reads what is known.
///
/// # Errors
/// When the record cannot be read or understood.
pub(crate) fn known(site: &Site) -> Result<Known> {
    let Some(home) = site.home.as_ref() else { return Ok(Known::NotRun) };
    let Some(record) = read(site)? else { return Ok(Known::NotRun) };
    if let Some(ended) = record.ended {
        return Ok(Known::Ended(ended.trouble));
    }
    let touched = site.disk.stat(home, &RECORD)?.map_or(record.began, |stat| stat.modified);
    let slack = if record.boot == boot_id() { 0 } else { CUT };
    let until = (touched.0 + slack, touched.1);
    Ok(Known::Unfinished { from: record.began, until })
}

fn read(site: &Site) -> Result<Option<Record>> {
    let home = site.home()?;
    let Some(text) = site.disk.read(home, &RECORD, MAX)? else { return Ok(None) };
    let read = serde_json::from_slice(&text);
    read.map(Some).map_err(|_| damaged(&site.disk, home, &RECORD))
}

fn write(site: &Site, record: &Record) -> Result<()> {
    let text = serde_json::to_string(record).map_err(|error| not_json(&error))?;
    put(&site.disk, site.home()?, &RECORD, text.as_bytes())
}

/// Whether the step that runs it has begun: there is no way but on or back.
#[must_use]
pub(crate) fn has_begun(site: &Site) -> bool {
    site.mark(STEP).is_some()
}

/// Notes that the boot loader is changed from here on.
pub(crate) fn begins(site: &Site) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let began = match now.subsec_nanos().checked_sub(LAG) {
        Some(nanoseconds) => (seconds, nanoseconds),
        None => (seconds - 1, 999_999_999),
    };
    write(site, &Record { began, boot: boot_id(), ended: None })
}

/// Notes that it still runs.
pub(crate) fn goes_on(site: &Site) -> Result<()> {
    let home = site.home()?;
    let file = open(&site.disk, home, &RECORD)?;
    let now = TimeSpec::UTIME_NOW;
    let touched = futimens(&file, &now, &now).and_then(|()| nix::unistd::fsync(&file));
    touched.map_err(failed(&site.disk, "write", home, Some(&RECORD)))
}

/// Lists what it left, and then notes that it has ended.
pub(crate) fn has_ended(site: &Site, trouble: Option<String>) -> Result<()> {
    for place in site.places()? {
        if place.kept == Kept::Missing {
            continue;
        }
        let dir = site.dir(place.path.names())?;
        let skip = (place.kept == Kept::Mount).then_some(&place.saved);
        let after = catalog::read(&site.disk, &dir, skip, From::Cache, &site.watch)?;
        catalog::write(&site.disk, site.home()?, &list_name(&place, "after"), &after)?;
    }
    boot_code::has_ended(site)?;
    let mut record = read(site)?.unwrap_or(Record { began: (0, 0), boot: boot_id(), ended: None });
    record.ended = Some(Ended { trouble });
    write(site, &record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::sys::Kind;

    #[test]
    fn what_was_written_while_it_ran_is_its_work() {
        let item = |modified, vfat| Item {
            kind: Kind::File,
            mode: 0o644,
            owner: (0, 0),
            modified,
            hash: None,
            target: None,
            inode: 1,
            size: 1,
            vfat,
        };
        let known = Known::Unfinished { from: (100, 5), until: (110, 0) };
        for (time, vfat, its) in [
            ((100, 4), false, false),
            ((100, 5), false, true),
            ((98, 6), true, true),
            ((98, 4), true, false),
            ((110, 0), false, true),
            ((110, 1), false, false),
        ] {
            assert_eq!(known.covers(&item(time, vfat)), its, "{time:?}");
        }
        assert!(!Known::NotRun.covers(&item((105, 0), false)));
        assert!(!Known::Ended(None).covers(&item((105, 0), false)));
    }
}
