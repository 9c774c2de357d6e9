# systemd stage 1: lustrated once, seen from inside the initrd and afterwards.
{
  name = "nixos-lustrate-systemd";

  nodes.machine = {
    imports = [ ../node ];
    boot.initrd.systemd.enable = true;
    testing.initrdBackdoor = true;
  };

  testScript = ''
    ${builtins.readFile ../node/script.py}

    def mounts_below(m, path):
        lines = m.succeed("while read -r line; do echo \"$line\"; done < /proc/mounts").splitlines()
        return [line for line in lines if line.split()[1].startswith(path)]

    machine.start()
    machine.switch_root()
    machine.wait_for_unit("multi-user.target")
    inodes = old_population(machine)
    ask_for_lustration(machine)

    with subtest("in the initrd, everything is mounted where it belongs"):
        machine.start()
        machine.wait_for_unit("initrd-fs.target")
        machine.succeed("systemctl is-active nixos-lustrate.service")
        machine.succeed("test -e /sysroot/old-root/cruft/file", "test ! -e /sysroot/cruft")
        assert mounts_below(machine, "/sysroot/old-root") == [], "a mount went along"
        assert mounts_below(machine, "/sysroot/var/log") != [], "/var/log is not mounted"
        machine.succeed("nixos-lustrate status --root /sysroot")

    with subtest("in stage 2, the new population"):
        machine.switch_root()
        machine.wait_for_unit("multi-user.target")
        expect_lustrated(machine, inodes)

    with subtest("the next boot does nothing"):
        machine.succeed("sync")
        machine.crash()
        machine.start()
        machine.switch_root()
        machine.wait_for_unit("multi-user.target")
        expect_lustrated(machine, inodes)
  '';
}
