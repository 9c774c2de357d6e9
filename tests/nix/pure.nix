# Checks that need no nixpkgs: the pure parts of the module. A set of booleans,
# named after what they say.
let
  keep = import ../../initrd/keep.nix;
  arguments = import ../../initrd/arguments.nix;

  # Enough of systemd's path escaping for the names used here.
  escape =
    path:
    builtins.replaceStrings [ "-" "/" ] [ "\\x2d" "-" ] (
      builtins.substring 1 (builtins.stringLength path) path
    );
  units = import ../../initrd/units.nix { inherit escape; };

  defaults = {
    keep = [ ];
    guard = true;
    everyBoot = false;
    systemId = "nixos";
  };

  services = {
    by-mount.unitConfig.RequiresMountsFor = "/var /sysroot/nix/store";
    by-list.unitConfig.RequiresMountsFor = [ "/sysroot" ];
    by-wish.unitConfig.WantsMountsFor = "/sysroot/var";
    by-order.after = [ "sysroot.mount" ];
    by-requirement.requires = [ "sysroot.mount" ];
    disabled = {
      enable = false;
      after = [ "sysroot.mount" ];
    };
    elsewhere.unitConfig.RequiresMountsFor = "/sysrootless";
    first = {
      after = [ "sysroot.mount" ];
      before = [ "nixos-lustrate.service" ];
    };
    wiper.before = [ "sysroot.mount" ];
    systemd-repart.after = [ "sysroot.mount" ];
    nixos-lustrate.after = [ "sysroot.mount" ];
  };

  flake = import ../../flake.nix;
  lock = builtins.fromJSON (builtins.readFile ../../flake.lock);
  purge = builtins.readFile ../../initrd/nixos-lustrate-purge.service;
  purgeTimer = builtins.readFile ../../initrd/nixos-lustrate-purge.timer;
  unit = builtins.readFile ../../initrd/nixos-lustrate.service;
  saysIn = text: line: builtins.match "(.*\n)?${line}\n.*" text != null;
