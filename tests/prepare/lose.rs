//! What belongs to others, and what was saved, is not lost.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::command::{Ended, LIMIT, program, run_limited};
use crate::common::compare::Excuse;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, GRUB, Installer, Machine, SYSTEMD_BOOT, assert_same};

const OLD_CFG: &str = "menuentry 'Debian' {\n linux /vmlinuz-6.1\n}\n";

fn mount(arguments: &[&str], paths: &[&Path]) {
    let mut command = Command::new(arguments[0]);
    command.args(&arguments[1..]).args(paths);
    run_limited(&mut command, LIMIT).expect(0);
}

/// Whatever is mounted where something is going to be removed is not touched.
#[test]
fn what_is_mounted_in_what_was_saved_is_not_emptied() {
    require_root!();
    for (boot, at) in [
        (Boot::Directory, "boot.bak/x"),
        (Boot::Directory, "boot.bak/grub/x"),
        (Boot::Directory, "boot.bak"),
        (Boot::Mount, "nix/var/nixos-lustrate/boot.bak/x"),
        (Boot::Directory, "boot/x"),
        (Boot::Directory, "boot/kernels"),
    ] {
        let machine = or_skip!(Machine::new(boot, GRUB));
        machine.tree().file("precious/file", "keep");
        let before = machine.manifest();
        machine.prepare(&[]).expect(0);
        let point = machine.at(at);
        let is_made = !point.exists();
        fs::create_dir_all(&point).expect("a directory");
        mount(&["mount", "--bind"], &[&machine.at("precious"), &point]);
        let shown = point.display().to_string();
        machine
            .cancel()
            .expect(3)
            .says(&[&format!("{shown} is a mount point, which is not crossed ("), "/precious])"])
            .says(&[&format!("umount {shown}"), "Nothing was touched"]);
        assert_eq!(machine.read("precious/file"), "keep", "{at}");
        mount(&["umount"], &[&point]);
        if is_made {
            fs::remove_dir(&point).expect("the directory");
        }
        machine.cancel().expect(0);
        assert_same(&before, &machine.manifest(), &Excuse::none());
    }
}

#[test]
fn a_file_that_is_mounted_over_stops_it_too() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("precious", "keep");
    machine.prepare(&[]).expect(0);
    let point = machine.at("boot.bak/vmlinuz-6.1");
    mount(&["mount", "--bind"], &[&machine.at("precious"), &point]);
    machine.cancel().expect(3).says(&["umount "]);
    assert_eq!(machine.read("precious"), "keep");
    mount(&["umount"], &[&point]);
    machine.cancel().expect(0);
}

/// What an interrupted command has left is removed by the same remover.
#[test]
fn what_is_mounted_in_a_leftover_is_not_emptied() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Mount, GRUB));
    machine.tree().file("precious/file", "keep");
    machine.tree().directory(HOME, 0o700);
    let point = machine.at(&format!("{HOME}/.nixos-lustrate-boot.bak/deep/x"));
    fs::create_dir_all(&point).expect("a directory");
    mount(&["mount", "--bind"], &[&machine.at("precious"), &point]);
    machine.prepare(&[]).expect(1).says(&["is a mount point, which is not crossed (", "umount "]);
    assert_eq!(machine.read("precious/file"), "keep");
    mount(&["umount"], &[&point]);
    machine.prepare(&[]).expect(0);
    assert_eq!(machine.read("precious/file"), "keep");
}

/// One that says when it is at work, and then takes its time.
fn slow() -> Installer {
    Installer(Box::leak(format!("echo x >/started; sleep 1; {}", GRUB.0).into_boxed_str()))
}

