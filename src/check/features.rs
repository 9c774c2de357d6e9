//! File systems that are newer than what the closure has to mount, check and
//! boot them with.

use super::{Finding, Machine};
use crate::machine::boot::BootKind;
use crate::machine::devices::Devices;
use crate::machine::files::Result;
use crate::machine::superblock::{self, Feature};

const ID: &str = "features";

type Version = (u32, u32);

/// What the closure has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Has {
    kernel: Option<Version>,
    tools: Option<Version>,
    /// GRUB, when it reads this file system.
    grub: Option<Version>,
}

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let system = machine.facts.as_ref().and_then(|facts| facts.system.as_ref());
    let (Some(system), Some(mounts)) = (system, &machine.mounts) else { return };
    let devices = Devices::of(machine.sources);
    let of = |version: &Option<String>| parse(version.as_deref()?);
    let (kernel, tools, grub) = (of(&system.kernel), &system.tools, of(&system.tools.grub));
    let boot_is_directory = machine.boot.as_ref().is_some_and(|b| b.kind == BootKind::Directory);
    for point in ["/", "/nix", "/boot"] {
        let Some(mount) = mounts.at(point) else { continue };
        let tools = match mount.fs_type.as_str() {
            "ext2" | "ext3" | "ext4" => of(&tools.e2fsprogs),
            "xfs" => of(&tools.xfsprogs),
            "btrfs" => of(&tools.btrfs_progs),
            _ => continue,
        };
        let read = || -> Result<Option<(Vec<Feature>, Has)>> {
            let Some(device) = devices.under(mount)?.into_iter().next() else { return Ok(None) };
            let path = machine.sources.dev.join(device.replace('!', "/"));
            let Some(features) = superblock::features(&path, &mount.fs_type)? else {
                return Ok(None);
            };
            let reads = point == "/boot" || (point == "/" && boot_is_directory);
            Ok(Some((features, Has { kernel, tools, grub: grub.filter(|_| reads) })))
        };
        match read() {
            Ok(Some((features, has))) => findings.push(judge(point, &features, has)),
            Ok(None) => {
                let why =
                    format!("the superblock of {point} ({}) could not be found", mount.source);
                findings.push(Finding::unchecked(
                    ID,
                    why,
                    "Look: tune2fs -l, xfs_info, or btrfs inspect-internal dump-super",
                ));
            }
            Err(error) => findings.push(Finding::unread(ID, &error)),
        }
    }
}

fn parse(version: &str) -> Option<Version> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn judge(point: &str, features: &[Feature], has: Has) -> Finding {
    let older = |has: Option<Version>, needs: Option<Version>| {
        has.zip(needs).is_some_and(|(has, needs)| has < needs)
    };
    let names = |pick: &dyn Fn(&Feature) -> bool| -> Option<String> {
        let names: Vec<&str> = features.iter().filter(|f| pick(f)).map(|f| f.name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = names(&|f| older(has.kernel, f.kernel)) {
        return Finding::blocker(
            ID,
            format!("{point} has {names}, which the system's kernel does not know"),
            "Stage 1 could not mount it",
            "boot.kernelPackages = pkgs.linuxPackages_latest; or a newer nixpkgs",
        );
    }
    if let Some(names) = names(&|f| older(has.grub, f.grub)) {
        return Finding::blocker(
            ID,
            format!("{point} has {names}, which the system's GRUB does not read"),
            "It would stop at its rescue prompt",
            "Put /boot on a file system of its own without it, use a newer nixpkgs, \
             or boot.loader.systemd-boot.enable = true;",
        );
    }
    if let Some(names) = names(&|f| older(has.tools, f.tools)) {
        return Finding::warning(
            ID,
            format!("{point} has {names}, which the system's file system check does not know"),
            "A check at boot would fail, and the boot stop there when the root was not clean",
            "Use a newer nixpkgs, or turn it off: tune2fs -O ^FEATURE, unmounted",
        );
    }
    Finding::ok(ID, format!("the system can mount and check {point}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    #[test]
    fn what_the_closure_does_not_know_is_found() {
        let known = |kernel, tools, grub| {
            let feature = Feature {
                name: "new",
                kernel: Some((6, 1)),
                tools: Some((1, 47)),
                grub: Some((2, 12)),
            };
            judge("/", &[feature], Has { kernel, tools, grub }).level
        };
        assert_eq!(known(Some((6, 0)), None, None), Level::Blocker);
        assert_eq!(known(Some((6, 1)), Some((1, 46)), None), Level::Warning);
        assert_eq!(known(Some((6, 1)), Some((1, 47)), Some((2, 6))), Level::Blocker);
        assert_eq!(known(Some((6, 12)), Some((1, 47)), Some((2, 12))), Level::Ok);
        assert_eq!(known(None, None, None), Level::Ok);
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!((parse("2.06"), parse("6.12.3-hardened")), (Some((2, 6)), Some((6, 12))));
        assert_eq!(parse("unstable"), None);
    }
}
