# A system closure as NixOS has it, as far as a boot needs it, built without
# nixpkgs: the builder is the shell of the tools themselves.
{ tools, scripts }:
let
  # A folder, not a lone file: the applet is taken from the name it is called by.
  busybox = builtins.path { name = "busybox"; path = tools; };
in
derivation {
  name = "nixos-system-vm";
  system = "x86_64-linux";
  builder = "${busybox}/bin/sh";
  args = [ "${builtins.path { name = "build.sh"; path = scripts + "/build.sh"; }}" ];
  inherit busybox;
  init = builtins.path { name = "init.sh"; path = scripts + "/init.sh"; };
  prepare = builtins.path { name = "prepare-root.sh"; path = scripts + "/prepare-root.sh"; };
}
