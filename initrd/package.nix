# nixos-lustrate, in two builds: "full", and "initrd", the small one without
# host-side commands, clap and serde. Both are meant for pkgsStatic.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
  variant ? "full",
}:
assert lib.assertOneOf "variant" variant [
  "full"
  "initrd"
];
let
  inherit (lib) fileset;
  isInitrd = variant == "initrd";
in
rustPlatform.buildRustPackage {
  pname = if isInitrd then "nixos-lustrate-initrd" else "nixos-lustrate";
  inherit ((lib.importTOML ../Cargo.toml).package) version;

  src = fileset.toSource {
    root = ../.;
    fileset = fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../clippy.toml
      ../rustfmt.toml
      ../src
      ./nixos-lustrate.service
      ./nixos-lustrate-purge.service
      ./nixos-lustrate-purge.timer
      (fileset.maybeMissing ../build.rs)
      (fileset.maybeMissing ../README.md)
      (fileset.maybeMissing ../LICENSE)
      # Cargo wants every target of Cargo.toml to exist.
      (fileset.fileFilter (file: file.hasExt "rs") ../tests)
      (fileset.maybeMissing ../benches)
    ];
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
