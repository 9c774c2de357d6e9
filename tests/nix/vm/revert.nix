# lustrate=revert gives the old root back and reboots, which ends this QEMU.
{
  name = "nixos-lustrate-revert";

  nodes.machine = {
    imports = [ ../node ];
    boot.initrd.systemd.enable = true;
  };

  testScript = ''
    ${builtins.readFile ../node/script.py}

    machine.wait_for_unit("multi-user.target")
    inodes = old_population(machine)
    ask_for_lustration(machine)

    machine.start()
    machine.wait_for_unit("multi-user.target")
    expect_lustrated(machine, inodes)
    machine.succeed("echo new > /written-since", "sync")
    machine.crash()

    boot_with(machine, "lustrate=revert")
    machine.wait_for_shutdown()

    boot_with(machine, "")
    machine.wait_for_unit("multi-user.target")
    expect_untouched(machine, inodes)
    machine.succeed("test ! -e /written-since", "test -e /nixos-root/written-since")
  '';
}
