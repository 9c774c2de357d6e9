# Checks that need no nixpkgs: how options are read that a release does not have,
# has no more, or has otherwise. A set of booleans.
let
  inherit (builtins) all attrNames attrValues filter head mapAttrs;

  # An option with this value.
  is = value: { inherit value; };
  removed = { visible = false; value = throw "removed"; };

  facts =
    options:
    import ../../initrd/facts.nix {
      inherit options;
      pkgs = { };
      utils = {
        fsNeededForBoot = fs: fs.mountPoint == "/";
        toShellPath = shell: shell;
      };
    };
  nullGroups = options: filter (name: (facts ({ system.build = is { fileSystems = [ ]; }; } // options)).${name} == null) (attrNames (facts { }));
  stage1 = options: import ../../initrd/stage1.nix { inherit options; };

  user = more: { name = "root"; group = "root"; shell = "/bin/sh"; } // more;
  password = user': (head (facts { users.users = is { root = user user'; }; }).users.list).password;
  hash = hashedPassword: (password { inherit hashedPassword; }).kind;
  repeat = n: builtins.concatStringsSep "" (builtins.genList (_: "a") n);
  mount = fs: head (facts { system.build = is { fileSystems = [ ({ mountPoint = "/x"; } // fs) ]; }; }).fileSystems;
  source = fsType: device: (mount { inherit fsType device; }).device or null;
  network = options: (facts options).network;
  scripted = { extraUtilsCommands = { }; postMountCommands = { }; postResumeCommands = { }; };
  systemd = { extraBin = { }; packages = { }; services = { }; };

  # The module, as far as it goes without a lib.
  module = import ../../initrd/module.nix {
    config = { };
    options = { };
    lib.optionalAttrs = condition: set: if condition then set else { };
    pkgs = { };
    utils = { };
  };
in
{
  "the facts of nothing: every group, and nothing presumed" =
    facts { } == {
      schema = 1;
      bootLoader = { };
      console = { };
      fileSystems = null;
      initrd = { };
      network = { };
      sshd = { };
      swap = { };
      system = { };
      users = { };
    };
  "an option that was removed, or has a new name, is not read" =
    (facts {
      boot.loader = {
        raspberryPi.enable = removed;
        grub = {
          enable = is true;
          forceInstall = removed;
          mirroredBoots = is [ ];
        };
      };
      boot.initrd.services.swraid.enable = removed;
      boot.swraid.enable = is true;
    }) == facts {
      boot.loader.grub = {
        enable = is true;
        mirroredBoots = is [ ];
      };
      boot.swraid.enable = is true;
    };
  "what throws makes its group null, and no other" = all (case: nullGroups case.options == [ case.group ]) [
    { group = "bootLoader"; options.boot.loader.timeout = is (throw "x"); }
    { group = "bootLoader"; options.boot.loader.grub = { enable = is true; mirroredBoots = is [ { devices = [ ]; } ]; }; }
    { group = "swap"; options.swapDevices = is [ { } ]; }
    { group = "initrd"; options.boot.initrd.luks.devices = is { a = { }; }; }
    { group = "users"; options.users.users = is { a = { name = "root"; }; }; }
    { group = "users"; options.users.users = is { a = user { home = { }; }; }; }
    { group = "sshd"; options.services.openssh = { enable = is true; hostKeys = is [ { type = "rsa"; } ]; }; }
    { group = "console"; options.boot.kernelParams = is [ (throw "x") ]; }
    { group = "network"; options.networking.interfaces = is { a = { name = "a"; ipv4.addresses = [ { address = "10.0.0.2"; } ]; }; }; }
    { group = "network"; options.networking.firewall = { enable = is true; allowedTCPPortRanges = is [ { from = 1; } ]; }; }
    { group = "network"; options.networking.vlans = is { a = { interface = "b"; }; }; }
    { group = "system"; options.boot.kernelModules = is [ (x: x) ]; }
  ];

  "hashes are judged as libxcrypt takes them" =
    hash "" == "empty"
    && all (value: hash value == "locked") [ "!" "*" "!$6$a$b" ]
    && all (value: hash value == "crypt") [
      ("$y$j9T$salt$" + repeat 43)
      ("$6$salt$" + repeat 86)
      ("$6$rounds=9$salt$" + repeat 86)
      ("$2b$05$" + repeat 53)
    ]
    && all (value: hash value == "invalid") [
      "x"
      "$y$…"
      "$6$a$b"
      ("$6$salt$" + repeat 85)
      ("$6$salt$" + repeat 87)
      ("$6$salt$" + repeat 85 + "!")
      "$y$"
    ];
  "the password that wins is the one that is told" =
    password { password = "a"; hashedPassword = "!"; initialPassword = "b"; } == { kind = "text"; option = "password"; }
    && password { hashedPassword = "!"; initialPassword = "b"; } == { kind = "locked"; option = "hashedPassword"; }
    && password { initialPassword = ""; initialHashedPassword = "!"; } == { kind = "emptyText"; option = "initialPassword"; }
    && password { hashedPasswordFile = "/f"; } == { kind = "none"; file = "/f"; }
    && password { passwordFile = "/f"; initialHashedPassword = ""; } == { kind = "empty"; option = "initialHashedPassword"; file = "/f"; };
  "users who matter are told" =
    map (user: user.name) (facts {
      users.users = is (mapAttrs (name: more: { inherit name; group = "x"; } // more) {
        a.isNormalUser = true;
        b.uid = 999;
        c.uid = 1000;
        d.uid = 30000;
        e.shell = "/bin/sh";
        f.shell = "/run/current-system/sw/bin/nologin";
        g = { isNormalUser = true; enable = false; };
        root = { };
      });
    }).users.list == [ "a" "c" "e" "root" ];

  "sources of mounts that can hold no password are told" = all (case: source (head case) (builtins.elemAt case 1) == builtins.elemAt case 1) [
    [ "ext4" "/dev/disk/by-label/a@b" ]
    [ "ext4" "LABEL=a = b" ]
    [ "none" "/srv/a,b@c" ]
    [ "zfs" "pool/set@snapshot" ]
    [ "nfs" "10.0.0.1:/srv" ]
    [ "nfs" "[2001:db8::1]:/srv" ]
    [ "cifs" "//server/my share" ]
    [ "tmpfs" "tmpfs" ]
  ];
  "sources that could are not" = all (case: source (head case) (builtins.elemAt case 1) == null) [
    [ "cifs" "//u:secret@server/share" ]
    [ "cifs" "//u%secret@server/share" ]
    [ "davfs" "https://host/secret" ]
    [ "rclone" ":s3,key=secret:bucket" ]
    [ "fuse" "sshfs#u:secret@host:/" ]
    [ "davfs" "host?secret" ]
  ];
  "options of mounts are told by name" =
    (mount {
      options = [
        "bind"
        "ro,subvol=@,password=secret,noauto"
        "password=secret"
        "x-systemd.device-timeout=5s"
        "x-secret=secret"
        "secret"
      ];
    }).options == [ "bind" "ro" "subvol=@" "noauto" "x-systemd.device-timeout=5s" ];

  "networkd's addresses and routes, flat or not" =
    let
      of = route: head (head (network {
        systemd.network.enable = is true;
        systemd.network.networks = is { a.routes = [ route ]; };
      }).networks).routes;
    in
    of { routeConfig = { Gateway = "a"; GatewayOnLink = true; }; } == { via = [ "a" ]; onLink = [ "yes" ]; }
    && of { Gateway = "a"; routeConfig = throw "removed"; } == { via = [ "a" ]; };
  "file systems and modules, as a list or a set" =
    (facts { boot.initrd.supportedFilesystems = is { ext4 = true; zfs = false; }; }).initrd.fileSystems == [ "ext4" ]
    && (facts { boot.initrd.supportedFilesystems = is [ "ext4" ]; }).initrd.fileSystems == [ "ext4" ];
  "a default gateway that is not set is none" = !((network { networking.defaultGateway = is null; }) ? gateway);

  "stage 1 is what it is set to" =
    (stage1 { boot.initrd = scripted // { systemd = systemd // { enable.value = true; }; }; }).kind == "systemd"
    && (stage1 { boot.initrd = scripted // { systemd = systemd // { enable.value = false; }; }; }).kind == "scripted";
  "stage 1 is what is left" =
    (stage1 { boot.initrd.systemd = systemd // { enable = removed; }; }).kind == "systemd"
    && (stage1 { boot.initrd.systemd = systemd; }).kind == "systemd"
    && (stage1 { boot.initrd = scripted; }).kind == "scripted"
    && (stage1 { }).kind == null;
  "what stage 1 lacks is named" =
    (stage1 { boot.initrd.systemd = removeAttrs systemd [ "extraBin" ]; }).missing == [ "boot.initrd.systemd.extraBin" ]
    && (stage1 { boot.initrd = removeAttrs scripted [ "postResumeCommands" ]; }).missing == [ "boot.initrd.postResumeCommands" ]
    && (stage1 { boot.initrd.systemd = systemd; }).missing == [ ]
    && (stage1 { }).missing == [ ];
  "what can be defined is known without any value" =
    (stage1 { boot.initrd.systemd = systemd // { enable.value = throw "not yet"; }; }).can == { systemd = true; scripted = false; }
    && attrValues (stage1 { }).can == [ false false ];

  "the module has a key, and defines nothing that is not there" =
    module.key == "nixos-lustrate#module" && module.config == { };
}