/// `prepare`, in the middle of the installer.
fn in_the_installer(machine: &Machine) -> Child {
    let mut prepare = program();
    prepare.args(machine.arguments(&["--yes"])).stdout(Stdio::null()).stderr(Stdio::null());
    let child = prepare.spawn().expect("a start");
    let since = Instant::now();
    while !machine.exists("started") {
        assert!(since.elapsed() < LIMIT, "no installer");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid"))
}

/// Waits until the installer, and who waits for it, have ended.
fn settled(machine: &Machine) {
    for locked in ["nix/var/nixos-lustrate/lock", ""] {
        let file = fs::File::open(machine.at(locked)).expect("what is locked");
        drop(Flock::lock(file, FlockArg::LockExclusive).expect("the lock"));
    }
    fs::remove_file(machine.at("started")).expect("a mark");
}

/// An update of the old system: a new kernel instead of the old one.
fn update(machine: &Machine) {
    machine.tree().file("boot/vmlinuz-6.2", "new kernel");
    machine.tree().file("boot/grub/grub.cfg", "menuentry 'Debian' {\n linux /vmlinuz-6.2\n}\n");
    fs::remove_file(machine.at("boot/vmlinuz-6.1")).expect("the old kernel");
}

#[track_caller]
fn updated(machine: &Machine, ended: &Ended) {
    let said = ended.out();
    assert!(said.contains("boot/vmlinuz-6.2 was made since by somebody else"), "{said}");
    assert!(said.contains("boot.bak. When it is not needed any more: rm -r "), "{said}");
    assert!(!said.contains("boots as before"), "{said}");
    assert_eq!(machine.read("boot/vmlinuz-6.2"), "new kernel");
    assert!(machine.read("boot/grub/grub.cfg").contains("vmlinuz-6.2"));
    assert_eq!(machine.read("boot/grub/i386-pc/normal.mod"), "normal-of-debian");
    assert!(!machine.exists("boot/kernels") && !machine.exists("etc/NIXOS_LUSTRATE"));
    assert_eq!(machine.read("boot.bak/grub/grub.cfg"), OLD_CFG, "what was saved stays");
}

#[test]
fn what_others_change_after_a_killed_prepare_stays() {
    require_root!();
    for boot in [Boot::Directory, Boot::Mount] {
        let machine = or_skip!(Machine::new(boot, slow()));
        let mut prepare = in_the_installer(&machine);
        kill(pid(&prepare), Signal::SIGKILL).expect("a signal");
        prepare.wait().expect("an end");
        settled(&machine);
        update(&machine);
        updated(&machine, &machine.cancel().expect(0));
    }
}

#[test]
fn the_end_of_a_session_does_not_stop_it_between_two_boot_loaders() {
    require_root!();
    for signal in [Signal::SIGHUP, Signal::SIGQUIT] {
        let machine = or_skip!(Machine::new(Boot::Directory, slow()));
        let mut prepare = in_the_installer(&machine);
        kill(pid(&prepare), signal).expect("a signal");
        assert_eq!(prepare.wait().expect("an end").code(), Some(0), "{signal}");
        settled(&machine);
        update(&machine);
        updated(&machine, &machine.cancel().expect(0));
    }
}

/// What others change between an interrupted and a second `prepare` is of the old
/// system too.
#[test]
fn what_others_change_before_prepare_goes_on_comes_back() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, slow()));
    let mut prepare = in_the_installer(&machine);
    kill(pid(&prepare), Signal::SIGKILL).expect("a signal");
    prepare.wait().expect("an end");
    settled(&machine);
    update(&machine);
    machine.prepare(&[]).expect(0);
    assert!(machine.read("boot/grub/grub.cfg").contains("init="));
    let first = "nix/var/nixos-lustrate/boot.first.grub%2Fgrub.cfg";
    assert_eq!(machine.read(first), OLD_CFG, "the first original stays");
    machine.cancel().expect(0);
    assert_eq!(machine.read("boot/vmlinuz-6.2"), "new kernel");
    assert!(machine.read("boot/grub/grub.cfg").contains("vmlinuz-6.2"));
    assert!(!machine.exists("boot/kernels") && !machine.exists("boot/vmlinuz-6.1"));
}

