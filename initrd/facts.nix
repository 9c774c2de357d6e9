# What the configuration says of itself, for `nixos-lustrate check`: README.md has
# the schema, and what is never written. Builtins only.
#
# A fact can neither fail a rebuild, warn, nor pull anything into the closure. A
# group that cannot be evaluated is null, and NixOS says why with its own error.
# The names of the groups depend on nothing, so that the configuration may read
# what stands beside the facts.
{ options, pkgs, utils }:
let
  arguments = {
    inherit options pkgs utils;
    inherit (storage) fileSystems;
    stage1 = (import ./stage1.nix { inherit options; }).kind;
    tools = import ./facts/tools.nix;
  };
  storage = import ./facts/storage.nix arguments;
  access = import ./facts/access.nix arguments;

  attempt =
    _: group:
    let
      result = builtins.tryEval (builtins.deepSeq group group);
    in
    if result.success then result.value else null;
in
{ schema = 1; }
// builtins.mapAttrs attempt {
  inherit (storage) fileSystems swap;
  inherit (access) sshd console;
  bootLoader = import ./facts/boot-loader.nix arguments;
  initrd = import ./facts/initrd.nix arguments;
  users = import ./facts/users.nix arguments;
  network = import ./facts/network.nix arguments;
  system = import ./facts/system.nix arguments;
}
