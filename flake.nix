{
  description = "NixOS in place: atomic, resumable, revertible lustration";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEach (pkgs: rec {
        nixos-lustrate = pkgs.pkgsStatic.callPackage ./initrd/package.nix { };
        nixos-lustrate-initrd = pkgs.pkgsStatic.callPackage ./initrd/package.nix { variant = "initrd"; };
        default = nixos-lustrate;
      });

      overlays.default = final: _prev: {
        nixos-lustrate = final.pkgsStatic.callPackage ./initrd/package.nix { };
        nixos-lustrate-initrd = final.pkgsStatic.callPackage ./initrd/package.nix { variant = "initrd"; };
      };

      # A path, so that a configuration that imports it twice gets it once. It
      # takes its packages from that configuration's nixpkgs, not from ours.
      nixosModules.default = ./initrd/module.nix;

      checks = forEach (
        pkgs:
        import ./tests/nix/checks.nix { inherit pkgs; }
        // {
          inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) nixos-lustrate nixos-lustrate-initrd;
        }
      );

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.cargo
            pkgs.clippy
            pkgs.rust-analyzer
            pkgs.rustc
            pkgs.rustfmt
            # What tests/run uses.
            pkgs.btrfs-progs
            pkgs.e2fsprogs
            pkgs.qemu
            pkgs.strace
            pkgs.xfsprogs
          ];
        };
      });

      formatter = forEach (pkgs: pkgs.nixfmt-tree or pkgs.nixfmt-rfc-style);
    };
}