/// Nobody is left who could see the installer's end.
#[test]
fn what_nobody_saw_the_installer_write_stays() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, slow()));
    let before = machine.manifest();
    let mut prepare = in_the_installer(&machine);
    let id = prepare.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("children");
    let witness = children.trim().parse().expect("one child");
    kill(Pid::from_raw(witness), Signal::SIGKILL).expect("a signal");
    kill(pid(&prepare), Signal::SIGKILL).expect("a signal");
    prepare.wait().expect("an end");
    settled(&machine);
    assert!(machine.read("boot/grub/grub.cfg").contains("init="), "it went on");
    std::thread::sleep(Duration::from_millis(50));
    machine.tree().file("boot/vmlinuz-6.2", "new kernel");
    machine.prepare(&[]).expect(1).says(&["nobody saw whether", "Cancel first"]);
    let said = machine.cancel().expect(0).out();
    assert!(said.contains("boot/vmlinuz-6.2 stays: nobody saw whether"), "{said}");
    assert!(said.contains("boot/grub/state stays: nobody saw whether"), "{said}");
    assert_eq!(machine.read("boot/vmlinuz-6.2"), "new kernel");
    // What is provably NixOS's went, and the old configuration is back.
    assert_eq!(machine.read("boot/grub/grub.cfg"), OLD_CFG);
    assert!(!machine.exists("boot/kernels") && !machine.exists("etc/NIXOS_LUSTRATE"));
    assert_eq!(machine.read("boot.bak/grub/state"), "old");
    let excuse = ["boot", "boot.bak", "nix/var/nixos-lustrate"];
    let excuse = excuse.iter().fold(Excuse::none(), |e, path| e.below(path.as_bytes()));
    assert_same(&before, &machine.manifest(), &excuse);
}

/// Another system, installed by hand, as nixos-rebuild does.
fn by_hand(machine: &Machine) -> String {
    let top = machine.at("nix/var/nix/profiles/system-1-link").read_link().expect("a profile");
    let old = top.to_str().expect("UTF-8").to_owned();
    let new = "/nix/store/new-nixos-system-2".to_owned();
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(machine.at(&old[1..])).arg(machine.at(&new[1..]));
    run_limited(&mut copy, LIMIT).expect(0);
    let script = machine.at(&new[1..]).join("bin/switch-to-configuration");
    let text = fs::read_to_string(&script).expect("a script").replace(&old, &new);
    fs::write(&script, text).expect("a script");
    new
}

#[test]
fn what_names_nixos_is_no_original() {
    require_root!();
    for (boot, installer, file) in
        [(Boot::Directory, GRUB, "grub/grub.cfg"), (Boot::Esp, SYSTEMD_BOOT, "loader/loader.conf")]
    {
        let machine = or_skip!(Machine::new(boot, installer));
        let old = "of the old system\n";
        if !machine.exists(&format!("boot/{file}")) {
            machine.tree().file(format!("boot/{file}"), old);
        }
        let old = machine.read(&format!("boot/{file}"));
        let before = machine.manifest();
        let new = by_hand(&machine);
        machine.prepare(&[]).expect(0);
        let saved = machine.at("boot.bak").canonicalize().expect("what was saved");
        // What an installer that was run by hand leaves.
        let config = machine.read(&format!("boot/{file}"));
        let text = if boot == Boot::Esp {
            machine.tree().file(
                "boot/loader/entries/nixos-generation-2.conf",
                format!("linux /EFI/nixos/k.efi\noptions init={new}/init\n"),
            );
            machine.tree().file(
                "boot/EFI/nixos/0123456789abcdfghijklmnpqrsvwxyz-linux-bzImage.efi",
                "another kernel",
            );
            config.replace("generation-1", "generation-2")
        } else {
            let init = config.split("init=").nth(1).expect("an init").split('/').nth(3);
            config.replace(&format!("/nix/store/{}", init.expect("a system")), &new)
        };
        machine.tree().file(format!("boot/{file}"), &text);
        machine.prepare(&["--system", &new]).expect(0);
        assert_eq!(fs::read_to_string(saved.join(file)).expect("the original"), old);
        assert!(!saved.join("loader/entries/nixos-generation-2.conf").exists());
        machine.cancel().expect(0);
        fs::remove_dir_all(machine.at(&new[1..])).expect("the new system");
        assert_same(&before, &machine.manifest(), &Excuse::none());
    }
}

