//! What is below the root and /nix, against what the initrd has.

use super::{Finding, Machine};
use crate::machine::devices::{Devices, Target};
use crate::machine::files::Result;
use crate::machine::stack::{Layer, Stack};
use crate::system::facts::{Initrd, Stage1Kind};

const ID: &str = "initrd-storage";

/// Modules without which no disk is found; others may have other names in
/// another kernel.
const DISKS: [&str; 24] = [
    "ahci",
    "ata_piix",
    "hpsa",
    "hv_storvsc",
    "hv_vmbus",
    "megaraid_sas",
    "mmc_block",
    "mpt3sas",
    "mptspi",
    "mptsas",
    "nvme",
    "sata_nv",
    "sata_sil24",
    "sata_via",
    "sd_mod",
    "smartpqi",
    "uas",
    "ufshcd_pci",
    "usb_storage",
    "virtio_blk",
    "virtio_pci",
    "virtio_scsi",
    "vmw_pvscsi",
    "xen_blkfront",
];

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let initrd = machine.facts.as_ref().and_then(|facts| facts.initrd.as_ref());
    let (Some(initrd), Some(mounts)) = (initrd, &machine.mounts) else { return };
    if initrd.kind == Some(Stage1Kind::None) {
        return findings.push(Finding::blocker(
            ID,
            "the configuration has no initrd (boot.initrd.enable = false)",
            "There is no stage 1 in which it could become NixOS",
            "boot.initrd.enable = true;",
        ));
    }
    let devices = Devices::of(machine.sources);
    let modules = match Modules::read(machine) {
        Ok(modules) => modules,
        Err(error) => {
            findings.push(Finding::unread("initrd-drivers", &error));
            None
        }
    };
    for point in ["/", "/nix"] {
        let Some(mount) = mounts.at(point) else { continue };
        match Stack::below(&devices, mount) {
            Err(error) => findings.push(Finding::unread(ID, &error)),
            Ok(stack) if !stack.known && mount.is_storage() => {
                let why = format!("what is below {point} ({}) is not in /sys", mount.source);
                findings.push(Finding::unchecked(ID, why, "Look: lsblk"));
            }
            Ok(stack) => {
                findings.extend(judge(point, &stack, initrd));
                match luks(machine, &devices, point, &stack, initrd) {
                    Ok(found) => findings.extend(found),
                    Err(error) => findings.push(Finding::unread(ID, &error)),
                }
                // What the kernel makes itself has no driver; that is judged elsewhere.
                let fs_type = if mount.is_storage() { mount.fs_type.as_str() } else { "" };
                let needs = Needs { point, fs_type, drivers: &stack.drivers };
                findings.push(drivers(&needs, initrd, modules.as_ref()));
            }
        }
    }
}

/// The words for a layer, whether stage 1 can put it together, and what brings
/// that into it.
fn layer(below: Layer, initrd: &Initrd) -> (&'static str, Has, &'static str) {
    let module = |name: &str| Has::when(initrd.has_module(name));
    match below {
        // Scripted stage 1 always has LVM.
        Layer::Lvm => (
            "LVM",
            Has::when(initrd.lvm == Some(true) || initrd.kind == Some(Stage1Kind::Scripted)),
            "boot.initrd.services.lvm.enable = true;",
        ),
        Layer::Luks => (
            "LUKS",
            Has::when(!initrd.luks.is_empty()),
            "boot.initrd.luks.devices.NAME.device = \"/dev/disk/by-uuid/…\"; # blkid -t TYPE=crypto_LUKS",
        ),
        Layer::Raid => {
            ("RAID (md)", Has::when(initrd.swraid == Some(true)), "boot.swraid.enable = true;")
        }
        Layer::FirmwareRaid => (
            "firmware RAID",
            Has::Unknown,
            "Put it together by md instead: NixOS's stage 1 does not start dmraid",
        ),
        Layer::Multipath => {
            ("multipath", module("dm_multipath"), "services.multipath.enable = true;")
        }
        Layer::Iscsi => {
            ("iSCSI", Has::when(initrd.iscsi.is_some()), "boot.iscsi-initiator = { … };")
        }
        Layer::Bcache => (
            "bcache",
            module("bcache"),
            "boot.bcache.enable = true; boot.initrd.availableKernelModules = [ \"bcache\" ];",
        ),
        Layer::Zfs => (
            "ZFS",
            Has::when(initrd.zfs.is_some()),
            "boot.supportedFilesystems = [ \"zfs\" ]; networking.hostId = \"…\"; # hostid",
        ),
        Layer::Bcachefs => (
            "bcachefs",
            Has::when(initrd.file_systems.iter().any(|name| name == "bcachefs")),
            "boot.supportedFilesystems = [ \"bcachefs\" ];",
        ),
        Layer::Mapper => (
            "device mapper",
            module("dm_mod"),
            "boot.initrd.availableKernelModules = [ \"dm_mod\" ];",
        ),
        Layer::Nbd => (
            "a network block device",
            if initrd.has_module("nbd") { Has::Unknown } else { Has::No },
            "Move the root to a disk: NixOS's stage 1 has no client for it",
        ),
    }
}

