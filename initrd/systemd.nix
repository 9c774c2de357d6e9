# systemd stage 1: the packaged unit, and the drop-in that only this
# configuration can know.
{
  config,
  lib,
  options,
  utils,
  ...
}:
let
  cfg = config.boot.initrd.lustrate;
  systemd = config.boot.initrd.systemd;
  stage1 = import ./stage1.nix { inherit options; };
  units = import ./units.nix { escape = utils.escapeSystemdPath; };

  # The unit and the emergency shell both call it by this path.
  program = "/bin/nixos-lustrate";

  arguments = (import ./arguments.nix).list {
    inherit (cfg) guard everyBoot;
    keep = cfg.keep ++ cfg.rests or [ ];
    systemId = config.system.nixos.distroId or "nixos";
  };

  # nixpkgs mounts these in stage 1 (nixos/modules/tasks/filesystems.nix writes
  # them to the fstab that SYSTEMD_SYSROOT_FSTAB names).
  fileSystems = lib.filter utils.fsNeededForBoot (config.system.build.fileSystems or [ ]);

  later = units.unique (
    units.always
    ++ units.ofFileSystems fileSystems
    ++ units.ofMounts "mount" (systemd.mounts or [ ])
    ++ units.ofMounts "automount" (systemd.automounts or [ ])
    ++ units.ofServices systemd.services
  );
in
{
  # A definition of an option that a tree does not have is an error even in mkIf.
  config = lib.optionalAttrs stage1.can.systemd (
    lib.mkIf (cfg.enable && stage1.kind == "systemd") {
      boot.initrd.systemd = {
        packages = [ cfg.package ];
        extraBin.nixos-lustrate = "${cfg.package}/bin/nixos-lustrate";

        services.nixos-lustrate = {
          before = later;
          # Ordering alone lets systemd go on mounting after a failed run, and
          # create mount points in the old root. The links that this makes bind
          # generated units too. [Install] is not read by nixpkgs.
          requiredBy = [ "initrd-root-fs.target" ] ++ later;

          serviceConfig = lib.mkIf (arguments != [ ]) {
            ExecStart = [
              "" # the packaged one
              (utils.escapeSystemdExecArgs (
                [
                  program
                  "run"
                ]
                ++ arguments
              ))
            ];
          };
        };
      };
    }
  );
}