#[test]
fn while_any_configuration_names_any_nixos_all_that_it_boots_stays() {
    require_root!();
    let other = "init=/nix/store/other-custom/init";
    for (boot, installer, file, text) in [
        (Boot::Directory, GRUB, "grub/grub.cfg", format!("linux /kernels/k-bzImage {other}\n")),
        (Boot::Directory, GRUB, "extlinux/extlinux.conf", format!("APPEND {other}\n")),
        (Boot::Directory, GRUB, "grub/custom/x.cfg", format!("linux /kernels/k {other}\n")),
        (Boot::Nested, GRUB, "efi/EFI/Linux/nixos.efi", format!("PE\0{other}\0")),
        (Boot::Esp, SYSTEMD_BOOT, "loader/entries/x.conf", format!("options {other}\n")),
        (Boot::Mount, GRUB, "refind_linux.conf", format!("\"x\" \"{other}\"\n")),
    ] {
        let machine = or_skip!(Machine::new(boot, installer));
        let before = machine.manifest();
        machine.prepare(&[]).expect(0);
        let directory = machine.at(&format!("boot/{file}"));
        let directory = directory.parent().expect("a directory");
        let was_there = directory.exists();
        machine.tree().file(format!("boot/{file}"), &text);
        let prepared = machine.manifest();
        let why = format!("boot/{file} still names NixOS, so that the marker has to stay");
        machine.cancel().expect(1).says(&[&why, "/nix/store/other-custom"]);
        let after = machine.manifest();
        assert_same(&prepared, &after, &Excuse::none());
        // What was prepared can still be prepared, or cancelled once nothing names it.
        if file == "grub/grub.cfg" {
            fs::copy(machine.at("boot.bak/grub/grub.cfg"), machine.at("boot/grub/grub.cfg"))
                .expect("a copy");
        } else {
            fs::remove_file(machine.at(&format!("boot/{file}"))).expect("the file");
            if !was_there {
                fs::remove_dir(directory).expect("the directory");
                let above = directory.parent().expect("a directory");
                let _ = fs::remove_dir(above); // if it was made for it
            }
        }
        machine.cancel().expect(0);
        let excuse = Excuse::none().below(b"boot/grub/grub.cfg");
        assert_same(&before, &machine.manifest(), &excuse);
        assert!(!machine.exists("boot/kernels"));
    }
}

/// os-prober lists the NixOS of another disk, which needs no marker of ours.
#[test]
fn a_nixos_that_the_old_system_named_is_another_one() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let cfg = format!("{OLD_CFG}linux /k init=/nix/store/x-nixos-system-of-disk-2/init\n");
    machine.tree().file("boot/grub/grub.cfg", &cfg);
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
    machine.prepare(&[]).expect(0);
    machine.tree().file("boot/grub/grub.cfg", format!("{cfg}# update-grub\n"));
    machine.cancel().expect(0);
    assert_eq!(machine.read("boot/grub/grub.cfg"), format!("{cfg}# update-grub\n"));
    assert!(!machine.exists("etc/NIXOS_LUSTRATE"));
}

const HOME: &str = "nix/var/nixos-lustrate";

/// A state that has root remove a tree.
fn attack(machine: &Machine, home: &str) -> String {
    let inode = |path: &str| {
        std::os::unix::fs::MetadataExt::ino(&machine.at(path).metadata().expect("a directory"))
    };
    let system = machine.at("nix/var/nix/profiles/system-1-link").read_link().expect("a profile");
    let system = system.to_str().expect("UTF-8").trim_start_matches('/').to_owned();
    format!(
        "{{\"version\":1,\"tool\":\"0.1.0\",\"started\":\"x\",\"phase\":\"cancelling\",\"etc\":{},\
         \"system\":\"{system}\",\"window\":false,\"steps\":{{\"boot-saved\":\"done\"}},\"notes\":\
         {{\"saved\":{{\"boot\":{{\"how\":\"copy\",\"home\":\"{home}\",\"inode\":{},\
         \"moved\":[],\"mounted\":[]}}}}}}}}",
        inode("etc"),
        inode("srv/victim")
    )
}

#[track_caller]
fn refused(machine: &Machine, says: &[&str]) {
    let before = machine.manifest();
    machine.prepare(&[]).expect(3).says(says).says(&["Nothing was touched"]);
    machine.cancel().expect(3).says(says).says(&["Nothing was touched"]);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

#[test]
fn a_state_that_somebody_else_could_write_is_refused() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("srv/victim/data", "precious");
    let state = attack(&machine, "srv/victim");
    let tree = machine.tree();
    // Even an empty one, which would be filled later.
    tree.directory(HOME, 0o755);
    tree.own(HOME, 1000, 1000);
    refused(&machine, &["nixos-lustrate is user 1000's", "mv "]);
    tree.file(format!("{HOME}/state.json"), &state);
    refused(&machine, &["nixos-lustrate is user 1000's", "mv "]);
    tree.own(HOME, 0, 0);
    tree.mode(HOME, 0o770);
    refused(&machine, &["can be written to by others (0770)", "mv "]);
    tree.mode(HOME, 0o755);
    refused(&machine, &["is open to others (mode 0755)", "chmod 700 "]);
    tree.mode(HOME, 0o700);
    tree.mode("nix/var", 0o777);
    refused(&machine, &["others than its owner may write to ", "chmod go-w "]);
    tree.mode("nix/var", 0o755);
    tree.rename(HOME, "srv/state");
    tree.link(HOME, "../../srv/state");
    refused(&machine, &["nixos-lustrate is no directory"]);
    assert_eq!(machine.read("srv/victim/data"), "precious");
}

