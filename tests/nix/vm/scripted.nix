# Scripted stage 1, which releases after 26.05 no longer have.
{
  name = "nixos-lustrate-scripted";

  nodes.machine = {
    imports = [ ../node ];
    boot.initrd.systemd.enable = false;
  };

  testScript = ''
    ${builtins.readFile ../node/script.py}

    machine.wait_for_unit("multi-user.target")
    inodes = old_population(machine)

    with subtest("lustrate=off leaves the root and the marker alone"):
        ask_for_lustration(machine)
        boot_with(machine, "lustrate=off")
        machine.wait_for_unit("multi-user.target")
        machine.succeed("test -e /etc/NIXOS_LUSTRATE")
        expect_untouched(machine, inodes)

    with subtest("lustrated"):
        machine.succeed("sync")
        machine.crash()
        boot_with(machine, "")
        machine.wait_for_unit("multi-user.target")
        expect_lustrated(machine, inodes)

    with subtest("the next boot does nothing"):
        machine.succeed("sync")
        machine.crash()
        machine.start()
        machine.wait_for_unit("multi-user.target")
        expect_lustrated(machine, inodes)
  '';
}