/// Whether the initrd has what a layer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Yes,
    No,
    /// The configuration does not say.
    Unknown,
}

impl Has {
    fn when(condition: bool) -> Self {
        if condition { Self::Yes } else { Self::No }
    }
}

fn judge(point: &str, stack: &Stack, initrd: &Initrd) -> Vec<Finding> {
    if stack.layers.is_empty() {
        return vec![Finding::ok(ID, format!("{point} is on a plain disk or partition"))];
    }
    let mut findings = Vec::new();
    for &below in &stack.layers {
        let (name, has, fix) = layer(below, initrd);
        findings.push(match has {
            Has::Yes => Finding::ok(ID, format!("{point} is on {name}, and the initrd has it")),
            Has::Unknown => {
                let why = format!(
                    "{point} is on {name}, and the configuration does not say whether \
                     the initrd has it"
                );
                Finding::unchecked(ID, why, fix)
            }
            Has::No => Finding::blocker(
                ID,
                format!("{point} is on {name}, and the initrd has nothing for it"),
                "Stage 1 would wait for the device in vain (nixpkgs#343566, #236213)",
                fix,
            ),
        });
    }
    findings
}

/// Whether what the initrd opens is what is open now, and is asked for by a name
/// that waits for it.
fn luks(
    machine: &Machine<'_>,
    devices: &Devices,
    point: &str,
    stack: &Stack,
    initrd: &Initrd,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if initrd.luks.is_empty() {
        return Ok(findings);
    }
    for device in &stack.encrypted {
        let (mut unknown, mut opens) = (false, None);
        for entry in &initrd.luks {
            match devices.resolve(&entry.device)? {
                Target::Device(found) if found == *device => opens = Some(entry),
                Target::Unknown => unknown = true,
                _ => {}
            }
        }
        let Some(entry) = opens else {
            let listed: Vec<&str> = initrd.luks.iter().map(|e| e.device.as_str()).collect();
            let listed = listed.join(", ");
            let found = format!("{point} is encrypted on {device}, and the initrd opens {listed}");
            let name = devices.lasting_name(device)?.unwrap_or_else(|| format!("/dev/{device}"));
            let fix = format!("boot.initrd.luks.devices.NAME.device = \"{name}\";");
            findings.push(if unknown {
                Finding::unchecked(
                    ID,
                    format!("{found}; there is no /dev/disk to look it up in"),
                    fix,
                )
            } else {
                Finding::blocker(ID, found, "Stage 1 would wait for the device in vain", fix)
            });
            continue;
        };
        let spec = machine.mounts_at(point).map(|entry| entry.spec.as_str()).unwrap_or_default();
        let by_tag = spec.starts_with("/dev/disk/by-") || spec.contains('=');
        let inside = devices.opened(device)?.map(Target::Device);
        let waits =
            by_tag && inside.is_some_and(|inside| devices.resolve(spec).is_ok_and(|t| t == inside));
        if waits && initrd.kind == Some(Stage1Kind::Systemd) && entry.key_file.is_none() {
            let name = &entry.name;
            findings.push(Finding::warning(
                ID,
                format!("the configuration mounts {point} from {spec}, which is encrypted"),
                "That device is waited for 90 seconds, whether or not the passphrase has been \
                 typed by then",
                format!("fileSystems.\"{point}\".device = \"/dev/mapper/{name}\";"),
            ));
        }
    }
    Ok(findings)
}

