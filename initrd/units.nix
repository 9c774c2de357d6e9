# The units of a systemd stage 1 that must not run while the root is being
# lustrated: they mount something below /sysroot or work there, and nothing
# orders them after initrd-root-fs.target. Builtins only; `escape` is systemd's
# path escaping.
{ escape }:
let
  self = "nixos-lustrate.service";

  # We are ordered after these, so they can be no later.
  earlier = [
    self
    "sysroot.mount"
    "systemd-repart.service"
  ];

  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;

  isStrictlyBelow = path: hasPrefix "/sysroot/" path && path != "/sysroot/";
  isInside = path: path == "/sysroot" || hasPrefix "/sysroot/" path;

  # Unit settings come as a string of words, as a list, or not at all.
  words =
    value:
    if value == null then
      [ ]
    else if builtins.isList value then
      builtins.concatMap words value
    else
      builtins.filter (word: builtins.isString word && word != "") (
        builtins.split "[[:space:]]+" (toString value)
      );

  setting = name: unit: words (unit.unitConfig.${name} or null);

  needsMount =
    unit: builtins.any isInside (setting "RequiresMountsFor" unit ++ setting "WantsMountsFor" unit);

  dependsOnRoot =
    unit:
    builtins.elem "sysroot.mount" (
      unit.after or [ ] ++ unit.requires or [ ] ++ unit.bindsTo or [ ] ++ setting "After" unit
    );

  # Somebody placed it before us, or before what we wait for: a second ordering
  # the other way round would be a cycle, which systemd breaks by dropping a job.
  isEarlier =
    unit: builtins.any (name: builtins.elem name earlier) (unit.before or [ ] ++ setting "Before" unit);

  isLater = unit: (needsMount unit || dependsOnRoot unit) && !isEarlier unit;

  isEnabled = unit: unit.enable or true;

  unique = builtins.foldl' (seen: name: if builtins.elem name seen then seen else seen ++ [ name ]) [ ];
in
{
  # Made by systemd or by nixpkgs whatever the configuration says. A name that
  # does not exist does no harm.
  always = [
    "sysroot-etc.mount"
    "sysroot-run.mount"
    "sysroot-usr.mount"
    "rw-etc.service"
    "initrd-find-etc.service"
    "initrd-find-nixos-closure.service"
    "initrd-nixos-activation.service"
  ];

  # File systems that systemd-fstab-generator mounts in stage 1.
  ofFileSystems =
    fileSystems:
    unique (
      builtins.concatMap (
        fs:
        let
          name = escape "/sysroot${fs.mountPoint}";
        in
        if !isStrictlyBelow "/sysroot${fs.mountPoint}" then
          [ ]
        else if builtins.elem "x-systemd.automount" (fs.options or [ ]) then
          [
            "${name}.automount"
            "${name}.mount"
          ]
        else
          [ "${name}.mount" ]
      ) fileSystems
    );

  # `kind`: "mount" or "automount". A mount elsewhere counts too when its source
  # lies in the root.
  ofMounts =
    kind: mounts:
    unique (
      builtins.concatMap (
        mount:
        if
          isEnabled mount
          && (isStrictlyBelow mount.where || isInside (toString (mount.what or "")) || isLater mount)
          && mount.where != "/sysroot"
          && !isEarlier mount
        then
          [ "${escape mount.where}.${kind}" ]
        else
          [ ]
      ) mounts
    );

  ofServices =
    services:
    builtins.concatMap (
      name:
      let
        unit = "${name}.service";
      in
      if builtins.elem unit earlier then
        [ ]
      else if isEnabled services.${name} && isLater services.${name} then
        [ unit ]
      else
        [ ]
    ) (builtins.attrNames services);

  inherit unique;
}
