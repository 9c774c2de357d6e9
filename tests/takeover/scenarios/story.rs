//! There: a Debian is prepared, reboots, and is NixOS.

use crate::common::compare::assert_none;
use crate::common::text::says;
use crate::debian::Variant;
use crate::golden::assert_lustrated;
use crate::golden::{lustrated, prepared};

/// What `prepare` keeps on this Debian, as manifests name paths.
pub const KEPT: [&[u8]; 9] = [
    b"etc/machine-id",
    b"etc/nixos",
    b"etc/ssh/ssh_host_ecdsa_key",
    b"etc/ssh/ssh_host_ecdsa_key.pub",
    b"etc/ssh/ssh_host_ed25519_key",
    b"etc/ssh/ssh_host_ed25519_key.pub",
    b"etc/ssh/ssh_host_rsa_key",
    b"etc/ssh/ssh_host_rsa_key.pub",
    b"root/.ssh/authorized_keys",
];

#[test]
fn a_debian_with_a_boot_partition_becomes_nixos() {
    becomes_nixos(Variant::Bios);
}

pub fn becomes_nixos(variant: Variant) {
    let prepared = prepared(variant);
    let lustrated = lustrated(variant);
    // The whole Debian is in /old-root, and what was kept has its inode numbers.
    assert_lustrated(&prepared.before, &lustrated.computer.manifest(), &KEPT);
    let disk = &lustrated.computer.disk;
    let machine_id = disk.read("etc/machine-id");
    assert_eq!(machine_id.as_deref(), Some("0123456789abcdef0123456789abcdef\n"));
    let key = disk.read("etc/ssh/ssh_host_ed25519_key").expect("a host key");
    assert!(key.contains("OPENSSH PRIVATE KEY"), "the host key is another: {key}");
    let status = &lustrated.console;
    for text in ["Lustrated /sysroot", "/old-root", "Debian GNU/Linux 12", "NixOS of the tests"] {
        assert!(says(status, text), "no {text:?} on the console\n{status}");
    }
    let lost: Vec<String> = ["old-root/usr/bin/bash", "old-root/home/bob/sparse"]
        .into_iter()
        .filter(|path| disk.mounted(|root| !root.join(path).exists()))
        .map(str::to_owned)
        .collect();
    assert_none("purge --keep 1 removed what it was to keep", &lost);
}
