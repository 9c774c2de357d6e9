# The flake's checks but for the packages themselves: lints, and the NixOS VM
# tests. A folder's worth of .nix files in vm/ is the list of the latter.
{ pkgs }:
let
  inherit (pkgs) lib;

  lint =
    name: variant: tools: command:
    (pkgs.callPackage ../../initrd/package.nix { inherit variant; }).overrideAttrs (old: {
      pname = "${old.pname}-${name}";
      nativeBuildInputs = old.nativeBuildInputs ++ tools;
      buildPhase = command;
      doCheck = false;
      installPhase = "touch $out";
      postInstall = "";
      dontFixup = true;
    });

  vmTests = lib.mapAttrs' (
    file: _:
    lib.nameValuePair "vm-${lib.removeSuffix ".nix" file}" (pkgs.testers.runNixOSTest (./vm + "/${file}"))
  ) (lib.filterAttrs (file: _: lib.hasSuffix ".nix" file) (builtins.readDir ./vm));
in
{
  clippy-full = lint "clippy" "full" [ pkgs.clippy ] "cargo clippy --offline --lib --bins -- -D warnings";
  clippy-initrd =
    lint "clippy" "initrd" [ pkgs.clippy ]
      "cargo clippy --offline --no-default-features --lib --bins -- -D warnings";
  fmt = lint "fmt" "full" [ pkgs.rustfmt ] "cargo fmt --check";
}
// vmTests
