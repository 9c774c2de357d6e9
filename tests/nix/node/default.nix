# What the machines of the VM tests have in common. Their driver mounts
# /nix/store and more below / in stage 1, so each of them meets the race between
# those mounts and the lustration.
{
  imports = [ ../../../initrd/module.nix ];

  boot.initrd.lustrate.enable = true;

  # Also a file system below an entry that moves.
  virtualisation.fileSystems."/var/log" = {
    fsType = "tmpfs";
    device = "tmpfs";
    neededForBoot = true;
  };
}
