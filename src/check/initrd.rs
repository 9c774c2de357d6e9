//! Will its initrd lustrate?
//!
//! systemd stage 1 ignores the marker (nixpkgs#357878): NixOS then activates
//! itself over the old `/etc`. It lustrates with our module only, which says so
//! in the bootspec; the function of scripted stage 1 does by itself.

use super::{Finding, Machine};
use crate::system::bootspec::Lustrate;

const ID: &str = "initrd-lustrates";

/// What imports our module.
pub(super) const MODULE: &str = "imports = [ ./nixos-lustrate/initrd/module.nix ];\n\
     boot.initrd.lustrate.enable = true;\n\
     boot.initrd.systemd.emergencyAccess = true; # or its shell is locked";

/// What stage 1 of a system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage1 {
    Systemd,
    Scripted,
}

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let Some(closure) = &machine.closure else { return };
    if let Some(ours) = closure.spec().and_then(|spec| spec.lustrate.as_ref()) {
        findings.push(with_module(ours));
        return;
    }
    let init = match closure.init.as_ref().map(|init| machine.files.open(init)) {
        None | Some(Ok(None)) => return, // that it is missing has been said
        Some(Err(error)) => return findings.push(Finding::unread(ID, &error)),
        Some(Ok(Some(file))) => file,
    };
    let mut start = [0; 2];
    let script = std::io::Read::read_exact(&mut { init }, &mut start).is_ok() && start == *b"#!";
    findings.push(without_module(stage1(script, closure.prepare_root)));
}

/// nixpkgs' top-level.nix: with systemd stage 1, `init` is systemd itself, and
/// the script of stage 2 is `prepare-root`, if there is one.
fn stage1(init_is_script: bool, prepare_root: bool) -> Stage1 {
    if prepare_root || !init_is_script { Stage1::Systemd } else { Stage1::Scripted }
}

fn with_module(ours: &Lustrate) -> Finding {
    let Lustrate { version, stage1, guard, every_boot, keep, .. } = ours;
    if !["systemd", "scripted"].contains(&stage1.as_str()) {
        let found = format!("boot.json says that stage 1 is '{stage1}', which is not known here");
        let fix = "Use a newer nixos-lustrate, of the version in the configuration";
        return Finding::unchecked(ID, format!("{found} (version {version})"), fix);
    }
    if *every_boot {
        let kept = if keep.is_empty() { "nothing".to_owned() } else { keep.join(", ") };
        return Finding::warning(
            ID,
            "boot.initrd.lustrate.everyBoot is set",
            format!("Every boot lustrates, and keeps {kept}: the marker's list does not count"),
            "boot.initrd.lustrate.everyBoot = false;",
        );
    }
    if !*guard {
        return Finding::warning(
            ID,
            format!("nixos-lustrate {version} is in its {stage1} stage 1, without the guard"),
            "After a revert, a boot loader that still starts NixOS would let it take \
             over the old system's /etc",
            "boot.initrd.lustrate.guard = true;",
        );
    }
    Finding::ok(ID, format!("nixos-lustrate {version} is in its {stage1} stage 1"))
}

fn without_module(stage1: Stage1) -> Finding {
    match stage1 {
        Stage1::Systemd => Finding::blocker(
            ID,
            "it has systemd stage 1 and no nixos-lustrate in it",
            "/etc/NIXOS_LUSTRATE would be ignored, and NixOS mix itself with the old system \
             (nixpkgs#357878)",
            format!("In the configuration, and build it again:\n{MODULE}"),
        ),
        Stage1::Scripted => Finding::warning(
            ID,
            "it has scripted stage 1 with the function of NixOS itself",
            "That copies what is kept, cannot be resumed when it is interrupted, and \
             leaves dotfiles of the root in place (nixpkgs#140385, #61755)",
            format!("Better, in the configuration, and build it again:\n{MODULE}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    fn ours(stage1: &str) -> Lustrate {
        let (version, keep, configuration) = ("0.1.0".to_owned(), Vec::new(), None);
        let stage1 = stage1.to_owned();
        Lustrate { version, stage1, guard: true, every_boot: false, keep, configuration }
    }

    #[test]
    fn the_module_is_what_makes_an_initrd_lustrate() {
        assert_eq!(with_module(&ours("systemd")).level, Level::Ok);
        assert_eq!(with_module(&ours("scripted")).level, Level::Ok);
        assert!(!with_module(&ours("dracut")).checked);
        let every = Lustrate { every_boot: true, ..ours("systemd") };
        assert_eq!(with_module(&every).level, Level::Warning);
        let bare = Lustrate { guard: false, ..ours("systemd") };
        assert_eq!(with_module(&bare).level, Level::Warning);
    }

    #[test]
    fn systemd_stage_1_without_it_blocks_and_says_the_three_lines() {
        assert_eq!(stage1(false, false), Stage1::Systemd);
        assert_eq!(stage1(true, true), Stage1::Systemd);
        let blocker = without_module(stage1(false, true));
        assert_eq!(blocker.level, Level::Blocker);
        let fix = blocker.fix.expect("a fix");
        assert_eq!(fix.lines().count(), 4);
        assert!(fix.contains("boot.initrd.lustrate.enable = true;"));
    }

    #[test]
    fn scripted_stage_1_lustrates_in_its_own_way() {
        assert_eq!(stage1(true, false), Stage1::Scripted);
        assert_eq!(without_module(Stage1::Scripted).level, Level::Warning);
    }
}
