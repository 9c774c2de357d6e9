# What the NixOS module of this project puts into a stage 1, without nixpkgs:
# the few functions of its library that the module calls are stubs here.
{
  module,
  keep,
  guard,
  everyBoot,
  mountPoints,
}:
let
  lib = {
    inherit (builtins) filter;
    mkIf = _: content: content;
    mkAfter = text: text;
    mkBefore = text: text;
    optionalAttrs = condition: set: if condition then set else { };
  };

  utils = {
    fsNeededForBoot = _: true;
    escapeSystemdPath =
      path: builtins.replaceStrings [ "/" ] [ "-" ] (builtins.head (builtins.match "/*(.*)" path));
    escapeSystemdExecArgs = builtins.concatStringsSep " ";
  };

  config = isSystemd: {
    boot.initrd.lustrate = {
      enable = true;
      package = "/package";
      inherit keep guard everyBoot;
    };
    boot.initrd.systemd = {
      enable = isSystemd;
      automounts = [ ];
      mounts = [
        {
          where = "/sysroot/run";
          what = "/run";
        }
        {
          where = "/sysroot/etc";
          what = "overlay";
        }
      ];
      services = {
        rw-etc.unitConfig.RequiresMountsFor = "/sysroot";
        initrd-find-nixos-closure.unitConfig.RequiresMountsFor = "/sysroot/nix/store";
        initrd-nixos-activation.unitConfig.RequiresMountsFor = [ "/sysroot/run" ];
      };
    };
    system.nixos.distroId = "nixos";
    system.build.fileSystems = map (mountPoint: { inherit mountPoint; }) mountPoints;
  };

  evaluate =
    file: isSystemd:
    (import (module + "/${file}") {
      inherit lib utils;
      config = config isSystemd;
      # Names alone matter, and which stage 1 is asked for.
      options.boot.initrd = {
        extraUtilsCommands = null;
        postMountCommands = null;
        postResumeCommands = null;
        systemd = {
          enable.value = isSystemd;
          extraBin = null;
          packages = null;
          services = null;
        };
      };
    }).config.boot.initrd;

  systemd = (evaluate "systemd.nix" true).systemd.services.nixos-lustrate;
  scripted = evaluate "scripted.nix" false;
  words = builtins.concatStringsSep " ";
in
{
  drop-in = ''
    [Unit]
    Before=${words systemd.before}
    [Service]
    ${builtins.concatStringsSep "\n" (map (command: "ExecStart=${command}") systemd.serviceConfig.ExecStart)}
  '';
  required-by = builtins.concatStringsSep "\n" systemd.requiredBy;
  post-resume = scripted.postResumeCommands;
  # stage-1-init.sh has both hooks at their places in one script.
  post-mount = scripted.postMountCommands;
}
