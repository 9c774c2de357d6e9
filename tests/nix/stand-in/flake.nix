# As much of nixpkgs as the flake needs for the source of its packages.
{
  outputs = _: rec {
    lib = {
      genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
      assertOneOf = _: value: values: builtins.elem value values;
      removePrefix = prefix: text: builtins.substring (builtins.stringLength prefix) (-1) text;
      hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
      optionals = condition: list: if condition then list else [ ];
      licenses.mit = { };
      platforms.linux = [ ];
    };
    legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: {
      pkgsStatic.callPackage = path: more: import path ({
        inherit lib;
        stdenv = { };
        rustPlatform.buildRustPackage = package: package;
        rustc.version = "1.88.0";
        installShellFiles = null;
      } // more);
    });
  };
}
