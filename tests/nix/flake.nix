# The flake's outputs, called the way Nix calls them, without fetching anything.
{ nixpkgs }:
let
  call =
    flake: path: inputs:
    let
      outputs = flake.outputs (inputs // { self = outputs // { outPath = path; }; });
    in
    outputs;

  # With what machine.nix says that it has, and without what is only for checks.
  machine = import ./machine.nix;
  overlays = (machine.rust "1.88.0").nixpkgs.overlays ++ machine.shellcheck.nixpkgs.overlays;
  nixpkgsFlake = call (import (nixpkgs + "/flake.nix")) nixpkgs { } // {
    outPath = nixpkgs;
    legacyPackages = builtins.mapAttrs (system: _: import nixpkgs { inherit system overlays; }) {
      x86_64-linux = { };
      aarch64-linux = { };
    };
  };
in
call (import ../../flake.nix) (toString ../..) { nixpkgs = nixpkgsFlake; }
