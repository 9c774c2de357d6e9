# Configurations that the evaluation suite judges. Each is a module; `base` is
# part of all of them.
let
  # A nixpkgs that says it has this Rust, whatever it has.
  rust = version: _: previous: { rustc = previous.rustc // { inherit version; }; };

  # It checks scripts, and all of Haskell is evaluated for it.
  shellcheck =
    final: _:
    let
      shellcheck = final.hello // { compiler = final.hello; };
    in
    {
      inherit shellcheck;
      shellcheck-minimal = shellcheck;
    };
in
rec {
  # One for all machines of a process: most of the time and memory goes into it.
  packages =
    nixpkgs: version: system:
    import nixpkgs {
      inherit system;
      config = { };
      overlays = [ (rust version) shellcheck ];
    };
  on = nixpkgs: let pkgs = packages nixpkgs "1.88.0" "x86_64-linux"; in { nixpkgs = { inherit pkgs; }; };

  base = {
    imports = [ ../../initrd/module.nix ];
    boot.initrd.lustrate.enable = true;
    boot.loader.grub.device = "nodev";
    fileSystems."/" = {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    # The option's own default warns; which release it is does not matter here.
    system.stateVersion = "24.05";
  };

  systemd.boot.initrd.systemd.enable = true;
  scripted.boot.initrd.systemd.enable = false;

  separate.fileSystems = {
    "/nix" = {
      device = "/dev/disk/by-label/nix";
      fsType = "xfs";
    };
    "/var/log" = {
      device = "/persist/log";
      fsType = "none";
      options = [ "bind" ];
      neededForBoot = true;
      depends = [ "/persist" ];
    };
    "/persist" = {
      device = "/dev/disk/by-label/persist";
      fsType = "ext4";
      neededForBoot = true;
    };
    # Not mounted in stage 1.
    "/home" = {
      device = "/dev/disk/by-label/home";
      fsType = "ext4";
    };
  };

  lvmOnLuks = {
    boot.initrd.luks.devices.crypt.device = "/dev/disk/by-partlabel/crypt";
    boot.initrd.kernelModules = [ "dm-snapshot" ];
    services.lvm.enable = true;
    fileSystems."/var".device = "/dev/vg/var";
    fileSystems."/var".fsType = "ext4";
  };

  btrfs =
    { lib, ... }:
    {
      fileSystems = lib.mapAttrs (_: subvolume: {
        device = lib.mkForce "/dev/disk/by-label/pool";
        fsType = lib.mkForce "btrfs";
        options = [ "subvol=${subvolume}" ];
      }) {
        "/" = "@";
        "/nix" = "@nix";
        "/var/log" = "@log";
      };
    };

  etcOverlay =
    { pkgs, ... }:
    {
      system.etc.overlay.enable = true;
      systemd.sysusers.enable = true;
      users.mutableUsers = true;
      boot.kernelPackages = pkgs.linuxPackages_6_6;
    };

  awkward.boot.initrd.lustrate.keep = [
    "home/a b"
    "home/50%"
    "home/$USER"
    "home/\"q\""
    "home/it's"
    "home/back\\slash"
    "home/@shell@"
    "home/ü"
  ];
}
