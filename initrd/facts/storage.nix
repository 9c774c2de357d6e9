# File systems and swap space.
{ options, utils, tools, ... }:
let
  inherit (builtins) concatMap filter isString match split;
  inherit (tools) compact get list must pick text texts when;

  # Options of a mount may hold passwords in any spelling, so only those are
  # written that say what is mounted, from where, when and how.
  isFlag = option: match "auto|bind|degraded|loop|_netdev|no(auto|dev|exec|fail|suid)|rbind|ro|rw|zfsutil" option != null;
  isTold =
    option:
    isFlag option
    || match "(x-systemd|x-initrd|x-mount|X-mount)[.][a-z-]+(=.*)?" option != null
    || match "(subvol|subvolid|device|lowerdir|upperdir|workdir|offset|mode)=.*" option != null;
  mountOptions = options: filter isTold (concatMap (option: filter isString (split "," (text option))) (list options));

  # Nor is a source that could have a password in it: local paths, tags, and plain
  # names of servers and pools are written.
  source =
    fsType: device:
    when (
      device != null
      && (
        fsType == "zfs"
        || match "/([^/].*)?|(UUID|LABEL|PARTUUID|PARTLABEL)=.*|//[A-Za-z0-9._/ -]*" device != null
        || match "[]A-Za-z0-9._:/+[-]*" device != null && match ".*://.*" device == null
      )
    ) device;

  fileSystems = (get (options.system.build or { })).fileSystems or null;
  encrypted = pick { blkDev = text; label = text; keyFile = text; };
in
{
  fileSystems = when (fileSystems != null) (map (
    fs:
    compact {
      mountPoint = text (must "mountPoint" fs);
      device =
        if fs.device or null == null && fs.label or null != null then
          "LABEL=${text fs.label}"
        else
          source (fs.fsType or null) (text (fs.device or null));
      fsType = text (fs.fsType or null);
      options = mountOptions (fs.options or null);
      depends = texts (fs.depends or null);
      neededForBoot = utils.fsNeededForBoot fs;
      encrypted = when (fs.encrypted.enable or false) (encrypted fs.encrypted);
    }
  ) fileSystems);

  swap = compact {
    zram = get (options.zramSwap.enable or { });
    devices = map (
      swap:
      compact {
        device = text (must "device" swap);
        size = swap.size or null;
        randomEncryption = swap.randomEncryption.enable or null;
        options = mountOptions (swap.options or null);
      }
    ) (list (get (options.swapDevices or { })));
  };
}
