//! The steps one by one: the marker, owners, host keys, resolv.conf.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::common::compare::Excuse;
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, GRUB, Machine, assert_same};

/// Cancels, and finds the machine as it was.
#[track_caller]
fn back(machine: &Machine, before: &[(String, crate::common::manifest::Manifest)]) {
    machine.cancel().expect(0);
    assert_same(before, &machine.manifest(), &Excuse::none());
}

#[test]
fn the_marker_lists_the_default_keepers_that_are_there() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.prepare(&[]).expect(0);
    let marker = machine.read("etc/NIXOS_LUSTRATE");
    assert_eq!(
        marker.lines().collect::<Vec<_>>(),
        [
            "etc/machine-id",
            "etc/nixos",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssh/ssh_host_ed25519_key.pub",
            "root/.ssh/authorized_keys",
        ]
    );
    assert_eq!(machine.read("etc/NIXOS"), "");
    assert_eq!(machine.mode("etc/NIXOS_LUSTRATE"), 0o644);
}

#[test]
fn keepers_are_added_with_wildcards_or_instead() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    machine.tree().file("srv/a.conf", "");
    machine.tree().file("srv/b.conf", "");
    machine.tree().file("srv/c.txt", "");
    let more = ["--no-default-keep", "--keep", "srv/*.conf", "--keep", "/home/"];
    machine.prepare(&more).expect(0);
    assert_eq!(machine.read("etc/NIXOS_LUSTRATE"), "srv/a.conf\nsrv/b.conf\nhome\n");
}

#[test]
fn a_marker_that_was_there_keeps_its_lines_and_comes_back() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let theirs = "# mine\nhome\netc";
    machine.tree().file_with_mode("etc/NIXOS_LUSTRATE", theirs, 0o600);
    machine.tree().file("etc/NIXOS", "was there");
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    // etc covers all in it.
    let marker = machine.read("etc/NIXOS_LUSTRATE");
    assert_eq!(marker, "# mine\nhome\netc\nroot/.ssh/authorized_keys\n");
    assert_eq!(machine.read("etc/NIXOS"), "was there");
    // Prepared once more with another keeper, the first original comes back.
    machine.prepare(&["--keep", "srv"]).expect(0);
    assert!(machine.read("etc/NIXOS_LUSTRATE").ends_with("\nsrv\n"));
    back(&machine, &before);
}

#[test]
fn nix_becomes_roots_and_goes_back_to_its_owner() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let tree = machine.tree();
    tree.directory("nix/var/nix/profiles/per-user/alice", 0o755);
    tree.link("nix/var/nix/profiles/per-user/alice/profile", "nowhere");
    tree.file_with_mode("nix/store/odd\\name\n\u{e9}", "x", 0o4755);
    for path in [
        "nix",
        "nix/store",
        "nix/var/nix/profiles/per-user/alice",
        "nix/var/nix/profiles/per-user/alice/profile",
        "nix/store/odd\\name\n\u{e9}",
    ] {
        tree.own(path, 1000, 100);
    }
    machine.tree().mode("nix/store/odd\\name\n\u{e9}", 0o4755);
    machine.tree().own("nix/var", 0, 30000);
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    assert_eq!(machine.owner("nix"), (0, 0));
    assert_eq!(machine.owner("nix/var/nix/profiles/per-user/alice/profile"), (0, 0));
    assert_eq!(machine.mode("nix/store/odd\\name\n\u{e9}"), 0o755, "no set-id file of root's");
    assert_eq!(machine.owner("nix/var"), (0, 30000), "what is root's is not touched");
    // What came since is a pass of its own.
    machine.tree().file("nix/store/late", "x");
    machine.tree().own("nix/store/late", 1001, 1001);
    machine.prepare(&[]).expect(0);
    assert_eq!(machine.owner("nix/store/late"), (0, 0));
    machine.cancel().expect(0);
    assert_eq!(machine.owner("nix/store/late"), (1001, 1001));
    fs::remove_file(machine.at("nix/store/late")).expect("the file");
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

#[test]
fn host_keys_that_others_may_read_are_closed() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let before = machine.manifest();
    assert_eq!(machine.mode("etc/ssh/ssh_host_ed25519_key"), 0o640);
    machine.prepare(&[]).expect(0);
    assert_eq!(machine.mode("etc/ssh/ssh_host_ed25519_key"), 0o600);
    assert_eq!(machine.mode("etc/ssh/ssh_host_ed25519_key.pub"), 0o644);
    back(&machine, &before);
}

#[test]
fn a_kept_resolv_conf_becomes_a_file_with_real_servers() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let before = machine.manifest();
    let inode = machine.at("etc/resolv.conf").symlink_metadata().expect("a link").ino();
    machine.prepare(&["--keep", "etc/resolv.conf"]).expect(0);
    let now = machine.at("etc/resolv.conf").symlink_metadata().expect("a file");
    assert!(now.is_file());
    assert_eq!(machine.read("etc/resolv.conf"), "nameserver 192.0.2.1\n");
    back(&machine, &before);
    assert_eq!(machine.at("etc/resolv.conf").symlink_metadata().expect("a link").ino(), inode);
}

#[test]
fn a_resolv_conf_that_is_not_kept_stays_a_link() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let said = machine.prepare(&[]).expect(0).out();
    assert!(says(&said, "plain /etc/resolv.conf: it is not kept"), "{said}");
    assert!(machine.at("etc/resolv.conf").symlink_metadata().expect("a link").is_symlink());
}

#[test]
fn another_system_is_prepared_anew_and_the_first_boot_files_come_back() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, GRUB));
    let before = machine.manifest();
    machine.prepare(&[]).expect(0);
    let top = machine.at("nix/var/nix/profiles/system-1-link").read_link().expect("a profile");
    let (old, new) = (top.to_str().expect("UTF-8").to_owned(), "nix/store/new-nixos-system-2");
    let ended = std::process::Command::new("cp")
        .arg("-a")
        .arg(machine.at(&old[1..]))
        .arg(machine.at(new))
        .status();
    assert!(ended.expect("cp").success());
    let script = machine.at(new).join("bin/switch-to-configuration");
    let text = fs::read_to_string(&script).expect("a script").replace(&old, &format!("/{new}"));
    fs::write(&script, text).expect("a script");
    // An update of the old system between the two is of the old system.
    machine.tree().file("boot/vmlinuz-6.2", "new kernel");
    machine.tree().file("boot/initrd.img-6.1", "made anew");
    machine.tree().file("boot/grub/locale/de.mo", "in a new directory");
    fs::remove_file(machine.at("boot/vmlinuz")).expect("a link");
    machine.prepare(&["--system", &format!("/{new}")]).expect(0);
    assert!(machine.read("boot/grub/grub.cfg").contains(&format!("init=/{new}/init")));
    machine.cancel().expect(0);
    assert_eq!(machine.read("boot/vmlinuz-6.2"), "new kernel");
    assert_eq!(machine.read("boot/initrd.img-6.1"), "made anew");
    assert_eq!(machine.read("boot/grub/locale/de.mo"), "in a new directory");
    assert!(!machine.exists("boot/vmlinuz"));
    fs::remove_dir_all(machine.at(new)).expect("the new system");
    let excuse = ["boot/vmlinuz-6.2", "boot/initrd.img-6.1", "boot/grub/locale", "boot/vmlinuz"];
    let excuse = excuse.iter().fold(Excuse::none(), |e, path| e.below(path.as_bytes()));
    assert_same(&before, &machine.manifest(), &excuse);
}