#[test]
fn a_path_that_prepare_never_chooses_is_refused() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("srv/victim/data", "precious");
    machine.tree().directory(HOME, 0o700);
    let state = |home: &str| attack(&machine, home);
    for (text, what) in [
        (state("srv/victim"), "the place 'srv/victim'"),
        (state("boot"), "the place 'boot'"),
        (state("efi.bak"), "the place 'efi.bak'"),
        (state("boot.bak/../srv"), "the place 'boot.bak/../srv'"),
        (state("boot.bak").replace("{\"boot\":{", "{\"srv\":{"), "the place 'boot.bak'"),
        (state("boot.bak").replace("{\"boot\":{", "{\"nix/store\":{"), "the place 'nix/store'"),
        (state("boot.bak").replace("{\"boot\":{", "{\"../srv\":{"), "the place '../srv'"),
        (state("boot.bak").replace("\"mounted\":[]", "\"mounted\":[\"../x\"]"), "the path '../x'"),
        (state("boot.bak").replace("nix/store/", "srv/"), "the system 'srv/"),
        (
            state("boot.bak").replace("\"notes\":{", "\"notes\":{\"keys\":{\"../shadow\":511},"),
            "the host key '../shadow'",
        ),
    ] {
        machine.tree().file(format!("{HOME}/state.json"), &text);
        refused(&machine, &[what, "never chooses"]);
    }
    assert_eq!(machine.read("srv/victim/data"), "precious");
}

#[test]
fn a_note_that_is_none_is_refused() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("srv/victim/data", "precious");
    machine.tree().directory(HOME, 0o700);
    let state = |notes: &str| attack(&machine, "boot.bak").replace("\"notes\":{", notes);
    for notes in [
        "\"notes\":{\"marker\":1,",
        "\"notes\":{\"owners\":\"x\",",
        "\"notes\":{\"keys\":[1],",
        "\"notes\":{\"resolv\":1,",
        "\"notes\":{\"efi\":1,",
        "\"notes\":{\"current-system\":1,",
        "\"notes\":{\"named\":1,",
    ] {
        machine.tree().file(format!("{HOME}/state.json"), state(notes));
        refused(&machine, &["state.json is damaged: "]);
    }
}

/// An earlier version moved the boot files where a copy had no room.
#[test]
fn a_state_whose_boot_files_moved_is_refused() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("srv/victim/data", "precious");
    machine.tree().directory(HOME, 0o700);
    let state = attack(&machine, "boot.bak").replace("\"copy\"", "\"move\"");
    for state in [&state, &state.replace("\"moved\":[]", "\"moved\":[[\"grub\",1]]")] {
        machine.tree().file(format!("{HOME}/state.json"), state);
        refused(
            &machine,
            &[
                "was written by nixos-lustrate 0.1.0, which moved the boot files of /boot",
                "Use that",
            ],
        );
    }
}

#[test]
fn what_a_later_version_noted_stays() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    let path = format!("{HOME}/state.json");
    let later = machine.read(&path).replace("\"notes\": {", "\"notes\": {\"later\": [1],");
    machine.tree().file(&path, &later);
    machine.prepare(&["--keep", "srv"]).expect(0);
    let now = machine.read(&path);
    assert!(now != later && now.contains("\"later\""), "{now}");
    machine.cancel().expect(0);
}

#[test]
fn the_state_is_roots_where_nix_is_a_users() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    for path in ["nix", "nix/var", "nix/store"] {
        machine.tree().own(path, 1000, 1000);
    }
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    assert_eq!((machine.owner(HOME), machine.mode(HOME)), ((0, 0), 0o700));
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}
