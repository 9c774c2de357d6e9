# Paths of the keep-list, read as the program reads them (src/keeplist.rs): white
# space around them, leading, trailing and doubled slashes and "." do not matter.
# Builtins only, so that it is testable without nixpkgs.
let
  trim =
    path:
    let
      found = builtins.match "[[:space:]]*(.*[^[:space:]])[[:space:]]*" path;
    in
    if found == null then "" else builtins.head found;
in
rec {
  # "/home//alice/./" -> [ "home" "alice" ]
  components =
    path:
    builtins.filter (part: builtins.isString part && part != "" && part != ".") (
      builtins.split "/" (trim path)
    );

  entry = path: builtins.head (components path);

  isRoot = path: components path == [ ];

  climbs = path: builtins.elem ".." (components path);

  # NAME_MAX
  isTooLong = path: builtins.any (name: builtins.stringLength name > 255) (components path);

  # What a run never moves, so that keeping it means nothing.
  isProtected =
    path:
    !isRoot path
    && (
      builtins.elem (entry path) [
        "nix"
        "boot"
        "old-root"
        "old-root.tmp"
      ]
      || builtins.match "old-root-.*" (entry path) != null
    );

  isBelow =
    top: path:
    let
      a = components top;
      b = components path;
    in
    builtins.length a <= builtins.length b
    && builtins.genList (builtins.elemAt b) (builtins.length a) == a;

  # Is `path` kept by one of `keepers`?
  isKept = keepers: path: builtins.any (keeper: isBelow keeper path) keepers;
}
