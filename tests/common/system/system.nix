# A system closure with the parts that a boot and `check` look at, built by the
# real Nix without nixpkgs: the builder is a static busybox.
#   tools    a folder with bin/busybox and links to it
#   content  the system itself, with @out@ and @part:NAME@ in texts and links
#   parts    files that are store paths of their own, named N-NAME; one may
#            name those with a lower N
{ tools, content, parts, texts }:
let
  busybox = builtins.path { name = "busybox"; path = tools; };
  nameOf = file: builtins.substring 4 (builtins.stringLength file) file;
  placeholder = name: "@part:${name}@";

  add = known: file:
    let
      name = nameOf file;
      path = parts + "/${file}";
      names = builtins.attrNames known;
      text = builtins.replaceStrings (map placeholder names) (map (n: known.${n}) names)
        (builtins.readFile path);
    in
    known // {
      ${name} =
        if builtins.elem file texts then builtins.toFile name text
        else "${builtins.path { inherit name path; }}";
    };
  all = builtins.foldl' add { } (builtins.attrNames (builtins.readDir parts));
  substitutions = map (name: "s|${placeholder name}|${all.${name}}|g") (builtins.attrNames all);
in
derivation {
  name = "nixos-system-test-26.05";
  system = builtins.currentSystem;
  builder = "${busybox}/bin/sh";
  args = [ ./build.sh ];
  inherit busybox;
  script = builtins.concatStringsSep "\n" substitutions;
  content = builtins.path { name = "content"; path = content; };
}
