# What cannot work is said when the system is built, with the fix, and not by a
# machine that does not boot.
{
  config,
  lib,
  options,
  ...
}:
let
  cfg = config.boot.initrd.lustrate;
  keep = import ./keep.nix;
  stage1 = import ./stage1.nix { inherit options; };
  lacks = if stage1.kind == null then "stage 1" else lib.concatStringsSep ", " stage1.missing;
  isContainer = config.boot.isContainer or false;
  # Whether this source can be compiled; what was built otherwise does not say it.
  rust = cfg.package.rust or null;

  root = config.fileSystems."/" or { };
  rootType = root.fsType or "auto";
  zfs = config.boot.zfs.package.version or "2.2";
  etcOverlay = config.system.etc.overlay.enable or false;

  # Their content is gone with the power, or cannot be renamed.
  hopeless = {
    tmpfs = "starts empty at each boot";
    ramfs = "starts empty at each boot";
    overlay = "does not let directories of its lower layer be renamed (EXDEV)";
    squashfs = "is read-only";
    erofs = "is read-only";
    iso9660 = "is read-only";
  };

  faulty = lib.filter (
    path: keep.isRoot path || keep.climbs path || keep.isTooLong path
  ) cfg.keep;
  sound = lib.subtractLists faulty cfg.keep;
  hidden = lib.filter (keep.isBelow "etc") sound;
  pointless = lib.filter keep.isProtected sound;

  quote = lib.concatMapStringsSep ", " (path: "\"${path}\"");

  # Where stage 2's /etc/X lies on the root.
  onRoot =
    path:
    if etcOverlay && keep.isBelow "etc" path then
      ".rw-etc/upper/${lib.concatStringsSep "/" (lib.tail (keep.components path))}"
    else
      path;

  otherMounts = lib.filter (mountPoint: !keep.isRoot mountPoint) (
    lib.mapAttrsToList (_: fs: fs.mountPoint) (config.fileSystems or { })
  );

  isLost =
    path: !keep.isKept (sound ++ cfg.rests ++ otherMounts) (onRoot path) && !keep.isProtected path;

  lostHostKeys = lib.filter isLost (
    map (key: key.path) (config.services.openssh.hostKeys or [ ])
  );
in
{
  config = lib.optionalAttrs (options ? assertions && options ? warnings) (lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !isContainer;
        message = ''
          boot.initrd.lustrate.enable: a container has no stage 1, so nothing would
          lustrate its root. Set it to false here; on the host it may be true.
        '';
      }
      {
        assertion = isContainer || config.boot.initrd.enable or true;
        message = ''
          boot.initrd.lustrate.enable: there is no stage 1, because boot.initrd.enable is
          false, so /etc/NIXOS_LUSTRATE would be ignored and NixOS would activate itself
          over the old system. Set boot.initrd.enable to true, or
          boot.initrd.lustrate.enable to false.
        '';
      }
      {
        assertion = stage1.kind != null && stage1.missing == [ ];
        message = ''
          boot.initrd.lustrate.enable: this release of NixOS has no ${lacks}, so nothing
          would lustrate the root. Use a nixos-lustrate that knows this release, or set
          boot.initrd.lustrate.enable to false.
        '';
      }
      {
        assertion = rust == null || lib.versionAtLeast rust.version rust.needed;
        message = ''
          boot.initrd.lustrate.package: it needs Rust ${rust.needed}, and this nixpkgs has
          ${rust.version}, so it could not be compiled. Use nixpkgs 25.11 or newer, or set
          boot.initrd.lustrate.package to one that was built with a newer nixpkgs:
          nixos-lustrate.packages.SYSTEM.nixos-lustrate-initrd of the flake.
        '';
      }
      {
        assertion = !(hopeless ? ${rootType});
        message = ''
          boot.initrd.lustrate.enable: the root file system is ${rootType}, which
          ${hopeless.${rootType} or ""}. There is nothing that a lustration could do with
          it. Set boot.initrd.lustrate.enable to false, or make fileSystems."/" the file
          system of a disk.
        '';
      }
      {
        assertion = !lib.elem "ro" (root.options or [ ]);
        message = ''
          boot.initrd.lustrate.enable: stage 1 mounts the root read-only, so each
          lustration would be refused. Remove "ro" from fileSystems."/".options.
        '';
      }
      {
        assertion = faulty == [ ];
        message = ''
          boot.initrd.lustrate.keep: ${quote faulty}: empty, the root itself, with "..",
          or with a name of more than 255 bytes, so a run would refuse the whole list.
          Write a path that begins at the root, such as "etc/ssh"; to keep everything, do
          not lustrate.
        '';
      }
      {
        assertion = !etcOverlay || hidden == [ ];
        message = ''
          boot.initrd.lustrate.keep: ${quote hidden}: with system.etc.overlay.enable the
          root's own /etc is hidden in stage 2, so what is kept there would not be seen.
          Mutable files of /etc live in /.rw-etc/upper: keep ${quote (map onRoot hidden)}
          instead, after moving them there, or set system.etc.overlay.enable to false.
        '';
      }
    ];

    warnings =
      lib.optional (pointless != [ ]) ''
        boot.initrd.lustrate.keep: ${quote pointless}: a lustration never touches /nix,
        /boot and old roots, so this has no effect. Remove it.
      ''
      ++ lib.optional (rootType == "zfs" && lib.versionOlder zfs "2.2") ''
        boot.initrd.lustrate: ZFS ${zfs} cannot exchange two
        directories in one step, so during a lustration there is an instant without
        /etc. A power cut then is still mended by the next boot. Use ZFS 2.2 or later to
        be rid of that instant.
      ''
      ++ lib.optional (cfg.everyBoot && sound == [ ]) ''
        boot.initrd.lustrate.everyBoot: boot.initrd.lustrate.keep is empty, so each boot
        begins with a new machine id, without passwords that were set by hand, and with
        user ids handed out anew. Keep at least "etc/machine-id" and "var/lib/nixos".
      ''
      ++ lib.optional (cfg.everyBoot && config.services.openssh.enable or false && lostHostKeys != [ ]) ''
        boot.initrd.lustrate.everyBoot: the SSH host keys ${quote lostHostKeys} are not
        kept, so each boot makes new ones and clients refuse to connect. Add
        ${quote (map onRoot lostHostKeys)} to boot.initrd.lustrate.keep.
      '';
  });
}
