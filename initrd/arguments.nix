# The command lines of `nixos-lustrate run` and `nixos-lustrate purge`, from the
# options. Builtins only, so that it is testable without nixpkgs.
let
  unique = builtins.foldl' (seen: path: if builtins.elem path seen then seen else seen ++ [ path ]) [ ];
in
{
  # Nothing for the defaults: then the unit runs as the package ships it.
  list =
    {
      keep,
      guard,
      everyBoot,
      systemId,
    }:
    map (path: "--keep=${path}") (unique keep)
    ++ (if everyBoot then [ "--always" ] else [ ])
    ++ (if systemId == "nixos" then [ ] else [ "--system-id=${systemId}" ])
    ++ (if guard then [ ] else [ "--no-guard" ]);

  # Nobody is there to be asked.
  purge =
    { keep, olderThan }:
    [
      "--yes"
      "--keep=${toString keep}"
    ]
    ++ (if olderThan == null then [ ] else [ "--older-than=${olderThan}" ]);

  # As words of a POSIX shell. An "@" is split off because the text goes through
  # stage-1.nix, which replaces @name@ in it once more.
  toShell =
    arguments:
    builtins.concatStringsSep " " (
      map (
        argument: "'${builtins.replaceStrings [ "'" "@" ] [ "'\\''" "'\\@'" ] argument}'"
      ) arguments
    );
}
