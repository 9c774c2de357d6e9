# Checks against a nixpkgs: the module in both kinds of stage 1. A set of
# booleans, named after what they say.
{ nixpkgs }:
let
  lib = import (nixpkgs + "/lib");
  inherit (lib) elem filter hasInfix hasPrefix;
  machine = import ./machine.nix;
  packages = machine.on nixpkgs;

  evaluate =
    modules:
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = "x86_64-linux";
      modules = [
        machine.base
        packages
      ] ++ modules;
    }).config;

  dropIn = config: config.boot.initrd.systemd.services.nixos-lustrate;
  # What becomes of it on disk.
  dropInText = config: config.boot.initrd.systemd.units."nixos-lustrate.service".text;
  comesLater = config: unit: elem unit (dropIn config).before && elem unit (dropIn config).requiredBy;

  faults = config: map (a: a.message) (filter (a: !a.assertion) config.assertions);
  ourFaults = config: filter (hasPrefix "boot.initrd.lustrate") (faults config);
  ourWarnings = config: filter (hasPrefix "boot.initrd.lustrate") config.warnings;

  fails = text: modules: builtins.any (hasInfix text) (ourFaults (evaluate modules));
  warns = text: modules: builtins.any (hasInfix text) (ourWarnings (evaluate modules));
  isQuiet =
    modules:
    let
      config = evaluate modules;
    in
    ourFaults config == [ ] && ourWarnings config == [ ];

  rootOf = fsType: {
    fileSystems."/".fsType = lib.mkForce fsType;
    networking.hostId = "12345678";
  };
  keeping = keep: { boot.initrd.lustrate.keep = keep; };
  everyBoot = {
    boot.initrd.lustrate = {
      everyBoot = true;
      keep = [ "etc/machine-id" ];
    };
  };
  ssh.services.openssh.enable = true;
  zfsOf =
    version:
    { pkgs, ... }:
    {
      boot.zfs.package = pkgs.zfs.overrideAttrs { inherit version; };
    };

  plain = evaluate [ machine.systemd ];
  separate = evaluate [
    machine.systemd
    machine.separate
  ];
  overlay = evaluate [
    machine.systemd
    machine.etcOverlay
  ];
  awkward = evaluate [
    machine.systemd
    machine.awkward
  ];
  scripted = evaluate [ machine.scripted ];
  off = evaluate [
    machine.systemd
    { boot.initrd.lustrate.enable = lib.mkForce false; }
  ];

  purgeText = config: unit: config.systemd.units."nixos-lustrate-purge.${unit}".text;
  purging = settings: evaluate [
    machine.systemd
    { services.nixos-lustrate.purge = settings // { enable = true; }; }
  ];
  hasPurge = config: config.systemd.services ? nixos-lustrate-purge || config.systemd.timers ? nixos-lustrate-purge;

  extension = config: config.boot.bootspec.extensions."org.nixos-lustrate.v1" or null;
in
{
  "systemd: the unit comes from the package, byte for byte" = elem plain.boot.initrd.lustrate.package plain.boot.initrd.systemd.packages;
  "systemd: the program is in /bin, for the unit and the emergency shell" =
    plain.boot.initrd.systemd.extraBin ? nixos-lustrate;
  "systemd: the defaults leave the packaged command alone" = !hasInfix "ExecStart" (dropInText plain);
  "systemd: the root's target requires the run" = elem "initrd-root-fs.target" (dropIn plain).requiredBy;
  "systemd: /run and activation come later" =
    comesLater plain "sysroot-run.mount" && comesLater plain "initrd-nixos-activation.service";
  "systemd: separate file systems come later" =
    comesLater separate "sysroot-nix.mount"
    && comesLater separate "sysroot-var-log.mount"
    && comesLater separate "sysroot-persist.mount";
  "systemd: what stage 1 does not mount is not named" = !comesLater separate "sysroot-home.mount";
  "systemd: the root itself is not later" = !builtins.any (name: elem name (dropIn separate).before) [
    "sysroot.mount"
    "sysroot-.mount"
    "nixos-lustrate.service"
  ];
  "systemd: LVM on LUKS" = comesLater (evaluate [
    machine.systemd
    machine.lvmOnLuks
  ]) "sysroot-var.mount";
  "systemd: subvolumes come later" =
    let
      config = evaluate [
        machine.systemd
        machine.btrfs
      ];
    in
    comesLater config "sysroot-nix.mount" && comesLater config "sysroot-var-log.mount" && ourFaults config == [ ];
  "systemd: the etc overlay comes later" =
    comesLater overlay "sysroot-etc.mount"
    && comesLater overlay "rw-etc.service"
    && builtins.any (comesLater overlay) [
      "run-etc\\x2dmetadata.mount"
      "run-nixos\\x2detc\\x2dmetadata.mount"
    ];
  "systemd: a service of the user's that works in the root comes later" = comesLater (evaluate [
    machine.systemd
    { boot.initrd.systemd.services.mine.unitConfig.RequiresMountsFor = "/sysroot/var"; }
  ]) "mine.service";
  "systemd: a service that asks to be earlier is left alone" =
    !comesLater (evaluate [
      machine.systemd
      {
        boot.initrd.systemd.services.mine = {
          after = [ "sysroot.mount" ];
          before = [ "nixos-lustrate.service" ];
        };
      }
    ]) "mine.service";
  "systemd: keepers are escaped for ExecStart" =
    builtins.all (word: hasInfix word (dropInText awkward)) [
      "ExecStart=\nExecStart=\"/bin/nixos-lustrate\" \"run\" "
      "\"--keep=home/a b\""
      "\"--keep=home/50%%\""
      "\"--keep=home/$$USER\""
      "\"--keep=home/\\\"q\\\"\""
      "\"--keep=home/it's\""
      "\"--keep=home/back\\\\slash\""
      "\"--keep=home/ü\""
    ];
  "systemd: every option reaches the command" = hasInfix
    ''"run" "--keep=etc/machine-id" "--always" "--system-id=other" "--no-guard"''
    (
      dropInText (evaluate [
        machine.systemd
        everyBoot
        {
          boot.initrd.lustrate.guard = false;
          system.nixos.distroId = "other";
        }
      ])
    );
  "systemd: no hook of scripted stage 1 is set" = builtins.all (m: !hasInfix "postResumeCommands" m) (faults plain);
  "systemd: without a shell in the initrd" = isQuiet [
    machine.systemd
    (
      { options, ... }:
      {
        boot.initrd.systemd = lib.optionalAttrs (options.boot.initrd.systemd ? shell) { shell.enable = false; };
      }
    )
  ];

  "scripted: the program is copied" = hasInfix "/bin/nixos-lustrate" scripted.boot.initrd.extraUtilsCommands;
  "scripted: lustrateRoot is defined anew" = hasInfix "lustrateRoot()" scripted.boot.initrd.postResumeCommands;
  "scripted: a root that was mounted otherwise is seen to" = hasInfix "lustrateRoot /mnt-root" scripted.boot.initrd.postMountCommands;
  "scripted: no placeholder of a keeper survives into the hook" =
    !hasInfix "@shell@" (evaluate [
      machine.scripted
      machine.awkward
    ]).boot.initrd.postResumeCommands;
  "scripted: no unit" = !(scripted.boot.initrd.systemd.services ? nixos-lustrate);

  "off: nothing is left of it" =
    !(off.boot.initrd.systemd.services ? nixos-lustrate)
    && !(off.boot.initrd.systemd.extraBin ? nixos-lustrate)
    && extension off == null;

  "the bootspec says version and stage 1" =
    (extension plain).stage1 == "systemd"
    && (extension scripted).stage1 == "scripted"
    && (extension plain).version == (lib.importTOML ../../Cargo.toml).package.version;

  "purge: nothing without being asked" = !hasPurge plain && !hasPurge scripted;
  "purge: every boot prunes, in both kinds of stage 1" = builtins.all (kind: hasPurge (evaluate [ kind everyBoot ])) [
    machine.systemd
    machine.scripted
  ];
  "purge: every boot without it" = !hasPurge (evaluate [
    machine.systemd
    everyBoot
    { services.nixos-lustrate.purge.enable = false; }
  ]);
  "purge: not in the initrd" = !((purging { }).boot.initrd.systemd.services ? nixos-lustrate-purge);
  "purge: without lustration" = hasPurge (evaluate [
    machine.systemd
    {
      boot.initrd.lustrate.enable = lib.mkForce false;
      services.nixos-lustrate.purge.enable = true;
    }
  ]);
  "purge: the units come from the package" =
    let
      config = purging { };
    in
    elem config.services.nixos-lustrate.purge.package config.systemd.packages
    && config.services.nixos-lustrate.purge.package != config.boot.initrd.lustrate.package;
  "purge: the defaults" = hasInfix
    ''/bin/nixos-lustrate" "purge" "--yes" "--keep=1" "--older-than=30d"''
    (purgeText (purging { }) "service");
  "purge: every option reaches the units" =
    let
      config = purging {
        keep = 3;
        olderThan = "1w2d";
        dates = "Sun 03:00";
      };
    in
    hasInfix ''"purge" "--yes" "--keep=3" "--older-than=1w2d"'' (purgeText config "service")
    && hasInfix "OnCalendar=\nOnCalendar=Sun 03:00\nOnStartupSec=15min\n" (purgeText config "timer")
    && (config.systemd.timers.nixos-lustrate-purge).wantedBy == [ "timers.target" ];
  "purge: whatever its age" = hasInfix ''"purge" "--yes" "--keep=2"'' (purgeText (purging {
    keep = 2;
    olderThan = null;
  }) "service") && !hasInfix "older-than" (purgeText (purging { olderThan = null; }) "service");
  "purge: an age that is none is refused" =
    let
      of = olderThan: builtins.tryEval (purging { inherit olderThan; }).services.nixos-lustrate.purge.olderThan;
    in
    (of "30d").success && (of "1w2d").success && !builtins.any (age: (of age).success) [
      "30"
      "30 d"
      "a month"
      ""
    ];

  "ordinary configurations are quiet" = builtins.all isQuiet [
    [ machine.systemd ]
    [ machine.scripted ]
    [
      machine.systemd
      machine.separate
      (keeping [
        "etc/ssh"
        "home"
      ])
    ]
    [
      machine.systemd
      machine.etcOverlay
      (keeping [ ".rw-etc/upper/ssh" ])
    ]
  ];
  "assertion: a container" = fails "a container has no stage 1" [ { boot.isContainer = true; } ];
  "assertion: no initrd" = fails "there is no stage 1" [ { boot.initrd.enable = false; } ];
  "assertion: a root in memory" = fails "the root file system is tmpfs" [ (rootOf "tmpfs") ];
  "assertion: an overlay as root" = fails "the root file system is overlay" [ (rootOf "overlay") ];
  "assertion: a read-only root" = fails "stage 1 mounts the root read-only" [ { fileSystems."/".options = [ "ro" ]; } ];
  "assertion: a keeper that climbs" = fails ''"var/../etc"'' [ (keeping [ "var/../etc" ]) ];
  "assertion: the root as keeper" = fails "the root itself" [ (keeping [ "/" ]) ];
  "assertion: an empty keeper" = fails "empty" [ (keeping [ "" ]) ];
  "assertion: a keeper that the etc overlay would hide" =
    fails "keep \".rw-etc/upper/ssh\"" [
      machine.systemd
      machine.etcOverlay
      (keeping [ "etc/ssh" ])
    ];
  "warning: a keeper that never moves" = warns ''"nix/var"'' [ (keeping [ "nix/var" ]) ];
  "warning: an old ZFS" = warns "ZFS 2.1.15" [
    (rootOf "zfs")
    (zfsOf "2.1.15")
  ];
  "warning: no warning for a ZFS that can exchange" = !warns "ZFS" [
    (rootOf "zfs")
    (zfsOf "2.2.4")
  ];
  "warning: every boot with nothing kept" = warns "is empty" [ { boot.initrd.lustrate.everyBoot = true; } ];
  "warning: every boot with new host keys" = warns "\"etc/ssh/ssh_host_ed25519_key\"" [
    everyBoot
    ssh
    { services.openssh.hostKeys = lib.mkForce [ { path = "etc/ssh/ssh_host_ed25519_key"; type = "ed25519"; } ]; }
  ];
  "warning: every boot with the default host keys" = warns "host keys" [
    everyBoot
    ssh
  ];
  "warning: kept host keys are fine" =
    !warns "host keys" [
      everyBoot
      ssh
      (keeping [ "etc/ssh" ])
    ];
  "warning: host keys on a file system of their own are fine" =
    !warns "host keys" [
      everyBoot
      ssh
      machine.separate
      {
        services.openssh.hostKeys = lib.mkForce [
          {
            path = "/persist/key";
            type = "ed25519";
          }
        ];
      }
    ];
  "warning: host keys under the etc overlay are meant in its upper directory" = warns "Add\n\".rw-etc/upper/ssh/" [
    machine.systemd
    machine.etcOverlay
    { boot.initrd.lustrate = { everyBoot = true; keep = [ "var/lib/nixos" ]; }; }
    ssh
  ];
  "what file systems and swap files rest on is kept, in both kinds of stage 1, and said in the bootspec" =
    let
      resting = {
        fileSystems."/var/log" = {
          device = "/data/log";
          fsType = "none";
          options = [ "bind" ];
        };
        swapDevices = [
          { device = "/swapfile"; }
          { device = "/dev/sda2"; }
        ];
      };
      words = [
        "--keep=data/log"
        "--keep=swapfile"
      ];
      of = kind: evaluate [ kind resting ];
    in
    builtins.all (word: hasInfix word (dropInText (of machine.systemd))) words
    && builtins.all (word: hasInfix word (of machine.scripted).boot.initrd.postResumeCommands) words
    && !hasInfix "sda2" (dropInText (of machine.systemd))
    && (extension (of machine.systemd)).keep == [
      "data/log"
      "swapfile"
    ]
    && isQuiet [ machine.systemd everyBoot resting ];
}
