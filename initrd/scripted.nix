# Scripted stage 1 (nixpkgs, nixos/modules/system/boot/stage-1-init.sh).
#
# Its mountFS calls lustrateRoot after mounting /, but only if the marker is a
# file, and ignores its status. Both functions are defined before
# postResumeCommands, so lustrateRoot can be defined anew there. That alone
# serves the marker; a run that was interrupted between the two renames of a file
# system without RENAME_EXCHANGE, the guard and everyBoot have no marker. Hence
# `mount` becomes a function too: mountFS remounts / just before it looks for the
# marker, and there is nothing below / yet.
{
  config,
  lib,
  options,
  ...
}:
let
  cfg = config.boot.initrd.lustrate;
  arguments = import ./arguments.nix;
  stage1 = import ./stage1.nix { inherit options; };

  words = arguments.toShell (
    arguments.list {
      inherit (cfg) guard everyBoot;
      keep = cfg.keep ++ cfg.rests or [ ];
      systemId = config.system.nixos.distroId or "nixos";
    }
  );
in
{
  config = lib.mkIf (cfg.enable && stage1.kind == "scripted") {
    # Releases without scripted stage 1 have none of these options, and a
    # definition of an undeclared option is an error even inside mkIf.
    boot.initrd = lib.optionalAttrs stage1.can.scripted {
      # patchelf leaves a static program as it is.
      extraUtilsCommands = ''
        copy_bin_and_libs ${cfg.package}/bin/nixos-lustrate
      '';

      postResumeCommands = lib.mkAfter ''
        # By this file the program knows that it runs in an initrd.
        touch /etc/initrd-release

        lustrateRoot() {
            [ -z "$lustrateRootDone" ] || return 0
            until nixos-lustrate run --root="$1" ${words}; do
                echo "The boot does not go on before the lustration has succeeded: any key but those below tries again."
                fail
                sleep 1
            done
            lustrateRootDone=1
        }

        mount() {
            command mount "$@"
            set -- "$?" "$@"
            case "$2 $3 $4" in
                "/mnt-root/ -o remount,"*) lustrateRoot /mnt-root ;;
            esac
            return "$1"
        }
      '';

      # For a root that was mounted in some other way. With other file systems
      # mounted below it a run that has work to do is refused; without work, the
      # guard has its say.
      postMountCommands = lib.mkBefore ''
        lustrateRoot /mnt-root
      '';
    };
  };
}
