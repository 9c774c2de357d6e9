# boot.initrd.lustrate.rests: what the configuration rests on in the root, for the
# command line and the bootspec.
{ config, lib, ... }:
{
  options.boot.initrd.lustrate.rests = lib.mkOption {
    type = lib.types.listOf lib.types.str;
    default = (import ./keep.nix).rests {
      fileSystems = lib.attrValues (config.fileSystems or { });
      swapDevices = config.swapDevices or [ ];
    };
    internal = true;
    readOnly = true;
    description = "What file systems and swap files rest on in the root.";
  };
}
