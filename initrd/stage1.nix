# Which kind of stage 1 the configuration has, and whether this release of NixOS has
# what the module sets for it. Builtins only.
{ options }:
let
  initrd = options.boot.initrd or { };
  systemd = initrd.systemd or { };

  missingOf = {
    systemd = map (name: "boot.initrd.systemd.${name}") (
      builtins.filter (name: !(systemd ? ${name})) [ "extraBin" "packages" "services" ]
    );
    scripted = map (name: "boot.initrd.${name}") (
      builtins.filter (name: !(initrd ? ${name})) [ "extraUtilsCommands" "postMountCommands" "postResumeCommands" ]
    );
  };

  # A removed option throws when it is read. Where it went, one kind was left.
  asked = builtins.tryEval (if systemd ? enable.value then systemd.enable.value else null);
in
rec {
  kind =
    if asked.success && asked.value != null then
      if asked.value then "systemd" else "scripted"
    else if systemd ? services then
      "systemd"
    else if initrd ? postMountCommands then
      "scripted"
    else
      null;

  missing = if kind == null then [ ] else missingOf.${kind};

  # By the names of options alone, so that definitions may depend on it.
  can = builtins.mapAttrs (_: missing: missing == [ ]) missingOf;
}
