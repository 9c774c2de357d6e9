# A root that belongs to another distribution is not booted into NixOS.
{
  name = "nixos-lustrate-guard";

  nodes.machine = {
    imports = [ ../node ];
    boot.initrd.systemd.enable = true;
  };

  testScript = ''
    ${builtins.readFile ../node/script.py}

    machine.wait_for_unit("multi-user.target")
    inodes = old_population(machine)
    machine.succeed(
        "rm /etc/os-release",
        "printf 'ID=debian\\nPRETTY_NAME=\"Debian GNU/Linux 12\"\\n' > /etc/os-release",
        "sync",
    )
    machine.crash()

    machine.start()
    machine.wait_for_console_text("Debian GNU/Linux 12")
    machine.wait_for_console_text("emergency")
    machine.crash()

    boot_with(machine, "lustrate=off")
    machine.wait_for_unit("multi-user.target")
    expect_untouched(machine, inodes)
  '';
}
