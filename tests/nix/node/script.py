# Functions that the VM tests put in front of their own script.
import os


def old_population(m):
    """Something to be moved, something to be kept, and their inode numbers."""
    m.succeed("mkdir -p /cruft /srv/kept", "echo old > /cruft/file", "echo mine > /srv/kept/file")
    m.succeed("touch /.dotfile")
    return {
        "cruft": m.succeed("stat -c %i /cruft/file"),
        "kept": m.succeed("stat -c %i /srv/kept/file"),
    }


def ask_for_lustration(m):
    """Leaves the marker on the disk, and no time for anything else to be written."""
    m.succeed("printf srv/kept > /etc/NIXOS_LUSTRATE", "sync")
    m.crash()


def boot_with(m, parameters):
    """Starts the machine with more on its kernel command line (qemu-vm.nix)."""
    os.environ["QEMU_KERNEL_PARAMS"] = parameters
    m.start()


def expect_lustrated(m, inodes):
    m.succeed("test -e /etc/NIXOS", "test ! -e /etc/NIXOS_LUSTRATE", "test ! -e /cruft")
    m.succeed("test ! -e /.dotfile", "test -e /old-root/.dotfile", "test ! -e /old-root.tmp")
    assert m.succeed("stat -c %i /old-root/cruft/file") == inodes["cruft"], "the old root lost a file"
    assert m.succeed("stat -c %i /srv/kept/file") == inodes["kept"], "the keeper was copied"
    m.fail("grep -q ' /old-root' /proc/mounts")
    m.succeed("mountpoint /var/log", "mountpoint /nix/store")
    m.fail("test -e /old-root/old-root")


def expect_untouched(m, inodes):
    m.succeed("test ! -e /old-root.tmp", "test ! -e /old-root", "test -e /.dotfile")
    assert m.succeed("stat -c %i /cruft/file") == inodes["cruft"]
    assert m.succeed("stat -c %i /srv/kept/file") == inodes["kept"]


