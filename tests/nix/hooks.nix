# The hooks of scripted stage 1 as text: as a nixpkgs builds them, or, without
# one, through just enough of its lib for initrd/scripted.nix.
{
  nixpkgs ? null,
}:
let
  keep = [
    "home/a b"
    "home/it's"
    "home/@shell@"
    "home/$USER"
  ];

  standIn =
    (import ../../initrd/scripted.nix {
      lib = {
        mkIf = _: content: content;
        mkAfter = text: text;
        mkBefore = text: text;
        optionalAttrs = condition: set: if condition then set else { };
      };
      options.boot.initrd = {
        extraUtilsCommands = { };
        postMountCommands = { };
        postResumeCommands = { };
      };
      config = {
        boot.initrd.lustrate = {
          inherit keep;
          package = "/package";
          guard = true;
          everyBoot = false;
        };
        system.nixos.distroId = "nixos";
      };
    }).config.boot.initrd;

  machine = import ./machine.nix;
  evaluated =
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = "x86_64-linux";
      modules = [
        machine.base
        machine.scripted
        { boot.initrd.lustrate.keep = keep; }
      ];
    }).config.boot.initrd;

  hooks = if nixpkgs == null then standIn else evaluated;
in
{
  inherit (hooks) postResumeCommands postMountCommands;
}
