# The NixOS module: options, checks, one file for each kind of stage 1, and the
# timer that removes old roots.
#
# With flakes: nixos-lustrate.nixosModules.default. Without: import this file by
# its path. It needs nothing but the pkgs of the configuration.
{ config, lib, ... }:
let
  cfg = config.boot.initrd.lustrate;
in
{
  imports = [
    ./options.nix
    ./rests.nix
    ./checks.nix
    ./systemd.nix
    ./scripted.nix
    ./purge.nix
  ];

  config = lib.mkIf cfg.enable {
    # In boot.json of the generation: `nixos-lustrate check` reads there, before
    # the first reboot, whether that initrd will lustrate.
    boot.bootspec.extensions."org.nixos-lustrate.v1" = {
      inherit (cfg.package) version;
      inherit (cfg) guard everyBoot;
      keep = lib.unique (cfg.keep ++ cfg.rests);
      stage1 = if config.boot.initrd.systemd.enable then "systemd" else "scripted";
    };
  };
}
