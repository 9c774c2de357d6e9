# Of the whole: releases, kernel, /etc, and the tools that the new system has.
{ options, pkgs, fileSystems, tools, ... }:
let
  inherit (tools) compact get isOn list names text when;

  system = options.system or { };
  overlay = system.etc.overlay or { };
  platform = pkgs.stdenv.hostPlatform or { };
  kernel = (get (options.boot.kernelPackages or { })).kernel or { };
  mounts = type: builtins.any (fs: fs.fsType or null == type) (list fileSystems);
  version = name: text (pkgs.${name}.version or null);
in
compact {
  release = text (get (system.nixos.release or { }));
  stateVersion = text (get (system.stateVersion or { }));
  distroId = text (get (system.nixos.distroId or { }));
  platform = text (platform.system or null);
  efi = platform.isEfi or null;
  kernel = text (kernel.modDirVersion or kernel.version or null);
  modules = names (get (options.boot.kernelModules or { }));
  blacklisted = names (get (options.boot.blacklistedKernelModules or { }));
  etcOverlay = when (isOn (overlay.enable or { })) (compact { enable = true; mutable = get (overlay.mutable or { }); });
  tools = compact {
    e2fsprogs = version "e2fsprogs";
    grub = when (isOn (options.boot.loader.grub.enable or { })) (version "grub2");
    xfsprogs = when (mounts "xfs") (version "xfsprogs");
    btrfs-progs = when (mounts "btrfs") (version "btrfs-progs");
  };
}
