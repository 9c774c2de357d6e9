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

  # What file systems and swap devices of a configuration rest on in the root: the
  # sources of bind mounts, loop files, layers of overlays, subvolumes of the root's
  # device, swap files. A lustration has to keep them, or they are gone at the first
  # boot (I8). What lies on another file system, or is never moved, is left out.
  #
  # `fileSystems` as a list with mountPoint, device, fsType and options; `swapDevices`
  # as a list with device.
  rests =
    { fileSystems, swapDevices }:
    let
      list = value: if value == null then [ ] else value;
      text = value: if value == null then "" else toString value;
      others = builtins.filter (fs: !isRoot fs.mountPoint) fileSystems;
      root = builtins.head (
        builtins.filter (fs: isRoot fs.mountPoint) fileSystems
        ++ [
          { }
        ]
      );

      # An absolute path that is no device of the kernel's, and on no other mount.
      onRoot =
        path:
        builtins.substring 0 1 path == "/"
        && builtins.substring 0 2 path != "//" # a server's
        && !isRoot path
        && !climbs path
        && !builtins.elem (entry path) [
          "dev"
          "proc"
          "run"
          "sys"
        ]
        && !builtins.any (fs: isBelow fs.mountPoint path) others;

      # The values of an option, such as "/a:/b" of lowerdir=/a:/b.
      values =
        name: fs:
        builtins.concatMap (
          option:
          let
            found = builtins.match "${name}=(.*)" (text option);
          in
          if found == null then [ ] else found
        ) (list (fs.options or [ ]));
      # Where nixpkgs puts the base directory of stage 1 in front.
      inStage2 =
        path:
        if !isRoot path && builtins.elem (entry path) [ "sysroot" "mnt-root" ] then
          "/" + builtins.concatStringsSep "/" (builtins.tail (components path))
        else
          path;
      parts = value: map inStage2 (builtins.filter builtins.isString (builtins.split ":" value));

      layers = fs: builtins.concatMap parts (builtins.concatMap (name: values name fs) [
        "lowerdir"
        "upperdir"
        "workdir"
      ]);

      # subvol= counts from the top of the file system; the root may be a subvolume.
      subvolume =
        fs:
        let
          found = values "subvol" fs;
          top = components (builtins.concatStringsSep "" (values "subvol" root));
          own = components (builtins.head found);
          length = builtins.length top;
          same = text (fs.device or null) == text (root.device or null);
        in
        if
          (fs.fsType or "") != "btrfs"
          || found == [ ]
          || !same
          || builtins.length own <= length
          || !isBelow (builtins.concatStringsSep "/" top) (builtins.head found)
        then
          [ ]
        else
          [ (builtins.concatStringsSep "/" (builtins.genList (n: builtins.elemAt own (length + n)) (builtins.length own - length))) ];

      sources =
        builtins.filter onRoot (
          map (fs: text (fs.device or null)) others
          ++ builtins.concatMap layers others
          ++ map (swap: text (swap.device or null)) swapDevices
        )
        ++ builtins.concatMap subvolume others;
      paths = map (path: builtins.concatStringsSep "/" (components path)) sources;
    in
    builtins.foldl' (seen: path: if builtins.elem path seen then seen else seen ++ [ path ]) [ ] (
      builtins.filter (path: !isProtected path) paths
    );
}
