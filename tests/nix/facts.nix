# The facts of configurations.nix, as facts/NAME.json has them: valid JSON, a group
# on each line. `part` of `parts` of them, so that two processes share the work.
{
  nixpkgs,
  part ? 0,
  parts ? 1,
}:
let
  lib = import (nixpkgs + "/lib");
  configurations = import ./configurations.nix { inherit nixpkgs lib; };

  pkgsOf = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] ((import ./machine.nix).packages nixpkgs "1.88.0");
  base = {
    imports = [ ../../initrd/module.nix ];
    boot.initrd.lustrate.enable = true;
    boot.loader.grub.device = lib.mkDefault "nodev";
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    system.stateVersion = "24.05";
  };
in
rec {
  inherit lib;

  # system: modules: what evaluation gives.
  evaluate =
    system: modules:
    import (nixpkgs + "/nixos/lib/eval-config.nix") {
      inherit system;
      modules = [ base { nixpkgs.pkgs = pkgsOf.${system}; } ] ++ modules;
    };
  extension = evaluated: evaluated.config.boot.bootspec.extensions."org.nixos-lustrate.v1";
  configuration = evaluated: (extension evaluated).configuration;

  # By functions, so that what was evaluated can go.
  table =
    lib.mapAttrs (_: modules: _: evaluate "x86_64-linux" modules) (removeAttrs configurations [ "aarch64" ])
    // lib.mapAttrs (_: modules: _: evaluate "aarch64-linux" modules) configurations.aarch64;

  render =
    facts:
    "{\n"
    + lib.concatStringsSep ",\n" (lib.mapAttrsToList (name: group: "${builtins.toJSON name}:${builtins.toJSON group}") facts)
    + "\n}\n";

  # "== NAME" before each.
  text = lib.concatStrings (
    lib.imap0 (
      index: name:
      lib.optionalString (lib.mod index parts == part) "== ${name}\n${render (configuration (table.${name} { }))}"
    ) (lib.attrNames table)
  );
}
