//! What lives on a root before the first boot.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::host::{output, run};

/// Who lives there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// A minimal Debian with some data of its users.
    Debian,
    /// What an activation of NixOS leaves.
    Nixos,
    /// `/nix` alone.
    Fresh,
}

/// The keep-list that most scenarios use; all are there on the Debian.
pub const KEEP: [&str; 6] =
    ["home", "etc/hostname", "etc/machine-id", "etc/ssh", "root/.ssh", "var/lib/state"];

/// `KEEP` as manifests name paths.
pub fn keepers() -> Vec<&'static [u8]> {
    KEEP.iter().map(|path| path.as_bytes()).collect()
}

pub fn furnish(root: &Path, population: Population) {
    match population {
        Population::Debian => {
            debian(root);
            users(root);
        }
        Population::Nixos => users(root),
        Population::Fresh => {}
    }
}

fn debian(root: &Path) {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lib.sh");
    let archive = run(library.to_str().expect("a path of text"), &["debian_root"]);
    let xattrs = ["--acls", "--xattrs", "--xattrs-include=*", "--numeric-owner"];
    let from = archive.trim();
    output(Command::new("tar").arg("--zstd").arg("-xf").arg(from).args(xattrs).arg("-C").arg(root));
    // An init of Debian's own, to see that it runs again after a revert.
    write(root, "usr/sbin/report", include_str!("debian-init.sh"));
    executable(&root.join("usr/sbin/report"));
}

fn users(root: &Path) {
    write(root, "etc/hostname", "old-machine\n");
    write(root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    write(root, "etc/ssh/ssh_host_ed25519_key", "a key\n");
    write(root, "root/.ssh/authorized_keys", "another key\n");
    write(root, "home/alice/notes", "to be kept\n");
    write(root, "var/lib/state/db", "rows\n");
    write(root, "var/lib/other/db", "rows that may go\n");
    write(root, "var/log/old", "of the old system\n");
    write(root, "boot/vmlinuz-old", "a kernel\n");
    write(root, ".hidden", "a dotfile in the root\n");
    let alice = root.join("home/alice");
    fs::hard_link(alice.join("notes"), alice.join("same-notes")).expect("a hard link");
    symlink("../../srv/shared", alice.join("shared")).expect("a symlink");
    let sparse = fs::File::create(alice.join("sparse")).expect("a file");
    sparse.set_len(64 << 20).expect("a hole");
    write(root, "srv/shared/file", "shared\n");
    output(Command::new("mkfifo").arg(root.join("srv/fifo")));
    output(Command::new("chown").args(["-R", "1000:1000"]).arg(alice));
}

fn write(root: &Path, path: &str, text: &str) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().expect("a parent")).expect("a folder");
    fs::write(place, text).expect("a file");
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}
