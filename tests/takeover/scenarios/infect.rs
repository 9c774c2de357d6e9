//! What nixos-infect leaves behind before its reboot, lustrated as it is: its
//! markers and keep-list, `/boot` moved to `/boot.bak`, the boot loader installed.
//! (<https://github.com/elitak/nixos-infect>, the function `infect`.)

use super::story::KEPT;
use crate::computer::At;
use crate::debian::Variant;
use crate::golden::assert_lustrated;
use crate::golden::debian;

#[test]
fn what_nixos_infect_leaves_is_lustrated() {
    let computer = debian(Variant::Bios);
    let mut session = computer.boot(At::Debian);
    for command in [
        "touch /etc/NIXOS",
        "echo etc/nixos >> /etc/NIXOS_LUSTRATE",
        "echo etc/resolv.conf >> /etc/NIXOS_LUSTRATE",
        "echo root/.nix-defexpr/channels >> /etc/NIXOS_LUSTRATE",
        "(cd / && ls etc/ssh/ssh_host_*_key* || true) >> /etc/NIXOS_LUSTRATE",
        "rm -rf /boot.bak",
        "umount /boot",
        "mv -v /boot /boot.bak",
        "mkdir -p /boot && mount /boot",
        "/nix/var/nix/profiles/system/bin/switch-to-configuration boot",
    ] {
        session.run(command);
    }
    session.ends("reboot");
    let before = computer.manifest();
    computer.boot(At::Nixos).ends("shutdown");
    // As `prepare` keeps, but for the machine id and the authorized keys.
    let mut keepers = KEPT[1..8].to_vec();
    keepers.push(b"etc/resolv.conf");
    assert_lustrated(&before, &computer.manifest(), &keepers);
}
