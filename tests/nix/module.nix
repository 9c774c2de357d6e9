# Checks against a nixpkgs: the facts and the module where things are not as they
# should be. A set of booleans. `copy`: a copy of initrd/module.nix elsewhere.
{ nixpkgs, copy }:
let
  table = import ./facts.nix { inherit nixpkgs; };
  inherit (table) lib extension configuration;
  inherit (lib) attrNames elem filter hasInfix hasPrefix mkOption types;
  evaluate = table.evaluate "x86_64-linux";
  systemd.boot.initrd.systemd.enable = true;

  nullGroups = facts: filter (name: facts.${name} == null) (attrNames facts);
  # Only that group, and NixOS says why.
  breaks =
    group: module:
    let
      evaluated = evaluate [ systemd module ];
    in
    nullGroups (configuration evaluated) == [ group ]
    && !(builtins.tryEval evaluated.config.system.build.toplevel.drvPath).success;

  # Of a tree, only what is in `modules`.
  tree =
    modules:
    (lib.evalModules {
      modules = [
        ../../initrd/module.nix
        {
          _module.args = {
            pkgs = { };
            utils = {
              escapeSystemdPath = path: path;
              escapeSystemdExecArgs = toString;
              fsNeededForBoot = _: true;
            };
          };
        }
      ] ++ modules;
    }).config;
  anything = mkOption { type = types.attrsOf types.anything; default = { }; };
  messages.options = {
    assertions = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    warnings = mkOption { type = types.listOf types.str; default = [ ]; };
  };
  enabled.boot.initrd.lustrate = {
    enable = true;
    package = { type = "derivation"; name = "x"; outPath = "/package"; version = "0"; };
  };
  boot.options.boot.bootspec.extensions = anything;
  # `enable` went, as systemd is what is left.
  systemdOnly.options.boot.initrd.systemd = {
    extraBin = anything;
    packages = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    services = anything;
  };
  removed = lib.mkRemovedOptionModule [ "boot" "initrd" "systemd" "enable" ] "Always on.";
  faults = config: map (a: a.message) (filter (a: !a.assertion) config.assertions);
  ours = config: filter (hasPrefix "boot.initrd.lustrate") (faults config);

  withRust =
    version: modules:
    (evaluate (
      [
        systemd
        { nixpkgs.pkgs = lib.mkForce ((import ./machine.nix).packages nixpkgs version "x86_64-linux"); }
      ]
      ++ modules
    )).config;
  plain = evaluate [ systemd ];
in
{
  "facts: an interface that is not valid" = breaks "network" { networking.interfaces.eth0.ipv4.addresses = [ { address = "10.0.0.2"; } ]; };
  "facts: a user who is not valid" = breaks "users" { users.users.a = { isNormalUser = true; homeMode = throw "no mode"; }; };
  "facts: a boot loader that lacks a part" = breaks "bootLoader" { boot.loader.grub.enable = false; boot.loader.external.enable = true; };
  "facts: a file of keys that is not valid" = breaks "sshd" { services.openssh = { enable = true; authorizedKeysFiles = [ 3 ]; }; };

  "facts: parts that are off need not be valid" =
    nullGroups (configuration (evaluate [ systemd { systemd.network.networks.x.matchConfig = throw "unused"; networking.networkmanager.ensureProfiles.profiles = throw "unused"; } ])) == [ ];
  "facts: a path is text, and no dependency" =
    let
      facts = configuration (evaluate [ systemd { boot.initrd.luks.devices.x = { device = "/dev/sda"; keyFile = "${plain.pkgs.hello}/key"; }; boot.initrd.secrets."/key" = ./report.nix; } ]);
    in
    !builtins.hasContext (builtins.toJSON facts)
    && (builtins.head facts.initrd.luks).keyFile == builtins.unsafeDiscardStringContext "${plain.pkgs.hello}/key"
    && elem { path = "/key"; source = toString ./report.nix; } facts.initrd.secrets;
  "facts: the kernel parameters may depend on what stands beside them" =
    let
      evaluated = evaluate [
        systemd
        (
          { config, ... }:
          {
            boot.kernelParams =
              let
                extensions = config.boot.bootspec.extensions;
                ours = extensions."org.nixos-lustrate.v1";
              in
              lib.optional (extensions ? "org.nixos-lustrate.v1") "console=tty${ours.stage1}";
          }
        )
      ];
    in
    (configuration evaluated).console.serial == [ "ttysystemd" ];
  "facts: a specialisation has its own" =
    let
      evaluated = evaluate [ systemd { specialisation.open.configuration.services.openssh.enable = true; } ];
    in
    (configuration { config = evaluated.config.specialisation.open.configuration; }).sshd.enable
    && !(configuration evaluated).sshd.enable;
  "facts: none without lustration" =
    !((evaluate [ systemd { boot.initrd.lustrate.enable = lib.mkForce false; } ]).config.boot.bootspec.extensions ? "org.nixos-lustrate.v1");

  "module: two copies are one" = (extension (evaluate [ systemd copy ])).stage1 == "systemd";
  "module: importing it needs no option" = !(tree [ ]).boot.initrd.lustrate.enable;
  "module: nor does enabling it" = (tree [ enabled { services.nixos-lustrate.purge.enable = true; } ]).boot.initrd.lustrate.enable;
  "module: without stage 1, it says so" =
    let
      config = tree [ enabled messages boot ];
    in
    map (hasInfix "has no stage 1,") (ours config) == [ true ]
    && nullGroups (configuration { inherit config; }) == [ "fileSystems" ]
    && (extension { inherit config; }).stage1 == null;
  "module: where systemd.enable was removed, systemd it is" =
    let
      config = tree [ enabled messages boot systemdOnly removed ];
    in
    ours config == [ ]
    && (extension { inherit config; }).stage1 == "systemd"
    && (extension { inherit config; }).configuration.initrd.kind == "systemd"
    && config.boot.initrd.systemd.services ? nixos-lustrate;
  "module: where a part of stage 1 is gone, it says which, and sets nothing" =
    let
      config = tree [
        enabled
        messages
        boot
        { options.boot.initrd.systemd = removeAttrs systemdOnly.options.boot.initrd.systemd [ "extraBin" ]; }
      ];
    in
    map (hasInfix "has no boot.initrd.systemd.extraBin,") (ours config) == [ true ]
    && !(config.boot.initrd.systemd.services ? nixos-lustrate);

  "module: a Rust that is too old" = map (hasInfix "it needs Rust 1.88, and this nixpkgs has\n1.87.0") (ours (withRust "1.87.0" [ ])) == [ true ];
  "module: a Rust that is new enough" = ours (withRust "1.88.0" [ ]) == [ ] && ours (withRust "1.100.0" [ ]) == [ ];
  "module: an old Rust is no matter where the program comes from elsewhere" =
    ours (withRust "1.87.0" [ { boot.initrd.lustrate.package = plain.pkgs.hello; } ]) == [ ];
}
