//! What lies between a mounted file system and the disks: by the links of
//! `/sys/class/block` (Documentation/ABI/stable/sysfs-block).

use std::path::Path;

use crate::machine::devices::Devices;
use crate::machine::files::{Result, show};
use crate::machine::mounts::Mounted;

/// A layer that stage 1 has to put together before it can mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// LVM.
    Lvm,
    /// LUKS, or plain dm-crypt.
    Luks,
    /// Software RAID (md).
    Raid,
    /// RAID by the firmware, put together by device mapper.
    FirmwareRaid,
    /// Several ways to one disk.
    Multipath,
    /// A disk of a server.
    Iscsi,
    /// bcache.
    Bcache,
    /// ZFS.
    Zfs,
    /// bcachefs.
    Bcachefs,
    /// A device of device mapper of another kind.
    Mapper,
    /// A network block device.
    Nbd,
}

/// What is below a file system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stack {
    /// The layers, each once.
    pub layers: Vec<Layer>,
    /// The kernel modules of the disks and of what they are connected to.
    pub drivers: Vec<String>,
    /// The disks at the bottom, and whether one is used as a whole, without a
    /// partition table.
    pub disks: Vec<(String, bool)>,
    /// The devices that hold an encrypted one which is opened.
    pub encrypted: Vec<String>,
    /// Whether `/sys` has the device at all.
    pub known: bool,
}

impl Stack {
    /// Reads it.
    pub(crate) fn below(devices: &Devices, mount: &Mounted) -> Result<Self> {
        let mut stack = Self::default();
        match mount.fs_type.as_str() {
            "zfs" => stack.layers.push(Layer::Zfs),
            "bcachefs" => stack.layers.push(Layer::Bcachefs),
            _ => {}
        }
        let mut todo = devices.under(mount)?;
        // bcachefs names all its devices, with colons between.
        for source in mount.source.split(':').filter(|_| mount.fs_type == "bcachefs") {
            if let crate::machine::devices::Target::Device(name) = devices.resolve(source)? {
                todo.push(name);
            }
        }
        let mut seen: Vec<String> = Vec::new();
        while let Some(device) = todo.pop() {
            if seen.contains(&device) {
                continue;
            }
            todo.extend(stack.look_at(devices, &device)?);
            seen.push(device);
        }
        stack.layers.sort_unstable();
        stack.layers.dedup();
        stack.disks.sort_unstable();
        stack.disks.dedup();
        stack.drivers.sort_unstable();
        stack.drivers.dedup();
        stack.known |= mount.fs_type == "zfs";
        Ok(stack)
    }

    /// Looks at one device; those below it.
    fn look_at(&mut self, devices: &Devices, device: &str) -> Result<Vec<String>> {
        let sys = devices.sys();
        let link = Path::new("/class/block").join(device);
        let Some(real) = sys.real(&link)? else { return Ok(Vec::new()) };
        self.known = true;
        // A partition is a directory in that of its disk.
        let is_partition = sys.exists(real.join("partition"))?;
        let disk = if is_partition {
            real.parent().map_or_else(|| real.clone(), Path::to_path_buf)
        } else {
            real.clone()
        };
        let slaves: Vec<String> =
            sys.list(disk.join("slaves"))?.iter().map(|name| show(Path::new(name))).collect();
        if let Some(uuid) = sys.text(disk.join("dm/uuid"))? {
            let layer = mapper(uuid.trim());
            if layer == Layer::Luks {
                self.encrypted.extend(slaves.iter().cloned());
            }
            self.layers.push(layer);
        }
        for (entry, layer) in [("md", Layer::Raid), ("bcache", Layer::Bcache)] {
            // The members of a bcache have that entry as well, and need it as well.
            if sys.exists(disk.join(entry))? {
                self.layers.push(layer);
            }
        }
        let name = disk.file_name().map(|name| show(Path::new(name))).unwrap_or_default();
        if name.starts_with("nbd") {
            self.layers.push(Layer::Nbd);
        }
        if slaves.is_empty() {
            self.disks.push((name, !is_partition));
        }
        if disk.components().any(|c| c.as_os_str().to_string_lossy().starts_with("session")) {
            self.layers.push(Layer::Iscsi);
        }
        let mut above: Option<&Path> = Some(&disk);
        while let Some(directory) = above.filter(|d| d.starts_with("/devices")) {
            if let Some(module) = sys.real(directory.join("driver/module"))? {
                self.drivers.extend(module.file_name().map(|name| show(Path::new(name))));
            }
            above = directory.parent();
        }
        Ok(slaves)
    }
}

/// By the prefix that each user of device mapper gives.
fn mapper(uuid: &str) -> Layer {
    match uuid.split('-').next().unwrap_or_default() {
        "LVM" => Layer::Lvm,
        "CRYPT" => Layer::Luks,
        "mpath" => Layer::Multipath,
        "DMRAID" => Layer::FirmwareRaid,
        // kpartx: a partition of one of these, whose slave says which.
        part if part.starts_with("part") => Layer::Multipath,
        _ => Layer::Mapper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_mapper_says_for_whom_it_maps() {
        assert_eq!(mapper("LVM-0123"), Layer::Lvm);
        assert_eq!(mapper("CRYPT-LUKS2-0123-root"), Layer::Luks);
        assert_eq!(mapper("part1-mpath-360"), Layer::Multipath);
        assert_eq!(mapper(""), Layer::Mapper);
    }
}
