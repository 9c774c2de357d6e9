# boot.initrd.lustrate: what a user can say.
{ lib, pkgs, ... }:
let
  inherit (lib) literalExpression mkOption types;
in
{
  options.boot.initrd.lustrate = {
    enable = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether stage 1 lustrates the root file system when
        {file}`/etc/NIXOS_LUSTRATE` asks for it: everything but {file}`/nix`,
        {file}`/boot` and the paths listed in that file moves to
        {file}`/old-root`. Works in systemd stage 1, where NixOS itself ignores
        the file, and replaces the function of scripted stage 1.

        An interrupted lustration is finished by the next boot. When one fails,
        the boot stops; the console says why and how to go on. In systemd stage
        1 the emergency shell is locked unless
        {option}`boot.initrd.systemd.emergencyAccess` is set.

        On the kernel command line, `lustrate=off` skips it, `lustrate=plan` only
        says what it would do, and `lustrate=revert` puts the old root back and
        reboots.
      '';
    };

    package = mkOption {
      type = types.package;
      default =
        pkgs.nixos-lustrate-initrd
          or (pkgs.pkgsStatic.callPackage ./package.nix { variant = "initrd"; });
      defaultText = literalExpression ''
        pkgs.nixos-lustrate-initrd or (the small static build of this source)
      '';
      description = ''
        The program, with {file}`bin/nixos-lustrate` and
        {file}`lib/systemd/system/nixos-lustrate.service`.
      '';
    };

    keep = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [
        "etc/machine-id"
        "etc/ssh"
        "home"
      ];
      description = ''
        Paths, relative to the root, that a lustration leaves where they are, in
        addition to those that the marker lists. They are never copied. A path
        that does not exist is a warning at boot.

        What {option}`fileSystems` and {option}`swapDevices` rest on in the root is
        kept besides: sources of bind mounts, loop files, layers of overlays, swap
        files.
      '';
    };

    guard = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to stop the boot when the root belongs to another distribution
        and no marker asks for its lustration. NixOS would otherwise activate
        itself over that system's {file}`/etc`. That is what happens on a machine
        that was reverted while its boot loader still starts NixOS.

        The root is another distribution's when its own
        {file}`/etc/os-release` has another `ID` than
        {option}`system.nixos.distroId`.
      '';
    };

    everyBoot = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether to lustrate at every boot, without a marker and with
        {option}`boot.initrd.lustrate.keep` as the whole list. Mutable state that
        is neither kept nor on a file system of its own is then gone after a
        reboot, and found in {file}`/old-root`, or in
        {file}`/old-root-TIME` for earlier boots. A timer removes what is older than
        a month, but for the newest: {option}`services.nixos-lustrate.purge.enable`.
      '';
    };
  };
}
