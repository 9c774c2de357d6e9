# The NixOS module: options, checks, one file for each kind of stage 1, and the
# timer that removes old roots.
#
# With flakes: nixos-lustrate.nixosModules.default. Without: import this file by
# its path. It needs nothing but the pkgs of the configuration.
{
  config,
  lib,
  options,
  pkgs,
  utils,
  ...
}:
let
  cfg = config.boot.initrd.lustrate;
in
{
  # Two copies of this file, from two inputs of a flake, are one module.
  key = "nixos-lustrate#module";

  imports = [
    ./options.nix
    ./rests.nix
    ./checks.nix
    ./systemd.nix
    ./scripted.nix
    ./purge.nix
  ];

  # A definition of an option that a tree does not have is an error even in mkIf.
  config = lib.optionalAttrs (options ? boot.bootspec.extensions) {
    # In boot.json of the generation: `nixos-lustrate check` reads there, before
    # the first reboot, whether that initrd will lustrate. Nothing is written when
    # it will not.
    boot.bootspec.extensions = lib.mkIf cfg.enable {
      "org.nixos-lustrate.v1" = {
        inherit (cfg.package) version;
        inherit (cfg) guard everyBoot;
        keep = lib.unique (cfg.keep ++ cfg.rests);
        stage1 = (import ./stage1.nix { inherit options; }).kind;
        configuration = import ./facts.nix { inherit options pkgs utils; };
      };
    };
  };
}
