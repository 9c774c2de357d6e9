# The flake's outputs, called the way Nix calls them, without fetching anything.
{ nixpkgs }:
let
  call =
    flake: path: inputs:
    let
      outputs = flake.outputs (inputs // { self = outputs // { outPath = path; }; });
    in
    outputs;

  nixpkgsFlake = call (import (nixpkgs + "/flake.nix")) nixpkgs { } // {
    outPath = nixpkgs;
  };
in
call (import ../../flake.nix) (toString ../..) { nixpkgs = nixpkgsFlake; }
