# A set of booleans as text: how many hold, and the names of those that do not.
checks:
let
  failed = builtins.filter (name: !checks.${name}) (builtins.attrNames checks);
in
if failed == [ ] then
  "${toString (builtins.length (builtins.attrNames checks))} checks passed"
else
  throw "these do not hold:\n${builtins.concatStringsSep "\n" (map (name: "  ${name}") failed)}\n"
