//! File systems of their own: a lustration does not touch them, and the new
//! configuration has to mount them.

use std::path::Path;

use super::{Finding, Machine};
use crate::machine::devices::Devices;
use crate::machine::files::{Files, Result, show};
use crate::machine::mounts::Mounted;

const ID: &str = "separate";

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let Some(mounts) = &machine.mounts else { return };
    let devices = Devices::of(machine.sources);
    let mut none = true;
    for mount in mounts.iter().filter(|m| matters(m)) {
        none = false;
        let device = devices
            .under(mount)
            .and_then(|under| under.first().map(|device| devices.lasting_name(device)).transpose());
        let device = match device {
            Ok(name) => name.flatten().unwrap_or_else(|| mount.source.clone()),
            Err(error) => {
                findings.push(Finding::unread(ID, &error));
                continue;
            }
        };
        let (Some(closure), Some(_)) = (&machine.closure, &machine.fstab) else { continue };
        let in_fstab = machine.mounts_at(&mount.point).is_some();
        match has_unit(&machine.files, &closure.top, mount) {
            Ok(unit) => findings.push(judge(mount, &device, in_fstab || unit)),
            Err(error) => findings.push(Finding::unread(ID, &error)),
        }
    }
    if none {
        findings.push(Finding::ok(ID, "everything but /boot is on the root's file system"));
    }
}

/// `systemd.mounts` of the configuration has a unit for it (systemd-escape(1)).
fn has_unit(files: &Files, top: &Path, mount: &Mounted) -> Result<bool> {
    let point = show(&mount.point);
    let name = point.trim_matches('/').replace('-', "\\x2d").replace('/', "-");
    files.exists(top.join(format!("etc/systemd/system/{name}.mount")))
}

/// What the other checks do not judge. A snap, for example, is a squashfs.
fn matters(mount: &Mounted) -> bool {
    let point = &mount.point;
    let known = ["/", "/nix", "/nix/store", "/boot"].iter().any(|p| point.as_os_str() == *p);
    let passing = [
        "/proc",
        "/sys",
        "/dev",
        "/run",
        "/tmp",
        "/mnt",
        "/media",
        "/efi",
        "/boot",
        "/snap",
        "/old-root",
    ];
    let passing = passing.iter().any(|p| point.starts_with(p));
    let container = ["/var/lib/docker", "/var/lib/containers", "/var/lib/lxd", "/var/snap"];
    let container = container.iter().any(|p| point.starts_with(p) && point.as_os_str() != *p);
    !known && !passing && !container && mount.is_storage()
}

fn judge(mount: &Mounted, device: &str, mounted: bool) -> Finding {
    let point = show(&mount.point);
    if mounted {
        return Finding::ok(
            ID,
            format!("{point} is a file system of its own, which the configuration mounts"),
        );
    }
    let options = mount.subvolume().filter(|s| !s.is_empty());
    let options = options.map_or_else(String::new, |s| format!(" options = [ \"subvol={s}\" ];"));
    let found = format!(
        "{point} is a file system of its own ({}), which the configuration does not mount",
        mount.source
    );
    let consequence = match point.as_str() {
        "/home" | "/root" => {
            "NixOS would come up with an empty one; logins by keys kept there would fail"
        }
        _ => "It stays as it is, and NixOS would come up without it",
    };
    let fix = format!(
        "fileSystems.\"{point}\" = {{ device = \"{device}\"; fsType = \"{}\";{options} }};",
        mount.fs_type
    );
    Finding::warning(ID, found, consequence, fix)
}
