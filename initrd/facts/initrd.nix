# What stage 1 can open, load and mount.
{ options, stage1, fileSystems, tools, ... }:
let
  inherit (builtins) any elem filter head match;
  inherit (tools) compact get isOn list must named names text texts unique when;

  initrd = options.boot.initrd or { };
  zfs = options.boot.zfs or { };
  access = get (initrd.systemd.emergencyAccess or { });

  # By its newer name, or by that of older releases.
  service =
    name: newer:
    let
      found = filter (value: value != null) [ (get newer) (get (initrd.services.${name}.enable or { })) ];
    in
    when (found != [ ]) (head found);

  luks =
    { name, value }:
    compact {
      name = text (value.name or name);
      device = text (must "device" value);
      keyFile = text (value.keyFile or null);
      header = text (value.header or null);
      fallback = value.fallbackToPassword or null;
      # Without values, which may hold a PIN.
      options = map (option: head (match "([^=]*).*" (text option))) (value.crypttabExtraOpts or [ ]);
      token = any (key: key != null) [
        (value.yubikey or null)
        (value.gpgCard or null)
        (value.fido2.credential or null)
      ];
      clevis = isOn (initrd.clevis.enable or { }) && get (initrd.clevis.devices or { }) ? ${name};
    };

  onZfs = filter (fs: fs.fsType or null == "zfs") (list fileSystems);
  supportsZfs = option: elem "zfs" (names (get option));
in
if get (initrd.enable or { }) == false then
  { kind = "none"; }
else
  compact {
    kind = stage1;
    modules = names (get (initrd.availableKernelModules or { }));
    loaded = names (get (initrd.kernelModules or { }));
    fileSystems = names (get (initrd.supportedFilesystems or { }));
    luks = map luks (named (get (initrd.luks.devices or { })));
    lvm = service "lvm" { };
    swraid = service "swraid" (options.boot.swraid.enable or { });
    bcache = service "bcache" (options.boot.bcache.enable or { });
    zfs = when (onZfs != [ ] || supportsZfs (options.boot.supportedFilesystems or { })) (compact {
      pools = unique (
        map (fs: head (match "([^/]*).*" fs.device)) (filter (fs: fs ? device) onZfs)
        ++ texts (get (zfs.extraPools or { }))
      );
      forceImportRoot = get (zfs.forceImportRoot or { });
      devNodes = text (get (zfs.devNodes or { }));
      version = text ((get (zfs.package or { })).version or null);
    });
    iscsi = text (get (options.boot.iscsi-initiator.target or { }));
    network = get (initrd.network.enable or { });
    ssh = get (initrd.network.ssh.enable or { });
    # It may be the hash of a password.
    emergencyAccess = when (access != null) (access != false);
    secrets = map ({ name, value }: compact { path = text name; source = text value; }) (
      named (get (initrd.secrets or { }))
    );
  }
