# nixos-lustrate, in two builds: "full", and "initrd", the small one without
# host-side commands, clap and serde. Both are meant for pkgsStatic.
{
  lib,
  stdenv,
  rustPlatform,
  rustc,
  installShellFiles,
  variant ? "full",
}:
assert lib.assertOneOf "variant" variant [
  "full"
  "initrd"
];
let
  isInitrd = variant == "initrd";
  manifest = (builtins.fromTOML (builtins.readFile ../Cargo.toml)).package;

  # What the build reads. Not by lib.fileset, which in pure evaluation by Nix before
  # 2.14 asks for the list of the whole store. Cargo wants every target of
  # Cargo.toml to exist.
  files = "/(Cargo.(toml|lock)|(clippy|rustfmt).toml|build.rs|README.md|LICENSE|(src|benches)(/.*)?|initrd(/.*[.](service|timer))?|tests(/.*[.]rs)?)";
  top = toString ../.;
  isWanted =
    path: type:
    let
      name = lib.removePrefix top path;
    in
    builtins.match files name != null || type == "directory" && lib.hasPrefix "/tests/" name;
in
rustPlatform.buildRustPackage {
  pname = if isInitrd then "nixos-lustrate-initrd" else "nixos-lustrate";
  inherit (manifest) version;

  src = builtins.path {
    path = ../.;
    name = "nixos-lustrate-source";
    filter = isWanted;
  };

  cargoLock.lockFile = ../Cargo.lock;

  buildNoDefaultFeatures = isInitrd;

  # cargo-auditable embeds the list of dependencies, which an initrd has no use for.
  auditable = !isInitrd;

  # The others need root, loop devices and file-system tools.
  cargoTestFlags = [
    "--lib"
    "--bins"
  ];

  # For the module's assertion: what this is compiled with, and what it needs.
  passthru.rust = {
    inherit (rustc) version;
    needed = manifest.rust-version;
  };

  nativeBuildInputs = lib.optionals (!isInitrd) [ installShellFiles ];

  postInstall =
    if isInitrd then
      ''
        install -D -m 0444 initrd/nixos-lustrate.service \
          "$out/lib/systemd/system/nixos-lustrate.service"
      ''
    else
      ''
        for unit in service timer; do
          install -D -m 0444 "initrd/nixos-lustrate-purge.$unit" \
            "$out/lib/systemd/system/nixos-lustrate-purge.$unit"
        done
        installManPage src/man/*.8
      ''
      # The program prints them, where it can be run.
      + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
        installShellCompletion --cmd nixos-lustrate \
          --bash <("$out/bin/nixos-lustrate" completions bash) \
          --zsh <("$out/bin/nixos-lustrate" completions zsh) \
          --fish <("$out/bin/nixos-lustrate" completions fish)
      '';

  meta = {
    description = "Install NixOS in place: atomic, resumable, revertible lustration";
    homepage = "https://github.com/nixos-lustrate/nixos-lustrate";
    license = lib.licenses.mit;
    platforms = lib.platforms.linux;
    mainProgram = "nixos-lustrate";
  };
}
