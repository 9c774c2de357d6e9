# Derivations that must instantiate, by name. Those in `withProgram` must have
# the program's derivation in their closure.
{ nixpkgs }:
let
  machine = import ./machine.nix;
  packages = machine.on nixpkgs;

  evaluate =
    modules:
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = "x86_64-linux";
      modules = [
        machine.base
        packages
      ] ++ modules;
    }).config;
  build = modules: (evaluate modules).system.build;

  flake = import ./flake.nix { inherit nixpkgs; };
  flakeMachine = import (nixpkgs + "/nixos/lib/eval-config.nix") {
    system = "aarch64-linux";
    modules = [
      machine.systemd
      (removeAttrs machine.base [ "imports" ])
      flake.nixosModules.default
      { nixpkgs.overlays = [ flake.overlays.default ]; }
    ];
  };
in
{
  withProgram = {
    systemd = (build [ machine.systemd ]).initialRamdisk;
    systemd-separate =
      (build [
        machine.systemd
        machine.separate
      ]).initialRamdisk;
    systemd-lvm-on-luks =
      (build [
        machine.systemd
        machine.lvmOnLuks
      ]).initialRamdisk;
    systemd-btrfs =
      (build [
        machine.systemd
        machine.btrfs
      ]).initialRamdisk;
    systemd-etc-overlay =
      (build [
        machine.systemd
        machine.etcOverlay
      ]).initialRamdisk;
    systemd-awkward =
      (build [
        machine.systemd
        machine.awkward
      ]).initialRamdisk;
    scripted = (build [ machine.scripted ]).initialRamdisk;
    scripted-stage-1 = (build [ machine.scripted ]).bootStage1;
    scripted-lvm-on-luks =
      (build [
        machine.scripted
        machine.lvmOnLuks
      ]).initialRamdisk;
    flake-module-and-overlay-aarch64 = flakeMachine.config.system.build.initialRamdisk;
  };

  # The units of stage 2, with the full program.
  purge =
    (evaluate [
      machine.systemd
      { services.nixos-lustrate.purge.enable = true; }
    ]).environment.etc."systemd/system".source;

  packages = flake.packages.x86_64-linux;
  packages-aarch64 = flake.packages.aarch64-linux;
  shell = flake.devShells.x86_64-linux;
  # With the VM tests.
  checks = flake.checks.x86_64-linux;
}
