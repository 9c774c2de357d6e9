//! Is there a built system, is it whole, is it for this processor?

use std::path::Path;

use super::{Finding, Machine};
use crate::machine::files::{Files, show};
use crate::system::closure::{Absent, Closure};
use crate::system::elf;
use crate::system::nixdb::{self, Registered};

const BUILD: &str = "Build it: nix-env -p /nix/var/nix/profiles/system \
     -f '<nixpkgs/nixos>' -I nixos-config=/etc/nixos/configuration.nix -iA system\n\
     or, with a flake: nix build --profile /nix/var/nix/profiles/system \
     FLAKE#nixosConfigurations.NAME.config.system.build.toplevel";

/// The built system, and the finding about the profile.
pub(super) fn find(files: &Files, system: &Path, findings: &mut Vec<Finding>) -> Option<Closure> {
    let id = "profile";
    let shown = files.show(system);
    match Closure::find(files, system) {
        Ok(Ok(closure)) => {
            findings.push(Finding::ok(id, format!("{shown} is {}", show(&closure.top))));
            Some(closure)
        }
        Ok(Err(absent)) => {
            let nothing = "There is no system to install";
            findings.push(match absent {
                Absent::Missing => {
                    Finding::blocker(id, format!("{shown} is missing"), nothing, BUILD)
                }
                Absent::Dangling(target) => {
                    let found = format!("{shown} leads to {}, which is missing", show(&target));
                    Finding::blocker(id, found, nothing, BUILD)
                }
                Absent::Outside(real) => {
                    let found = format!("{shown} is {}, which is no store path", show(&real));
                    let fix = "Give the system's store path or profile with --system";
                    Finding::blocker(id, found, "A boot looks for it in /nix/store", fix)
                }
            });
            let rest = "Nothing that depends on the built system was examined: \
                 initrd, file systems, boot loader, login, network";
            findings.push(Finding::unchecked("system", rest, "Check again when it is built"));
            None
        }
        Err(error) => {
            findings.push(Finding::unread(id, &error));
            None
        }
    }
}

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let Some(closure) = &machine.closure else { return };
    findings.push(parts(closure));
    findings.push(bootspec(closure));
    findings.push(processor(machine, closure));
    findings.push(store(machine, closure));
}

fn parts(closure: &Closure) -> Finding {
    let id = "profile-complete";
    let missing = closure.missing();
    if missing.is_empty() {
        let found = "init, kernel, initrd, switch-to-configuration and fstab are there";
        return Finding::ok(id, found);
    }
    let found = format!("{} has no {}", show(&closure.top), missing.join(", no "));
    let (consequence, fix) = if missing == ["etc/fstab"] {
        ("NixOS would mount nothing but what stage 1 mounts", "fileSystems.\"/\" = { … };")
    } else {
        let fix = "Build a whole system, not a container or a part: \
             config.system.build.toplevel, with boot.isContainer = false and \
             system.switch.enable = true";
        ("It cannot be booted, or its boot loader not be installed", fix)
    };
    Finding::blocker(id, found, consequence, fix)
}

fn bootspec(closure: &Closure) -> Finding {
    let id = "bootspec";
    let found = match &closure.bootspec {
        Some(Ok(_)) => return Finding::ok(id, "boot.json is there"),
        Some(Err(why)) => format!("boot.json cannot be read: {why}"),
        None => "there is no boot.json".to_owned(),
    };
    let consequence = "Whether this system's initrd lustrates has to be guessed from other signs, \
         and file systems, boot loader, login and network are not examined";
    Finding::warning(id, found, consequence, "boot.bootspec.enable = true;")
}

/// Is all of it there? By the database, and by the names in the store; the
/// content is not read (`nix-store --verify --check-contents` does that).
fn store(machine: &Machine<'_>, closure: &Closure) -> Finding {
    let id = "closure";
    let top = show(&closure.top);
    let known = match nixdb::closure(&machine.files, &closure.top) {
        Ok(known) => known,
        Err(error) => return Finding::unread(id, &error),
    };
    let look = format!("nix-store --verify-path $(nix-store -qR {top})");
    let paths = match known {
        Registered::Paths(paths) => paths,
        Registered::None => {
            let why = "there is no database of Nix that lists what belongs to the system";
            return Finding::unchecked(id, why, "Copy it with Nix: nix copy --to 'local?root=/'");
        }
        Registered::Damaged(why) => {
            let why = format!("Nix's database cannot be read (or is being written to): {why}");
            return Finding::unchecked(id, why, format!("Look: {look}"));
        }
        Registered::Invalid => {
            return Finding::blocker(
                id,
                format!("{top} is not valid in Nix's database"),
                "Parts of it may be missing, and the first garbage collection would remove it",
                "Build it again, or copy it with Nix: nix copy --to 'local?root=/'",
            );
        }
    };
    let mut missing = Vec::new();
    for path in &paths {
        match machine.files.metadata_of(path) {
            Ok(Some(_)) => {}
            Ok(None) => missing.push(show(path)),
            Err(error) => return Finding::unread(id, &error),
        }
    }
    match missing.first() {
        None => {
            let found =
                format!("all {} paths of it are in the store (not their content)", paths.len());
            Finding::ok(id, found)
        }
        Some(first) => Finding::blocker(
            id,
            format!("{} of its {} paths are missing, such as {first}", missing.len(), paths.len()),
            "NixOS would not boot, or not work",
            format!("Repair it: nix-store --repair-path {first}; and look: {look}"),
        ),
    }
}

/// What the kernel or init was built for, in Nix's words.
fn processor(machine: &Machine<'_>, closure: &Closure) -> Finding {
    let id = "cpu";
    let said = closure.spec().and_then(|s| s.system.as_deref()?.split('-').next());
    let mut built = said.map(str::to_owned);
    for part in [&closure.kernel, &closure.init].into_iter().flatten() {
        if built.is_none() {
            match elf::machine(&machine.files, part) {
                Ok(machine) => built = machine.map(str::to_owned),
                Err(error) => return Finding::unread(id, &error),
            }
        }
    }
    let here = machine.sources.arch.as_str();
    match built {
        None => {
            let why = "neither boot.json nor the kernel says what processor it is for";
            Finding::unchecked(id, why, "Compare: uname -m")
        }
        Some(built) if fits(&built, here) => Finding::ok(id, format!("it is built for {built}")),
        Some(built) => Finding::blocker(
            id,
            format!("it is built for {built}, and this machine is {here}"),
            "Nothing in it could be run",
            format!("nixpkgs.hostPlatform = \"{here}-linux\";"),
        ),
    }
}

/// A kernel for an older processor of the family boots too.
fn fits(built: &str, here: &str) -> bool {
    let x86_32 = ["i386", "i486", "i586", "i686", "x86"];
    built == here || (here == "x86_64" && x86_32.contains(&built))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_fits_its_own_processor_and_newer_ones() {
        assert!(fits("x86_64", "x86_64") && fits("i686", "x86_64") && fits("aarch64", "aarch64"));
        assert!(!fits("aarch64", "x86_64") && !fits("x86_64", "i686"));
    }
}
