# services.nixos-lustrate.purge: a timer that removes old roots, on the running
# system, whatever made them.
{
  config,
  lib,
  options,
  pkgs,
  utils,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.services.nixos-lustrate.purge;
  lustrate = config.boot.initrd.lustrate;
  arguments = import ./arguments.nix;
in
{
  options.services.nixos-lustrate.purge = {
    enable = mkOption {
      type = types.bool;
      default = lustrate.enable && lustrate.everyBoot;
      defaultText = literalExpression ''
        config.boot.initrd.lustrate.enable && config.boot.initrd.lustrate.everyBoot
      '';
      example = true;
      description = ''
        Whether a timer removes old roots, {file}`/old-root` and
        {file}`/old-root-TIME`, that are neither among the newest
        {option}`services.nixos-lustrate.purge.keep` nor younger than
        {option}`services.nixos-lustrate.purge.olderThan`. On by default where each
        boot makes one.

        An old root that is immutable itself (`chattr +i`) stays. One in which
        something is mounted or used as swap space makes the purge refuse, with
        the reason in the journal and nothing removed. What a revert set aside,
        {file}`/nixos-root`, goes by hand only: `nixos-lustrate purge nixos-root`.
      '';
    };

    package = mkOption {
      type = types.package;
      default = pkgs.nixos-lustrate or (pkgs.pkgsStatic.callPackage ./package.nix { });
      defaultText = literalExpression ''
        pkgs.nixos-lustrate or (the static build of this source)
      '';
      description = ''
        The full program, with {file}`bin/nixos-lustrate` and
        {file}`lib/systemd/system/nixos-lustrate-purge.service` and its timer.
      '';
    };

    keep = mkOption {
      type = types.ints.unsigned;
      default = 1;
      example = 0;
      description = ''
        How many of the newest old roots stay, whatever their age. With 0, the
        timer also removes the last one, and with it the way back to the system
        that was there before NixOS.
      '';
    };

    olderThan = mkOption {
      type = types.nullOr (types.strMatching "([0-9]+[smhdw])+");
      default = "30d";
      example = "2w";
      description = ''
        How long ago the lustration was of what is removed: numbers with `s`, `m`,
        `h`, `d` or `w`. Null removes all that
        {option}`services.nixos-lustrate.purge.keep` does not keep.
      '';
    };

    dates = mkOption {
      type = types.singleLineStr;
      default = "daily";
      example = "Sun 03:00";
      description = ''
        When it is done, as {manpage}`systemd.time(7)` has it; also a quarter of an
        hour after each boot.
      '';
    };
  };

  # As in systemd.nix.
  config = lib.mkIf cfg.enable (lib.optionalAttrs (options ? systemd.timers) {
    systemd.packages = [ cfg.package ];

    systemd.services.nixos-lustrate-purge.serviceConfig.ExecStart = [
      "" # the packaged one
      (utils.escapeSystemdExecArgs (
        [
          "${cfg.package}/bin/nixos-lustrate"
          "purge"
        ]
        ++ arguments.purge { inherit (cfg) keep olderThan; }
      ))
    ];

    systemd.timers.nixos-lustrate-purge = {
      # [Install] is not read by nixpkgs.
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = [
          "" # takes the packaged one away, and OnStartupSec= with it
          cfg.dates
        ];
        # Behind it, since the settings come in the order of their names.
        OnStartupSec = "15min";
      };
    };
  });
}
