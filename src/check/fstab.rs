//! Does the configuration mount what this machine has: root, /nix, /boot, and
//! everything else that its fstab names?

use super::{Finding, Machine};
use crate::error::OpError;
use crate::machine::devices::{Devices, Target};
use crate::machine::fstab::FstabEntry;
use crate::machine::mounts::Mounted;

mod others;

/// A live file system, and what its devices are called.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LiveMount {
    devices: Vec<String>,
    fs_type: String,
    subvolume: Option<String>,
    source: String,
    lasting: Option<String>,
}

impl LiveMount {
    fn read(devices: &Devices, mount: &Mounted) -> Result<Self, OpError> {
        let under = devices.under(mount)?;
        let lasting = under.first().map(|device| devices.lasting_name(device)).transpose()?;
        Ok(Self {
            devices: under,
            fs_type: mount.fs_type.clone(),
            subvolume: mount.subvolume(),
            source: mount.source.clone(),
            lasting: lasting.flatten(),
        })
    }

    /// The best name for a configuration.
    fn name(&self) -> &str {
        self.lasting.as_deref().unwrap_or(&self.source)
    }
}

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let (Some(fstab), Some(mounts)) = (&machine.fstab, &machine.mounts) else { return };
    let devices = Devices::of(machine.sources);
    let places = [("fstab-root", "/"), ("fstab-nix", "/nix"), ("fstab-boot", "/boot")];
    for (id, point) in places {
        let live = mounts.at(point).filter(|m| m.is_storage() || point == "/");
        let live = live.map(|mount| LiveMount::read(&devices, mount)).transpose();
        let entry = machine.mounts_at(point);
        let target = entry.map(|entry| resolve(machine, &devices, &entry.spec)).transpose();
        match (live, target) {
            (Ok(live), Ok(target)) => {
                findings.extend(judge(id, point, live.as_ref(), entry.zip(target.as_ref())));
            }
            (Err(error), _) | (_, Err(error)) => findings.push(Finding::unread(id, &error)),
        }
    }
    // The store that stage 1 looks for is on the file system of /nix/store.
    if mounts.at("/nix/store").is_some_and(Mounted::is_storage)
        && machine.mounts_at("/nix/store").is_none()
    {
        let found =
            "/nix/store is a file system of its own, and the configuration does not mount it";
        findings.push(Finding::blocker(
            "fstab-nix",
            found,
            "Stage 1 would not find the system",
            "fileSystems.\"/nix/store\" = { device = …; fsType = …; neededForBoot = true; };",
        ));
    }
    let others = fstab.iter().filter(|e| places.iter().all(|(_, p)| e.point.as_os_str() != *p));
    for entry in others {
        let later = || others::opens_later(machine, &entry.spec);
        match resolve(machine, &devices, &entry.spec).and_then(|target| Ok((target, later()?))) {
            Ok((_, true)) => {}
            Ok((target, false)) => findings.extend(others::judge(entry, &target)),
            Err(error) => findings.push(Finding::unread("fstab-devices", &error)),
        }
    }
    findings.push(others::fleeting(fstab));
}

/// What a name leads to: what the initrd opens has the name of the configuration
/// then, and may have another one now.
fn resolve(machine: &Machine<'_>, devices: &Devices, spec: &str) -> Result<Target, OpError> {
    let initrd = machine.facts.as_ref().and_then(|facts| facts.initrd.as_ref());
    let name = spec.strip_prefix("/dev/mapper/");
    let entry = initrd.iter().flat_map(|i| &i.luks).find(|entry| Some(entry.name.as_str()) == name);
    let Some(entry) = entry else { return devices.resolve(spec) };
    let encrypted = devices.resolve(&entry.device)?;
    let Target::Device(below) = &encrypted else { return Ok(encrypted) };
    Ok(devices.opened(below)?.map_or(encrypted, Target::Device))
}

/// Pure: a mount point as it is, and as the configuration has it.
fn judge(
    id: &'static str,
    point: &str,
    live: Option<&LiveMount>,
    entry: Option<(&FstabEntry, &Target)>,
) -> Option<Finding> {
    let (live, entry, target) = match (live, entry) {
        (None, None) if point == "/" => {
            return Some(Finding::unchecked(
                id,
                "nothing says what is mounted at /",
                "Look: findmnt /",
            ));
        }
        (None, None) => return None,
        (Some(live), None) => return Some(not_mounted(id, point, live)),
        (None, Some((entry, target))) => return Some(not_live(id, point, entry, target)),
        (Some(live), Some((entry, target))) => (live, entry, target),
    };
    let spec = &entry.spec;
    if spec.is_empty() {
        let why = format!("boot.json does not say from where the configuration mounts {point}");
        return Some(Finding::unchecked(id, why, format!("Compare: findmnt {point}")));
    }
    let right = format!("fileSystems.\"{point}\".device = \"{}\";", live.name());
    let consequence = match point {
        "/" => "Stage 1 would mount another file system as the root, or wait for one in vain",
        "/nix" => "Stage 1 would not find the system",
        _ => "The boot loader's files would be updated in another place than they are read from",
    };
    let wrong = |found: String| Some(Finding::blocker(id, found, consequence, right.clone()));
    match target {
        Target::Missing => {
            return wrong(format!(
                "the configuration mounts {spec} at {point}, and there is no such device"
            ));
        }
        Target::Unknown => {
            let why = format!(
                "the configuration mounts {spec} at {point}, and there is no /dev/disk to look it up in"
            );
            return Some(Finding::unchecked(id, why, "Compare with: blkid"));
        }
        Target::Device(device) if !live.devices.contains(device) => {
            let is = live.devices.first().map_or(live.source.as_str(), String::as_str);
            return wrong(format!(
                "the configuration mounts {spec} ({device}) at {point}, which is {is} now"
            ));
        }
        Target::Other if *spec != live.source => {
            return wrong(format!(
                "the configuration mounts {spec} at {point}, which is {} now",
                live.source
            ));
        }
        Target::Device(_) | Target::Other => {}
    }
    if entry.fs_type != "auto" && !same_type(&entry.fs_type, &live.fs_type) {
        let found = format!(
            "the configuration mounts {point} as {}, and it is {}",
            entry.fs_type, live.fs_type
        );
        let fix = format!("fileSystems.\"{point}\".fsType = \"{}\";", live.fs_type);
        return Some(Finding::blocker(id, found, "It could not be mounted", fix));
    }
    if let Some(now) = &live.subvolume {
        return Some(subvolume(id, point, entry, now));
    }
    Some(Finding::ok(id, format!("the configuration mounts {spec} at {point}, as it is now")))
}

