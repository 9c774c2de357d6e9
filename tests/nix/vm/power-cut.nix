# The power fails again and again while a root of 20,000 entries is lustrated.
# Whenever it fails, the boot that is let through ends in a lustrated root.
{
  name = "nixos-lustrate-power-cut";

  nodes.machine = {
    imports = [ ../node ];
    boot.initrd.systemd.enable = true;
  };

  testScript = ''
    ${builtins.readFile ../node/script.py}
    import random
    import time

    machine.wait_for_unit("multi-user.target")
    inodes = old_population(machine)
    machine.succeed("cd / && seq -f entry%g 20000 | xargs mkdir")
    ask_for_lustration(machine)

    for cut in range(12):
        delay = random.uniform(0.5, 6)
        machine.log(f"power cut {cut} after {delay:.2f} s")
        machine.start()
        time.sleep(delay)
        machine.crash()

    machine.start()
    machine.wait_for_unit("multi-user.target")
    expect_lustrated(machine, inodes)
    machine.succeed("test $(ls -d /old-root/entry* | wc -l) = 20000")
    machine.fail("ls -d /entry*")
  '';
}
