//! A root as a Debian machine has it, small, with everything that a move can
//! spoil: ACLs, capabilities, xattrs, hard links across entries, holes,
//! sockets, devices, secrets with tight modes.

use super::root::Root;

/// The keep-list of the typical root.
pub const KEEP: &[u8] = b"etc/nixos\netc/ssh/ssh_host_ed25519_key\nhome\nroot/.ssh\nvar/lib/app\n";
/// What it keeps.
pub const KEEPERS: &[&[u8]] =
    &[b"etc/nixos", b"etc/ssh/ssh_host_ed25519_key", b"home", b"root/.ssh", b"var/lib/app"];
/// The built system in the store.
pub const TOPLEVEL: &str = "nix/store/00000000000000000000000000000000-nixos-system-test";

/// The least that can be lustrated.
pub fn bare(root: &Root<'_>, keep: &[u8]) {
    root.file("etc/NIXOS", "");
    root.file("etc/NIXOS_LUSTRATE", keep);
    root.file_with_mode(format!("{TOPLEVEL}/init"), "#!/bin/sh\n", 0o755);
    root.directory("nix/store", 0o1775);
}

/// The whole of it.
pub fn typical(root: &Root<'_>, keep: &[u8]) {
    root.mode("", 0o755);
    bare(root, keep);
    root.file("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    root.file("etc/hostname", "machine\n");
    root.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n");
    root.file_with_mode("etc/shadow", "root:*:::::::\n", 0o640);
    root.own("etc/shadow", 0, 42);
    root.file("etc/nixos/configuration.nix", "{ }\n");
    root.file_with_mode("etc/ssh/ssh_host_ed25519_key", "secret", 0o600);
    root.file("etc/ssh/ssh_host_ed25519_key.pub", "public");
    root.link("etc/localtime", "/usr/share/zoneinfo/Europe/Berlin");
    root.link("etc/mtab", "../proc/self/mounts");

    for directory in ["dev", "proc", "sys", "run", "mnt", "media", "opt", "srv"] {
        root.directory(directory, 0o755);
    }
    root.directory("tmp", 0o1777);
    root.char_device("dev/null", 1, 3);
    root.block_device("dev/vda", 253, 0);
    root.file("opt/vendor/bin/tool", "tool");
    root.file("srv/www/index.html", "<p>");

    home(root);
    root.directory("root", 0o700);
    root.directory("root/.ssh", 0o700);
    root.file_with_mode("root/.ssh/authorized_keys", "ssh-ed25519 AAAA\n", 0o600);
    root.file("root/.bashrc", "\n");

    for link in ["bin", "sbin", "lib", "lib64"] {
        root.directory(format!("usr/{link}"), 0o755);
        root.link(link, format!("usr/{link}"));
    }
    root.file_with_mode("usr/bin/sh", "sh", 0o755);
    root.file_with_mode("usr/bin/su", "su", 0o4755);
    root.file_with_mode("usr/bin/ping", "ping", 0o755);
    root.capability("usr/bin/ping");
    root.file("usr/lib/os-release", "ID=debian\n");
    root.file("usr/share/zoneinfo/Europe/Berlin", "TZif");

    root.link("var/run", "../run");
    root.link("var/lock", "/run/lock");
    root.directory("var/tmp", 0o1777);
    root.file("var/log/syslog", "line\n");
    root.acl("var/log/syslog", "access");
    root.directory("var/lib/app", 0o2750);
    root.file("var/lib/app/data", "data");
    root.sparse("var/lib/app/image", 300 << 10);
    root.own("var/lib/app", 33, 33);
    root.mode("var/lib/app", 0o2750);
    root.socket("var/lib/app/control");
    root.fifo("var/lib/app/queue");
    root.file("var/lib/dpkg/status", "Package: base-files\n");
    // Inodes with names in several entries, kept and not.
    root.hard_link("srv/shared", "var/lib/app/data");
    root.hard_link("opt/shared", "usr/bin/sh");

    root.file("boot/vmlinuz", "kernel");
    root.file("boot/grub/grub.cfg", "menuentry\n");
    root.link("nix/var/nix/profiles/system", format!("/{TOPLEVEL}"));
    root.link("vmlinuz", "boot/vmlinuz");
}

fn home(root: &Root<'_>) {
    root.directory("home/alice", 0o700);
    root.file("home/alice/letter", "Dear Bob\n");
    root.xattr("home/alice/letter", "user.origin", b"typed\0by hand");
    root.acl("home/alice/letter", "access");
    root.acl("home/alice", "default");
    root.link("home/alice/current", "letter");
    for path in ["home/alice", "home/alice/letter", "home/alice/current"] {
        root.own(path, 1000, 1000);
    }
}
