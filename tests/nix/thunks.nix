# Systems whose evaluation is counted with the facts and without them. They have
# none of our packages, beside which the facts would seem smaller than they are.
{ nixpkgs, facts }:
let
  lib = import (nixpkgs + "/lib");
  key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQ1cG4SxE2xkq0cNfbTYyvUxgBuTnqjz2iD0TPVdyb somebody";
  drvPath =
    modules:
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = "x86_64-linux";
      modules = [
        ../../initrd/module.nix
        ((import ./machine.nix).on nixpkgs)
        (
          { pkgs, ... }:
          {
            boot.initrd.lustrate.enable = true;
            boot.initrd.lustrate.package = pkgs.hello;
            boot.initrd.systemd.enable = true;
            boot.loader.grub.device = "/dev/sda";
            # The manual, too, asks for most of nixpkgs.
            documentation.enable = false;
            fileSystems."/" = { device = "/dev/disk/by-label/root"; fsType = "ext4"; };
            system.stateVersion = "24.05";
            boot.bootspec.extensions = lib.mkIf (!facts) (lib.mkForce { });
          }
        )
      ] ++ modules;
    }).config.system.build.toplevel.drvPath;
in
{
  minimal = drvPath [ ];
  users = drvPath [
    {
      services.openssh.enable = true;
      users.users = lib.genAttrs (map (n: "user${toString n}") (lib.range 1 10)) (_: {
        isNormalUser = true;
        openssh.authorizedKeys.keys = [ key ];
      });
      networking = {
        useDHCP = false;
        interfaces.eth0.ipv4.addresses = [ { address = "10.0.0.2"; prefixLength = 24; } ];
        defaultGateway = "10.0.0.1";
      };
    }
  ];
}