in
{
  "slashes, dots and white space around a keeper do not matter" =
    keep.components " /home//./alice/\n" == [
      "home"
      "alice"
    ];
  "white space inside a keeper matters" = keep.components "my files" == [ "my files" ];
  "the root is not a keeper" = builtins.all keep.isRoot [
    ""
    "/"
    "."
    " // "
  ];
  "two dots climb" = keep.climbs "home/../etc" && !keep.climbs "home/..x/.etc";
  "a name has 255 bytes at the most" =
    let
      name = builtins.concatStringsSep "" (builtins.genList (_: "x") 255);
    in
    keep.isTooLong "a/${name}x" && !keep.isTooLong "a/${name}";
  "nix, boot and old roots are protected" = builtins.all keep.isProtected [
    "nix"
    "/boot/efi"
    "old-root/etc"
    "old-root-2026"
    "old-root.tmp"
  ];
  "other entries are not protected" = !builtins.any keep.isProtected [
    "etc/nix"
    "boot.bak"
    "nixos"
    "old-rooted"
    ""
  ];
  "a keeper covers what is below it" = keep.isKept [ "/home" ] "home/alice";
  "a keeper covers nothing beside it" = !keep.isKept [ "home/alice" ] "home" && !keep.isKept [ "home" ] "homework";

  "what is mounted from the root is kept" =
    keep.rests {
      fileSystems = [
        {
          mountPoint = "/";
          device = "/dev/disk/by-label/root";
        }
        {
          mountPoint = "/nix";
          device = "/home//nix/";
          options = [ "bind" ];
        }
        {
          mountPoint = "/persist";
          device = "/dev/disk/by-label/persist";
        }
        {
          mountPoint = "/var/log";
          device = "/persist/log"; # on another file system
          options = [ "bind" ];
        }
        {
          mountPoint = "/srv";
          device = "/data/srv.img";
          options = [ "loop" ];
        }
        {
          mountPoint = "/opt";
          device = "overlay";
          options = [
            "lowerdir=/sysroot/opt.lower:/persist/lower:/opt.more"
            "upperdir=/mnt-root/opt.upper"
            "workdir=/opt.work"
          ];
        }
        {
          mountPoint = "/store";
          device = "/nix/store"; # never moved
          options = [ "bind" ];
        }
        {
          mountPoint = "/share";
          device = "//server/share";
        }
        {
          mountPoint = "/tmp";
          device = "tmpfs";
        }
        {
          mountPoint = "/nothing";
          device = null;
          options = null;
        }
      ];
      swapDevices = [
        { device = "/dev/sda2"; }
        { device = "/swapfile"; }
        { device = "/home/nix"; }
      ];
    } == [
      "home/nix"
      "data/srv.img"
      "opt.lower"
      "opt.more"
      "opt.upper"
      "opt.work"
      "swapfile"
    ];
  "subvolumes of the root's device count when they lie in it" =
    let
      of =
        top: subvolumes:
        keep.rests {
          fileSystems =
            [
              {
                mountPoint = "/";
                device = "/dev/a";
                fsType = "btrfs";
                options = top;
              }
            ]
            ++ map (subvolume: {
              mountPoint = "/mnt/${subvolume}";
              device = "/dev/a";
              fsType = "btrfs";
              options = [ "subvol=${subvolume}" ];
            }) subvolumes;
          swapDevices = [ ];
        };
    in
    of [ ] [ "/@nix" "nix" ] == [ "@nix" ]
    && of [ "subvol=/@" ] [ "@nix" "/@" ] == [ ]
    && of [ "subvol=@" ] [ "@/var/lib" "@x/y" ] == [ "var/lib" ]
    && keep.rests { fileSystems = [ ]; swapDevices = [ ]; } == [ ];

  "the defaults need no argument" = arguments.list defaults == [ ];
  "every option is an argument" =
    arguments.list {
      keep = [
        "home"
        "etc/ssh"
      ];
      guard = false;
      everyBoot = true;
      systemId = "mine";
    } == [
      "--keep=home"
      "--keep=etc/ssh"
      "--always"
      "--system-id=mine"
      "--no-guard"
    ];
  "a purge asks nobody, and keeps what the options say" =
    arguments.purge {
      keep = 1;
      olderThan = "30d";
    } == [
      "--yes"
      "--keep=1"
      "--older-than=30d"
    ]
    && arguments.purge {
      keep = 0;
      olderThan = null;
    } == [
      "--yes"
      "--keep=0"
    ];
  "shell words are quoted, and hold no placeholder" =
    arguments.toShell [
      "a b"
      "it's"
      "@shell@"
    ] == "'a b' 'it'\\''s' ''\\@'shell'\\@''";

  "services that need the root come later, no others" =
    units.ofServices services == [
      "by-list.service"
      "by-mount.service"
      "by-order.service"
      "by-requirement.service"
      "by-wish.service"
    ];
  "file systems below the root come later, the root does not" =
    units.ofFileSystems [
      { mountPoint = "/"; }
      { mountPoint = "/nix"; }
      { mountPoint = "/var/log-files"; }
      {
        mountPoint = "/srv";
        options = [ "x-systemd.automount" ];
      }
    ] == [
      "sysroot-nix.mount"
      "sysroot-var-log\\x2dfiles.mount"
      "sysroot-srv.automount"
      "sysroot-srv.mount"
    ];
  "mounts from and to the root come later" =
    units.ofMounts "mount" [
      { where = "/sysroot"; }
      { where = "/sysroot/etc"; }
      {
        where = "/run/metadata";
        what = "/sysroot/nix/image";
      }
      { where = "/run/other"; }
      {
        where = "/sysroot/off";
        enable = false;
      }
    ] == [
      "sysroot-etc.mount"
      "run-metadata.mount"
    ];

  "the unit has no condition that would let it run twice" =
    !saysIn unit "Condition[^\n]*" && saysIn unit "RemainAfterExit=true";
  "the unit survives the switch to the new root" = saysIn unit "IgnoreOnIsolate=true";
  "the unit names the program, not a script" = saysIn unit "ExecStart=/bin/nixos-lustrate run";
  "the unit is seen on the console" = saysIn unit "StandardError=journal\\+console";
  "a failure stops the boot" =
    saysIn unit "OnFailure=emergency.target" && saysIn unit "RequiredBy=initrd-root-fs.target";

  "the purge does as the options' defaults say" =
    saysIn purge "ExecStart=nixos-lustrate purge --yes --keep 1 --older-than 30d"
    && saysIn purgeTimer "OnCalendar=daily";
  "the purge waits for a lustration that is asked for" = saysIn purge "ConditionPathExists=!/etc/NIXOS_LUSTRATE";
  "the purge sees the mounts of the system" = !saysIn purge "(Private|Protect|Read|Root|Bind|Mount)[^\n]*";

  "nixpkgs is the only input" = builtins.attrNames flake.inputs == [ "nixpkgs" ];
  "the lock file locks what the flake asks for" =
    let
      inherit (lock.nodes.nixpkgs) original;
    in
    lock.nodes.root.inputs == { nixpkgs = "nixpkgs"; }
    && "github:${original.owner}/${original.repo}/${original.ref}" == flake.inputs.nixpkgs.url;
}
