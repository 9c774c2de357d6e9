//! Room for the new kernel and initrd where the boot loader puts them.

use std::path::PathBuf;

use nix::sys::statvfs::statvfs;

use super::{Finding, Machine};
use crate::machine::boot::{Boot, BootKind};
use crate::machine::files::{Result, show};
use crate::machine::mounts::Mounts;
use crate::system::facts::{BootLoader, LoaderName};

const ID: &str = "boot-room";

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    if let (Some(boot), Some(loader)) = (&machine.boot, machine.loader()) {
        findings.extend(room(machine, boot, loader));
    }
}

/// Room for the new kernel and initrd, in bytes.
fn room(machine: &Machine<'_>, boot: &Boot, loader: &BootLoader) -> Option<Finding> {
    let closure = machine.closure.as_ref()?;
    let size = |path: &Option<PathBuf>| -> Result<u64> {
        let Some(path) = path else { return Ok(0) };
        Ok(machine.files.metadata(path)?.map_or(0, |m| m.len()))
    };
    let need = size(&closure.kernel).and_then(|kernel| Ok(kernel + size(&closure.initrd)?));
    let need = match need {
        Ok(need) => need,
        Err(error) => return Some(Finding::unread(ID, &error)),
    };
    // Kernels stay in the store when GRUB can read them there.
    let copies = loader.grub.as_ref().is_some_and(|grub| grub.copy_kernels == Some(true));
    if loader.kind == Some(LoaderName::Grub) && boot.kind == BootKind::Directory && !copies {
        return None;
    }
    let place = PathBuf::from(loader.writes.iter().find(|place| *place != "/sbin/init")?);
    let place = match machine.files.exists(&place) {
        Ok(true) => place,
        Ok(false) => PathBuf::from("/"),
        Err(error) => return Some(Finding::unread(ID, &error)),
    };
    let free = statvfs(&machine.files.outside(&place));
    let mounts = machine.mounts.iter().flat_map(Mounts::iter);
    let points = mounts.map(|mount| &mount.point).filter(|point| place.starts_with(point));
    let point = points.max_by_key(|point| point.components().count());
    let freed = machine.frees.iter().filter(|(at, _)| Some(at) == point);
    let freed = freed.map(|(_, bytes)| bytes).sum();
    Some(match free {
        Ok(free) => {
            let free = free.blocks_available() * free.fragment_size();
            judge_room(&show(&place), need, free, freed)
        }
        Err(errno) => {
            let error = crate::error::OpError::new("look at", machine.files.show(&place), errno);
            Finding::unread(ID, &error)
        }
    })
}

/// With `freed` by --clear-esp.
fn judge_room(place: &str, need: u64, free: u64, freed: u64) -> Finding {
    let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    let mut found =
        format!("kernel and initrd have {}, and {} are free on {place}", mib(need), mib(free));
    if freed > 0 {
        found = format!("{found}, with {} that --clear-esp frees", mib(freed));
    }
    let free = free + freed;
    // Each file is written beside the one that it replaces; another generation
    // comes with the first rebuild.
    if free < need + (1 << 20) {
        let fix = format!(
            "Make room: remove old kernels with the old system's package manager; \
             du -a {place} | sort -n | tail"
        );
        return Finding::blocker(
            ID,
            found,
            "The boot loader's installation would fail half-way",
            fix,
        );
    }
    if free < 2 * need + (1 << 20) {
        return Finding::warning(
            ID,
            found,
            "This generation fits, and the next one does not",
            "Make room, and set boot.loader.systemd-boot.configurationLimit or \
             boot.loader.grub.configurationLimit to a small number",
        );
    }
    Finding::ok(ID, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    #[test]
    fn room_is_needed_twice() {
        let mib = |n: u64| n << 20;
        assert_eq!(judge_room("/boot", mib(50), mib(30), 0).level, Level::Blocker);
        assert_eq!(judge_room("/boot", mib(50), mib(60), 0).level, Level::Warning);
        assert_eq!(judge_room("/boot", mib(50), mib(30), mib(30)).level, Level::Warning);
        let ok = judge_room("/boot", mib(50), mib(20), mib(90));
        assert!(ok.found.ends_with("20 MiB are free on /boot, with 90 MiB that --clear-esp frees"));
        let ok = judge_room("/boot", mib(50), mib(200), 0);
        assert_eq!(ok.level, Level::Ok);
        assert_eq!(ok.found, "kernel and initrd have 50 MiB, and 200 MiB are free on /boot");
    }
}
