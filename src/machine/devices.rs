//! Which block device a name means: by the links that udev makes in `/dev`, and
//! by the kernel's own names in `/sys`.

use std::fmt::Write;
use std::path::Path;

use crate::machine::files::{Files, Result};
use crate::machine::mounts::Mounted;
use crate::machine::sources::Sources;

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A block device, by the kernel's name: `sda1`, `dm-0`.
    Device(String),
    /// No such device.
    Missing,
    /// Names of that kind are not known here: there is no udev.
    Unknown,
    /// Not a block device by its form: `tmpfs`, `host:/path`, `pool/dataset`.
    Other,
}

/// The block devices of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Devices {
    dev: Files,
    sys: Files,
    run: Files,
}

impl Devices {
    /// Those of the machine.
    #[must_use]
    pub(crate) fn of(sources: &Sources) -> Self {
        let (dev, run) = (Files::new(&sources.dev), Files::new(&sources.run));
        Self { dev, sys: sources.sys(), run }
    }

    /// What the first field of an fstab leads to.
    pub(crate) fn resolve(&self, spec: &str) -> Result<Target> {
        const TAGS: [(&str, &str); 5] = [
            ("UUID=", "by-uuid"),
            ("LABEL=", "by-label"),
            ("PARTUUID=", "by-partuuid"),
            ("PARTLABEL=", "by-partlabel"),
            ("ID=", "by-id"),
        ];
        for (tag, directory) in TAGS {
            if let Some(value) = spec.strip_prefix(tag) {
                return self.by(directory, &encoded(value.trim_matches('"')));
            }
        }
        let Some(path) = spec.strip_prefix("/dev/") else { return Ok(Target::Other) };
        if let Some((directory, value)) =
            path.strip_prefix("disk/").and_then(|path| path.split_once('/'))
        {
            return self.by(directory, value);
        }
        self.node(path)
    }

    fn by(&self, directory: &str, value: &str) -> Result<Target> {
        let directory = Path::new("/disk").join(directory);
        match self.node(directory.join(value))? {
            Target::Missing if !self.dev.exists("/disk")? => Ok(Target::Unknown),
            target => Ok(target),
        }
    }

    fn node(&self, path: impl AsRef<Path>) -> Result<Target> {
        let real = self.dev.real(path)?;
        let Some(real) = real else { return Ok(Target::Missing) };
        // The kernel writes `!` for a `/` in a name (cciss!c0d0).
        let name =
            crate::machine::files::show(real.strip_prefix("/").unwrap_or(&real)).replace('/', "!");
        // A node with a name of its own: /dev/mapper/x without udev.
        if !name.contains('!') || self.sys.exists(Path::new("/class/block").join(&name))? {
            return Ok(Target::Device(name));
        }
        self.mapped(name.rsplit('!').next().unwrap_or(&name), &name)
    }

    /// The `dm-N` that has this name.
    fn mapped(&self, name: &str, fallback: &str) -> Result<Target> {
        for device in self.sys.list("/class/block")? {
            let path = Path::new("/class/block").join(&device).join("dm/name");
            if self.sys.text(path)?.is_some_and(|text| text.trim() == name) {
                return Ok(Target::Device(crate::machine::files::show(Path::new(&device))));
            }
        }
        Ok(Target::Device(fallback.to_owned()))
    }

    /// The devices of a mounted file system: one, or the members of a btrfs.
    pub(crate) fn under(&self, mount: &Mounted) -> Result<Vec<String>> {
        let (major, minor) = mount.device;
        if major != 0 {
            let path = Path::new("/dev/block").join(format!("{major}:{minor}"));
            if let Some(real) = self.sys.real(&path)?
                && let Some(name) = real.file_name()
                && real != path
            {
                return Ok(vec![crate::machine::files::show(Path::new(name))]);
            }
        }
        let Target::Device(name) = self.resolve(&mount.source)? else { return Ok(Vec::new()) };
        for fs in self.sys.list("/fs/btrfs")? {
            let members = self.sys.list(Path::new("/fs/btrfs").join(fs).join("devices"))?;
            let members: Vec<_> =
                members.iter().map(|m| crate::machine::files::show(Path::new(m))).collect();
            if members.contains(&name) {
                return Ok(members);
            }
        }
        Ok(vec![name])
    }

    /// The disk of a partition; `None` for what is no partition.
    pub(crate) fn disk_of(&self, device: &str) -> Result<Option<String>> {
        let path = Path::new("/class/block").join(device);
        let Some(real) = self.sys.real(&path)? else { return Ok(None) };
        if !self.sys.exists(real.join("partition"))? {
            return Ok(None);
        }
        let disk = real.parent().and_then(Path::file_name);
        Ok(disk.map(|name| crate::machine::files::show(Path::new(name))))
    }