struct Needs<'a> {
    point: &'a str,
    fs_type: &'a str,
    drivers: &'a [String],
}

/// The modules of the closure's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Modules {
    /// Paths of those that are built in.
    built_in: Vec<String>,
    /// Each of the others, and what it needs (modules.dep(5)).
    loadable: Vec<(String, Vec<String>)>,
}

impl Modules {
    fn read(machine: &Machine<'_>) -> Result<Option<Self>> {
        let Some(closure) = &machine.closure else { return Ok(None) };
        let folder = closure.top.join("kernel-modules/lib/modules");
        for version in machine.files.list(&folder)? {
            let text = |name: &str| machine.files.text(folder.join(&version).join(name));
            let (Some(built_in), Some(loadable)) = (text("modules.builtin")?, text("modules.dep")?)
            else {
                continue;
            };
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
            let entry = |line: &str| {
                let (path, needs) = line.split_once(':')?;
                Some((path.to_owned(), words(needs)))
            };
            return Ok(Some(Self {
                built_in: built_in.lines().map(str::to_owned).collect(),
                loadable: loadable.lines().filter_map(entry).collect(),
            }));
        }
        Ok(None)
    }

    /// Whether the kernel has it built in, or the initrd has it: by itself, or since
    /// another one needs it.
    fn there(&self, module: &str, initrd: &Initrd) -> bool {
        let needs = |(path, needs): &(String, Vec<String>)| {
            needs.iter().any(|path| is_module(path, module)) && initrd.has_module(name_of(path))
        };
        initrd.has_module(module)
            || self.built_in.iter().any(|path| is_module(path, module))
            || self.loadable.iter().any(needs)
    }

    /// Whether this kernel has a module of that name to load. What it has not has
    /// another name there, or is no module at all.
    fn knows(&self, module: &str) -> bool {
        self.loadable.iter().any(|(path, _)| is_module(path, module))
    }
}

fn name_of(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once(".ko").map_or(file, |(name, _)| name)
}

/// `-` and `_` are the same in names of modules.
fn is_module(path: &str, module: &str) -> bool {
    name_of(path).replace('-', "_") == module.replace('-', "_")
}

fn drivers(needs: &Needs<'_>, initrd: &Initrd, modules: Option<&Modules>) -> Finding {
    let id = "initrd-drivers";
    let point = needs.point;
    let fs_type = needs.fs_type.split('.').next().unwrap_or_default();
    let wanted = needs.drivers.iter().map(String::as_str);
    let wanted: Vec<&str> = wanted.chain(Some(fs_type).filter(|name| !name.is_empty())).collect();
    let Some(modules) = modules else {
        let missing: Vec<&str> =
            wanted.into_iter().filter(|module| !initrd.has_module(module)).collect();
        if missing.is_empty() {
            return Finding::ok(id, format!("the initrd has the drivers for {point}"));
        }
        let why = format!(
            "{} may be built into the kernel: there is no modules.builtin",
            missing.join(", ")
        );
        return Finding::unchecked(id, why, "See boot.initrd.availableKernelModules");
    };
    let is_missing = |module: &&str| !modules.there(module, initrd) && modules.knows(module);
    let missing: Vec<&str> = wanted.into_iter().filter(is_missing).collect();
    if missing.is_empty() {
        return Finding::ok(id, format!("the initrd has the drivers for {point}"));
    }
    let quoted: Vec<String> = missing.iter().map(|module| format!("\"{module}\"")).collect();
    let found =
        format!("{point} needs {} here, and the initrd has no such module", missing.join(", "));
    let consequence = "Stage 1 might not find the disk, or not be able to mount it";
    let fix = format!("boot.initrd.availableKernelModules = [ {} ];", quoted.join(" "));
    let sure = missing.iter().any(|module| DISKS.contains(module) || *module == fs_type);
    if sure {
        Finding::blocker(id, found, consequence, fix)
    } else {
        Finding::warning(id, found, consequence, fix)
    }
}
