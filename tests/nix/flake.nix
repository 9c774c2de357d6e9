# The flake's outputs, called the way Nix calls them, without fetching anything.
{ nixpkgs }:
let
  call =
    flake: path: inputs:
    let
      outputs = flake.outputs (inputs // { self = outputs // { outPath = path; }; });
    in
    outputs;

  inherit (import ./machine.nix) packages;
  nixpkgsFlake = call (import (nixpkgs + "/flake.nix")) nixpkgs { } // {
    outPath = nixpkgs;
    legacyPackages = builtins.mapAttrs (system: _: packages nixpkgs "1.88.0" system) {
      x86_64-linux = { };
      aarch64-linux = { };
    };
  };
in
call (import ../../flake.nix) (toString ../..) { nixpkgs = nixpkgsFlake; }