    /// Whether a disk has a GPT, and no partition in it for the GRUB of a BIOS; by
    /// what udev knows. `None` where it knows nothing.
    pub(crate) fn lacks_bios_boot(&self, disk: &str) -> Result<Option<bool>> {
        const BIOS_BOOT: &str = "ID_PART_ENTRY_TYPE=21686148-6449-6e6f-744e-656564454649";
        let place = Path::new("/class/block").join(disk);
        let known = |place: &Path| -> Result<Option<String>> {
            let Some(numbers) = self.sys.text(place.join("dev"))? else { return Ok(None) };
            self.run.text(format!("/udev/data/b{}", numbers.trim()))
        };
        let has = |data: &str, entry: &str| {
            data.lines().any(|line| line.strip_prefix("E:").is_some_and(|line| line == entry))
        };
        let Some(data) = known(&place)? else { return Ok(None) };
        if !has(&data, "ID_PART_TABLE_TYPE=gpt") {
            return Ok(Some(false));
        }
        for entry in self.sys.list(&place)? {
            let partition = place.join(&entry);
            if !self.sys.exists(partition.join("partition"))? {
                continue;
            }
            match known(&partition)? {
                None => return Ok(None),
                Some(data) if has(&data, BIOS_BOOT) => return Ok(Some(false)),
                Some(_) => {}
            }
        }
        Ok(Some(true))
    }

    /// The device in which an encrypted one is open now, whatever its name is.
    pub(crate) fn opened(&self, encrypted: &str) -> Result<Option<String>> {
        for device in self.sys.list("/class/block")? {
            let path = Path::new("/class/block").join(&device);
            let uuid = self.sys.text(path.join("dm/uuid"))?;
            if uuid.is_some_and(|uuid| uuid.starts_with("CRYPT-"))
                && self.sys.exists(path.join("slaves").join(encrypted))?
            {
                return Ok(Some(crate::machine::files::show(Path::new(&device))));
            }
        }
        Ok(None)
    }

    /// A name that stays the same when disks are found in another order.
    pub(crate) fn lasting_name(&self, device: &str) -> Result<Option<String>> {
        for directory in ["by-uuid", "by-partuuid", "by-id"] {
            let path = Path::new("/disk").join(directory);
            for name in self.dev.list(&path)? {
                if self.node(path.join(&name))? == Target::Device(device.to_owned()) {
                    let name = crate::machine::files::show(Path::new(&name));
                    return Ok(Some(format!("/dev/disk/{directory}/{name}")));
                }
            }
        }
        let mapper = self.sys.text(Path::new("/class/block").join(device).join("dm/name"))?;
        Ok(mapper.map(|name| format!("/dev/mapper/{}", name.trim())))
    }

    /// The files of `/sys`.
    #[must_use]
    pub(crate) fn sys(&self) -> &Files {
        &self.sys
    }
}

/// How such names begin.
const FLEETING: [&str; 8] = ["sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dm-", "md"];

/// Whether a path names a disk by the order in which it was found.
#[must_use]
pub(crate) fn is_fleeting(spec: &str) -> bool {
    let Some(name) = spec.strip_prefix("/dev/") else { return false };
    let digits = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    FLEETING.iter().any(|p| name.strip_prefix(p).is_some_and(digits)) && !name.contains('/')
}

/// As udev writes a label as a name of a link (`udev_util_encode_string`): letters
/// of other alphabets stay.
fn encoded(value: &str) -> String {
    let mut name = String::new();
    for c in value.chars() {
        if c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || !c.is_ascii() {
            name.push(c);
        } else {
            let _ = write!(name, "\\x{:02x}", u32::from(c));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_order_are_told_from_lasting_ones() {
        for name in ["/dev/sda1", "/dev/vda", "/dev/nvme0n1p2", "/dev/dm-0", "/dev/md0"] {
            assert!(is_fleeting(name), "{name}");
        }
        for name in ["/dev/disk/by-uuid/1", "/dev/mapper/root", "/dev/vg/root", "UUID=1", "sda"] {
            assert!(!is_fleeting(name), "{name}");
        }
    }

    #[test]
    fn labels_are_written_as_udev_does() {
        assert_eq!(encoded("my data/x"), "my\\x20data\\x2fx");
        assert_eq!(encoded("Données perso"), "Données\\x20perso");
    }
}