/// ext4 mounts what ext2 and ext3 made.
fn same_type(configured: &str, live: &str) -> bool {
    let ext = |t: &str| ["ext2", "ext3", "ext4"].contains(&t);
    let fat = |t: &str| ["vfat", "msdos"].contains(&t);
    let ntfs = |t: &str| ["ntfs", "ntfs3", "fuseblk"].contains(&t);
    configured == live
        || (ext(configured) && ext(live))
        || (fat(configured) && fat(live))
        || (ntfs(configured) && ntfs(live))
        || configured.split('.').next() == live.split('.').next() && configured.starts_with("fuse")
}

fn subvolume(id: &'static str, point: &str, entry: &FstabEntry, now: &str) -> Finding {
    let shown =
        |name: &str| if name.is_empty() { "the top level".to_owned() } else { name.to_owned() };
    let line = format!(
        "fileSystems.\"{point}\".options = [ \"subvol={}\" ];",
        if now.is_empty() { "/" } else { now }
    );
    match (entry.value("subvol"), entry.value("subvolid")) {
        (Some(configured), _) if configured.trim_matches('/') == now => Finding::ok(
            id,
            format!("the configuration mounts {} at {point}, subvolume {}", entry.spec, shown(now)),
        ),
        (Some(configured), _) => Finding::blocker(
            id,
            format!(
                "the configuration mounts subvolume {} at {point}, which is {} now",
                shown(configured.trim_matches('/')),
                shown(now)
            ),
            "Stage 1 would mount another subvolume, without this system and without a marker",
            line,
        ),
        (None, Some(number)) => {
            let why =
                format!("the configuration mounts the subvolume with the id {number} at {point}");
            Finding::unchecked(
                id,
                why,
                format!("Compare: btrfs subvolume show {point}\nBetter: {line}"),
            )
        }
        (None, None) => Finding::warning(
            id,
            format!("{point} is subvolume {} now, and the configuration names none", shown(now)),
            "Stage 1 would mount the default subvolume, whichever that is (btrfs subvolume get-default /)",
            line,
        ),
    }
}

fn not_mounted(id: &'static str, point: &str, live: &LiveMount) -> Finding {
    let found = format!(
        "{point} is a file system of its own ({}), and the configuration does not mount it",
        live.source
    );
    let options = live.subvolume.as_deref().filter(|s| !s.is_empty());
    let options = options.map_or_else(String::new, |s| format!(" options = [ \"subvol={s}\" ];"));
    let fix = format!(
        "fileSystems.\"{point}\" = {{ device = \"{}\"; fsType = \"{}\";{options} }};",
        live.name(),
        live.fs_type
    );
    let consequence = match point {
        "/" => "Stage 1 would not know what the root is",
        "/nix" => "Stage 1 would not find the system",
        _ => {
            "NixOS would write later boot files into the empty directory below, unseen by the boot loader"
        }
    };
    if point == "/boot" {
        return Finding::warning(id, found, consequence, fix);
    }
    Finding::blocker(id, found, consequence, fix)
}

fn not_live(id: &'static str, point: &str, entry: &FstabEntry, target: &Target) -> Finding {
    let spec = &entry.spec;
    let found = format!("the configuration mounts {spec} at {point}, where nothing is mounted now");
    match (target, point) {
        (Target::Missing, _) if entry.may_be_missing() => {
            Finding::ok(id, format!("{found}, and which may be missing"))
        }
        (_, "/nix") => Finding::blocker(
            id,
            found,
            "The store that was built is in the root; the one mounted over it would hide it",
            "Remove fileSystems.\"/nix\", or mount it now and build the system in it",
        ),
        _ => Finding::blocker(
            id,
            found,
            "The boot loader would be installed into the directory below it",
            format!(
                "Mount it first: mount {spec} {point}\nor remove fileSystems.\"{point}\" from the configuration"
            ),
        ),
    }
}
