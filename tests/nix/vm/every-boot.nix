# everyBoot: each boot begins with the kept paths only, and without a marker.
{
  name = "nixos-lustrate-every-boot";

  nodes.machine = {
    imports = [ ../node ];
    boot.initrd.systemd.enable = true;
    boot.initrd.lustrate = {
      everyBoot = true;
      keep = [
        "etc/machine-id"
        "srv/kept"
        "var/lib/nixos"
      ];
    };
    services.nixos-lustrate.purge.olderThan = null;
  };

  testScript = ''
    ${builtins.readFile ../node/script.py}

    # On the new, empty disk there is no /nix yet, so a run would be refused.
    boot_with(machine, "lustrate=off")
    machine.wait_for_unit("multi-user.target")
    machine.succeed("mkdir -p /srv/kept", "echo mine > /srv/kept/file")
    identity = machine.succeed("cat /etc/machine-id")
    inode = machine.succeed("stat -c %i /srv/kept/file")

    for boot in range(3):
        machine.succeed(f"touch /gone-{boot}", "sync")
        machine.crash()
        boot_with(machine, "")
        machine.wait_for_unit("multi-user.target")
        machine.succeed(f"test ! -e /gone-{boot}", f"test -e /old-root/gone-{boot}")
        assert machine.succeed("cat /etc/machine-id") == identity
        assert machine.succeed("stat -c %i /srv/kept/file") == inode

    machine.succeed("test $(ls -d /old-root* | wc -l) -ge 3")
    machine.succeed("systemctl is-active nixos-lustrate-purge.timer")
    machine.succeed("systemctl start nixos-lustrate-purge.service")
    machine.succeed("test \"$(echo /old-root*)\" = /old-root")
  '';
}
