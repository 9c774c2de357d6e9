# Configurations whose facts are in facts/NAME.json: those that people have, each
# kind that check has to tell from the others. Whatever is secret says PLANTED.
# Modules; those below `aarch64` are of that platform.
{ nixpkgs, lib }:
let
  inherit (lib) mkForce mkOption mkEnableOption types;

  systemd.boot.initrd.systemd.enable = true;
  scripted.boot.initrd.systemd.enable = false;
  noGrub.boot.loader.grub.enable = false;
  ssh.services.openssh.enable = true;
  disk = device: fsType: { inherit device fsType; };
  root = device: fsType: { fileSystems."/" = mkForce (disk device fsType); };
  static = {
    useDHCP = false;
    nameservers = [ "9.9.9.9" ];
  };
  key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQ1cG4SxE2xkq0cNfbTYyvUxgBuTnqjz2iD0TPVdyb somebody";
  yescrypt = "$y$j9T$PLANTEDPLANTEDPLANTED.$0123456789012345678901234567890123456789abc";
  sha512 = "$6$rounds=5000$PLANTED$" + lib.concatStrings (lib.genList (_: "a") 86);

  planted = builtins.toFile "planted" "PLANTED in a file";

  # What a nixpkgs of the time does not have, as far as it is asked for.
  without = path: stub: lib.optional (!builtins.pathExists (nixpkgs + "/nixos/modules/${path}")) { options = stub; };
  bool = default: mkOption { type = types.bool; inherit default; };
  str = default: mkOption { type = types.str; inherit default; };
  limine.imports = without "system/boot/loader/limine" {
    boot.loader.limine = {
      enable = mkEnableOption "limine";
      efiSupport = bool true;
      efiInstallAsRemovable = bool true;
      biosSupport = bool false;
      biosDevice = str "nodev";
    };
  };
  refind.imports = without "system/boot/loader/refind" {
    boot.loader.refind = {
      enable = mkEnableOption "refind";
      efiInstallAsRemovable = bool false;
    };
  };
  lanzaboote = {
    options.boot.lanzaboote = {
      enable = mkEnableOption "lanzaboote";
      extraEfiSysMountPoints = mkOption { type = types.listOf types.str; default = [ ]; };
      privateKeyFile = str "/PLANTED/db.key";
    };
  };
  secretsOf = {
    options.age.identityPaths = mkOption { type = types.listOf types.path; default = [ ]; };
    options.sops.age.keyFile = mkOption { type = types.nullOr types.path; default = null; };
    options.sops.age.sshKeyPaths = mkOption { type = types.listOf types.path; default = [ ]; };
  };
in
{
  # ---------------------------------------------------------------- stage 1, disks
  plain = [ systemd ];
  scripted = [ scripted ];
  hardware-configuration = [
    scripted
    (
      { modulesPath, ... }:
      {
        imports = [
          (modulesPath + "/installer/scan/not-detected.nix")
          (modulesPath + "/profiles/qemu-guest.nix")
        ];
        boot.initrd.availableKernelModules = [ "ata_piix" "uhci_hcd" "virtio_pci" "virtio_scsi" ];
        boot.kernelModules = [ "kvm-intel" ];
        fileSystems."/" = mkForce (disk "/dev/disk/by-uuid/8d4c1a4e-6a3c-4a55-8d0e-2f6a4a7a3f11" "ext4");
        fileSystems."/boot/efi" = disk "/dev/disk/by-uuid/7B7A-2E1C" "vfat" // { options = [ "fmask=0077" "dmask=0077" ]; };
        swapDevices = [ { device = "/dev/disk/by-uuid/1c9a4d0e-0d3f-4f8e-9a53-0c6a2f1c7d22"; } ];
        boot.loader.grub.device = mkForce "/dev/sda";
      }
    )
  ];
  luks = [
    systemd
    (root "/dev/mapper/crypt" "ext4")
    {
      boot.initrd.luks.devices.crypt = {
        device = "/dev/disk/by-uuid/2f1d";
        allowDiscards = true;
        crypttabExtraOpts = [ "tpm2-device=auto" "pkcs11-uri=pkcs11:pin-value=PLANTED" ];
      };
    }
  ];
  luks-key-files = [
    systemd
    (root "/dev/mapper/crypt" "ext4")
    {
      boot.initrd.luks.devices = {
        crypt = {
          device = "/dev/disk/by-uuid/2f1d";
          keyFile = "/crypto_keyfile.bin";
        };
        data = {
          device = "/dev/sdb";
          keyFile = "/dev/sdc";
          keyFileSize = 4096;
          header = "/boot/header";
        };
      };
      boot.initrd.secrets = {
        "/crypto_keyfile.bin" = null;
        "/etc/other" = planted;
      };
      boot.initrd.systemd.emergencyAccess = sha512;
      fileSystems."/enc" = disk "/dev/mapper/enc" "xfs" // {
        encrypted = {
          enable = true;
          blkDev = "/dev/sdd";
          label = "enc";
          keyFile = "/sysroot/root/key";
        };
      };
    }
  ];
  luks-lvm-ssh = [
    scripted
    (root "/dev/vg/root" "ext4")
    {
      boot.initrd.luks.devices.crypt.device = "/dev/disk/by-partlabel/crypt";
      boot.initrd.kernelModules = [ "dm-snapshot" ];
      boot.initrd.network.enable = true;
      boot.initrd.network.ssh = {
        enable = true;
        hostKeys = [ "/etc/ssh/initrd_key" ];
        authorizedKeys = [ key ];
      };
    }
  ];
  clevis = [
    systemd
    (root "/dev/mapper/crypt" "ext4")
    {
      boot.initrd.luks.devices.crypt.device = "/dev/sda2";
      boot.initrd.clevis.enable = true;
      boot.initrd.clevis.devices.crypt.secretFile = planted;
      boot.initrd.network.enable = true;
    }
  ];
  lvm = [
    systemd
    (root "/dev/vg/root" "xfs")
    {
      boot.initrd.services.lvm.enable = true;
      fileSystems."/var" = disk "/dev/vg/var" "ext4";
      swapDevices = [ { device = "/dev/vg/swap"; } ];
    }
  ];
  raid = [
    systemd
    (root "/dev/md/root" "ext4")
    {
      boot.swraid.enable = true;
      boot.swraid.mdadmConf = "MAILADDR root";
      boot.loader.grub.device = mkForce "";
      boot.loader.grub.devices = [ "/dev/sda" "/dev/sdb" ];
    }
  ];
  btrfs = [
    systemd
    {
      fileSystems = lib.mapAttrs (_: subvolume: mkForce (disk "/dev/disk/by-label/pool" "btrfs" // {
        options = [ "subvol=${subvolume}" "compress=zstd" "noatime" ];
        neededForBoot = true;
      })) { "/" = "@"; "/home" = "@home"; "/nix" = "@nix"; "/persist" = "@persist"; "/var/log" = "@log"; };
    }
  ];
  zfs = [
    systemd
    (root "rpool/root/nixos" "zfs")
    {
      networking.hostId = "12345678";
      boot.zfs.extraPools = [ "tank" ];
      boot.zfs.devNodes = "/dev/disk/by-partuuid";
      fileSystems."/nix" = disk "rpool/nix" "zfs" // { options = [ "zfsutil" ]; };
      fileSystems."/boot" = disk "bpool/boot" "zfs";
    }
  ];
  bcachefs = [
    systemd
    (root "/dev/sda2:/dev/sdb2" "bcachefs")
    { boot.supportedFilesystems = [ "bcachefs" ]; }
  ];
  separate = [
    systemd
    {
      fileSystems."/boot" = disk "/dev/disk/by-label/boot" "ext4";
      fileSystems."/home" = disk "/dev/sdb1" "ext4" // { options = [ "nofail" "x-systemd.device-timeout=5s" ]; };
      fileSystems."/nix" = disk "/dev/disk/by-label/nix" "xfs";
      fileSystems."/srv/data" = disk "/dev/sdc1" "ext4" // { options = [ "noauto" "x-systemd.automount" ]; };
    }
  ];
  bind = [
    systemd
    {
      fileSystems."/nix" = disk "/home/nix" "none" // { options = [ "bind" ]; depends = [ "/home" ]; };
      fileSystems."/var/log" = disk "/persist/log" "none" // { options = [ "rbind,ro" ]; depends = [ "/persist" ]; };
      fileSystems."/persist" = disk "/dev/vg/persist" "ext4" // { neededForBoot = true; };
      fileSystems."/home" = { label = "my home ü"; fsType = "ext4"; };
      fileSystems."/srv/image" = disk "/srv/image.img" "ext4" // { options = [ "loop" ]; };
      swapDevices = [
        { device = "/dev/disk/by-partuuid/1"; randomEncryption.enable = true; }
        { device = "/swap"; size = 2048; options = [ "nofail" ]; }
        { label = "sw"; }
      ];
      zramSwap.enable = true;
    }
  ];
  overlay-store = [
    systemd
    {
      fileSystems."/nix/store" = disk "overlay" "overlay" // {
        options = [ "lowerdir=/nix/.ro-store" "upperdir=/nix/.rw-store/u" "workdir=/nix/.rw-store/w" ];
        depends = [ "/nix/.ro-store" ];
      };
      fileSystems."/nix/.ro-store" = disk "/dev/sdb" "squashfs" // { neededForBoot = true; };
    }
  ];
  remote-mounts = [
    systemd
    {
      fileSystems = lib.mapAttrs (_: mount: { options = [ "noauto" ]; } // mount) {
        "/mnt/cifs" = disk "//server/share" "cifs" // { options = [ "username=u,password=PLANTED,uid=0" "pass=PLANTED" "nofail" "credentials=/etc/cifs" ]; };
        "/mnt/cifs-user" = disk "//u:PLANTED@server/share" "cifs";
        "/mnt/cifs-comma" = disk "//server/other" "cifs" // { options = [ ''password="a,PLANTED",noauto'' ]; };
        "/mnt/dav" = disk "https://u:PLANTED@host/x" "davfs";
        "/mnt/dav-token" = disk "https://host/x?token=PLANTED" "davfs";
        "/mnt/ceph" = disk "10.0.0.1:6789:/" "ceph" // { options = [ "name=admin" "secret=PLANTED" ]; };
        "/mnt/rclone" = disk ":s3,secret_access_key=PLANTED:bucket" "rclone" // { options = [ "env.RCLONE_PASS=PLANTED" "_netdev" ]; };
        "/mnt/sshfs" = disk "user@host:/data" "fuse.sshfs" // { options = [ "password_stdin" "IdentityFile=/root/key" ]; };
        "/mnt/crypt" = disk "/data/.ecryptfs" "ecryptfs" // { options = [ "key=passphrase:passphrase_passwd=PLANTED" "ecryptfs_sig=PLANTED" ]; };
        "/mnt/nfs" = disk "10.0.0.1:/export" "nfs4" // { options = [ "_netdev" ]; };
      };
    }
  ];
  nfs-root = [
    scripted
    (root "10.0.0.1:/root" "nfs")
    {
      boot.initrd.supportedFilesystems = [ "nfs" ];
      boot.initrd.network.enable = true;
    }
  ];
  iscsi-root = [
    scripted
    {
      boot.initrd.network.enable = true;
      boot.iscsi-initiator = {
        name = "iqn.2026-01.example:me";
        target = "iqn.2026-01.example:root";
        discoverPortal = "10.0.0.1";
        extraConfig = "discovery.sendtargets.auth.password = PLANTED";
      };
    }
  ];
  gpt-auto = [
    systemd
    noGrub
    {
      boot.initrd.systemd.root = "gpt-auto";
      boot.loader.systemd-boot.enable = true;
      boot.initrd.supportedFilesystems = [ "ext4" ];
    }
  ];
  etc-overlay = [
    systemd
    {
      system.etc.overlay.enable = true;
      systemd.sysusers.enable = true;
      users.users.root.initialHashedPassword = yescrypt;
      users.users.root.hashedPassword = "!";
    }
  ];
  etc-overlay-immutable = [
    systemd
    {
      system.etc.overlay.enable = true;
      system.etc.overlay.mutable = false;
      systemd.sysusers.enable = true;
      users.mutableUsers = false;
      users.users.root.initialHashedPassword = yescrypt;
    }
  ];
  no-initrd = [ { boot.initrd.enable = false; } ];

  # ------------------------------------------------------------------ boot loaders
  grub-mirrored = [
    systemd
    {
      boot.loader.efi.canTouchEfiVariables = true;
      boot.loader.grub = {
        device = mkForce "";
        efiSupport = true;
        mirroredBoots = [
          { path = "/boot"; devices = [ "/dev/sda" ]; efiSysMountPoint = "/efi1"; }
          { path = "/boot-fallback"; devices = [ "/dev/sdb" ]; efiBootloaderId = "second"; }
        ];
      };
    }
  ];
  grub-removable = [
    systemd
    {
      boot.loader.grub = {
        efiSupport = true;
        efiInstallAsRemovable = true;
        copyKernels = true;
        useOSProber = true;
      };
      boot.loader.efi.efiSysMountPoint = "/boot/efi";
    }
  ];
  systemd-boot = [
    systemd
    noGrub
    {
      boot.loader.systemd-boot.enable = true;
      boot.loader.efi.canTouchEfiVariables = true;
      fileSystems."/boot" = disk "/dev/disk/by-label/ESP" "vfat";
    }
  ];
  systemd-boot-xbootldr = [
    systemd
    noGrub
    {
      boot.loader.systemd-boot = {
        enable = true;
        xbootldrMountPoint = "/boot";
      };
      boot.loader.efi.efiSysMountPoint = "/efi";
      boot.loader.timeout = null;
    }
  ];
  extlinux = [
    systemd
    noGrub
    { boot.loader.generic-extlinux-compatible.enable = true; }
  ];
  init-script = [
    scripted
    noGrub
    { boot.loader.initScript.enable = true; }
  ];
  generations-dir = [
    scripted
    noGrub
    { boot.loader.generationsDir.enable = true; }
  ];
  external = [
    systemd
    noGrub
    (
      { pkgs, ... }:
      {
        boot.loader.external = {
          enable = true;
          installHook = "${pkgs.hello}/bin/hook";
        };
      }
    )
  ];
  lanzaboote = [
    systemd
    noGrub
    lanzaboote
    (
      { pkgs, ... }:
      {
        boot.lanzaboote.enable = true;
        boot.lanzaboote.extraEfiSysMountPoints = [ "/efi2" ];
        boot.loader.external = {
          enable = true;
          installHook = "${pkgs.hello}/bin/lzbt";
        };
      }
    )
  ];
  limine = [
    systemd
    noGrub
    limine
    { boot.loader.limine.enable = true; }
  ];
  limine-bios = [
    systemd
    noGrub
    limine
    {
      boot.loader.limine = {
        enable = true;
        efiSupport = false;
        biosSupport = true;
        biosDevice = "/dev/sda";
      };
    }
  ];
  refind = [
    systemd
    noGrub
    refind
    {
      boot.loader.refind.enable = true;
      boot.loader.efi.canTouchEfiVariables = true;
    }
  ];
  no-loader = [
    systemd
    noGrub
  ];
  # Their old names throw, or warn, when they are read.
  removed-options = [
    systemd
    {
      disabledModules = [
        "system/boot/loader/raspberrypi/raspberrypi.nix"
        "system/boot/loader/init-script/init-script.nix"
      ];
      imports = [
        (lib.mkRemovedOptionModule [ "boot" "loader" "raspberryPi" ] "It is gone.")
        (lib.mkRenamedOptionModule [ "boot" "loader" "initScript" "enable" ] [ "boot" "loader" "external" "enable" ])
      ];
    }
  ];

  # ----------------------------------------------------------------- users, ways in
  passwords = [
    systemd
    ssh
    secretsOf
    (
      { pkgs, ... }:
      {
        users.users = {
          root.hashedPassword = yescrypt;
          root.openssh.authorizedKeys.keys = [ key "command=\"x\" ${key}" ];
          both = { isNormalUser = true; hashedPassword = "!"; password = "PLANTED"; };
          file = { isNormalUser = true; hashedPasswordFile = "/run/secrets/file"; initialPassword = "PLANTED"; extraGroups = [ "wheel" ]; };
          key-file = { isNormalUser = true; openssh.authorizedKeys.keyFiles = [ planted ]; uid = 1005; };
          none = { isNormalUser = true; group = "staff"; homeMode = "755"; };
          nologin = { isNormalUser = true; shell = "/run/current-system/sw/bin/nologin"; };
          no-shell = { isNormalUser = true; shell = null; };
          placeholder = { isNormalUser = true; hashedPassword = "$y$…"; };
          short = { isNormalUser = true; hashedPassword = "$6$PLANTED$PLANTED"; shell = pkgs.zsh; ignoreShellProgramCheck = true; };
          sha256 = { isNormalUser = true; initialHashedPassword = "$5$PLANTED$0123456789012345678901234567890123456789abc"; };
          sha512 = { isNormalUser = true; initialHashedPassword = sha512; expires = "2020-01-01"; };
          empty = { isNormalUser = true; hashedPassword = ""; };
          empty-text = { isNormalUser = true; initialPassword = ""; };
          locked = { isNormalUser = true; hashedPassword = "!"; createHome = false; home = "/srv/locked"; };
          service = { isSystemUser = true; group = "users"; shell = pkgs.bash; };
          daemon2 = { isSystemUser = true; group = "users"; };
          high = { isSystemUser = true; group = "users"; uid = 2000; };
        };
        users.groups.staff.members = [ "locked" ];
      }
    )
  ];
  immutable-users = [
    systemd
    ssh
    secretsOf
    {
      users.mutableUsers = false;
      users.users.root.hashedPasswordFile = "/run/agenix/root";
      users.users.alice = { isNormalUser = true; password = "PLANTED"; extraGroups = [ "wheel" ]; };
      age.identityPaths = [ planted "/root/.ssh/id" ];
      sops.age.keyFile = "/var/lib/sops/key";
      sops.age.sshKeyPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
    }
  ];
  old-password-file = [
    systemd
    ssh
    { users.users.root.passwordFile = "/etc/nixos/root.pw"; }
  ];
  sshd = [
    systemd
    {
      services.openssh = {
        enable = true;
        settings.PermitRootLogin = "yes";
      };
    }
  ];
  sshd-restricted = [
    systemd
    {
      services.openssh = {
        enable = true;
        ports = [ 22 2222 ];
        listenAddresses = [ { addr = "10.0.0.1"; port = 22; } { addr = "::"; } ];
        settings = {
          AllowUsers = [ "alice" "bob@10.0.0.*" ];
          PermitRootLogin = "no";
          PasswordAuthentication = false;
        };
        extraConfig = "Match User alice\n  PasswordAuthentication yes";
        authorizedKeysInHomedir = false;
        authorizedKeysCommand = "/bin/keys --token=PLANTED";
      };
    }
  ];
  sshd-socket = [
    systemd
    {
      services.openssh = {
        enable = true;
        startWhenNeeded = true;
        openFirewall = false;
        hostKeys = [ { type = "ed25519"; path = "/persist/host_key"; } ];
      };
    }
  ];
  consoles = [
    systemd
    {
      boot.kernelParams = [ "console=ttyS0,115200n8" "console=tty0" "console=ttyS1" "secret=PLANTED" ];
      systemd.services."serial-getty@ttyS1".enable = false;
      services.getty.autologinUser = "root";
      services.getty.helpLine = "PLANTED";
    }
  ];
  no-console = [
    systemd
    { console.enable = false; systemd.services."getty@tty1".enable = false; }
  ];

  # ----------------------------------------------------------------------- network
  static = [
    systemd
    {
      networking = static // {
        interfaces.eth0 = {
          ipv4.addresses = [ { address = "10.0.0.2"; prefixLength = 24; } ];
          ipv4.routes = [ { address = "10.9.0.0"; prefixLength = 16; via = "10.0.0.9"; } ];
          ipv6.addresses = [ { address = "2001:db8::2"; prefixLength = 64; } ];
          macAddress = "52:54:00:00:00:01";
        };
        defaultGateway = "10.0.0.1";
        defaultGateway6 = { address = "fe80::1"; interface = "eth0"; };
        dhcpcd.extraConfig = "PLANTED";
      };
    }
  ];
  ipv6-only = [
    systemd
    {
      networking = static // {
        usePredictableInterfaceNames = false;
        interfaces.ens3.ipv6.addresses = [ { address = "2001:db8::2"; prefixLength = 64; } ];
        defaultGateway6 = { address = "fe80::1"; interface = "ens3"; };
      };
    }
  ];
  dhcp-of-one = [
    systemd
    {
      networking.useDHCP = false;
      networking.enableIPv6 = false;
      networking.interfaces.ens3.useDHCP = true;
      networking.dhcpcd.allowInterfaces = [ "enp*" ];
      networking.dhcpcd.denyInterfaces = [ "docker*" ];
      networking.dhcpcd.extraConfig = "PLANTED";
      networking.localCommands = "ip route add PLANTED";
    }
  ];
  networkd = [
    systemd
    {
      networking.useNetworkd = true;
      networking.useDHCP = false;
      systemd.network = {
        enable = true;
        networks."10-wan" = {
          matchConfig.MACAddress = "52:54:00:00:00:01";
          address = [ "10.0.0.2/32" "2001:db8::2/64" ];
          addresses = [ { addressConfig.Address = "10.0.0.3/32"; } ];
          routes = [
            { routeConfig = { Gateway = "172.31.1.1"; GatewayOnLink = true; }; }
            { routeConfig = { Destination = "10.8.0.0/16"; Gateway = "10.0.0.9"; Table = 7; }; }
          ];
          dns = [ "9.9.9.9" ];
          vlan = [ "v10" ];
        };
        networks."20-lan" = {
          matchConfig = { Name = [ "en*" "eth*" ]; Virtualization = "!container"; };
          networkConfig = { DHCP = "ipv4"; IPv6AcceptRA = true; LinkLocalAddressing = "ipv6"; Bridge = "br0"; };
          gateway = [ "10.1.0.1" ];
        };
        networks."30-other" = {
          matchConfig.Name = "wl*";
          linkConfig = { Unmanaged = true; ActivationPolicy = "manual"; };
          extraConfig = "[Network]\nAddress=PLANTED";
        };
        networks.off = { enable = false; matchConfig.Name = "x"; };
        netdevs.v10 = { netdevConfig = { Kind = "vlan"; Name = "v10"; }; vlanConfig.Id = 10; };
        netdevs.br0 = { netdevConfig = { Kind = "bridge"; Name = "br0"; MACAddress = "none"; }; extraConfig = "#PLANTED"; };
        netdevs.wg0 = {
          netdevConfig = { Kind = "wireguard"; Name = "wg0"; };
          wireguardConfig.PrivateKeyFile = "/PLANTED/wg";
          wireguardPeers = [ { wireguardPeerConfig = { PublicKey = "x"; PresharedKeyFile = "/PLANTED/psk"; AllowedIPs = [ "0.0.0.0/0" ]; }; } ];
        };
      };
    }
  ];
  networking-by-networkd = [
    systemd
    {
      networking = static // {
        useNetworkd = true;
        interfaces.eth0 = {
          useDHCP = true;
          ipv4.addresses = [ { address = "10.0.0.2"; prefixLength = 24; } ];
        };
        bridges.br0.interfaces = [ "eth1" ];
        defaultGateway = { address = "10.0.0.1"; interface = "eth0"; };
      };
    }
  ];
  networkmanager = [
    systemd
    {
      networking.networkmanager = {
        enable = true;
        unmanaged = [ "interface-name:virbr*" ];
        ensureProfiles.profiles.home = {
          connection = { id = "home"; type = "wifi"; interface-name = "wlan0"; };
          wifi.ssid = "PLANTED";
          wifi-security.psk = "PLANTED";
          ipv4 = { method = "manual"; address1 = "10.0.0.2/24,10.0.0.1"; };
          ipv6.method = "disabled";
        };
        ensureProfiles.profiles.wired = {
          connection = { id = "wired"; type = "ethernet"; };
          ethernet.mac-address = "52:54:00:00:00:01";
          "802-1x".password = "PLANTED";
          ipv4.method = "auto";
        };
      };
    }
  ];
  wifi = [
    systemd
    { networking.wireless = { enable = true; networks.home.psk = "PLANTED"; }; }
  ];
  iwd = [
    systemd
    { networking.wireless.iwd.enable = true; }
  ];
  connman = [
    systemd
    { services.connman.enable = true; networking.wireless.enable = true; networking.wireless.networks.x = { }; }
  ];
  vlan = [
    systemd
    {
      networking = static // {
        vlans.v5 = { id = 5; interface = "enp1s0"; };
        interfaces.v5.ipv4.addresses = [ { address = "10.5.0.2"; prefixLength = 24; } ];
        defaultGateway = { address = "10.5.0.1"; interface = "v5"; };
      };
    }
  ];
  bond = [
    scripted
    {
      networking = static // {
        bonds.bond0 = { interfaces = [ "eth1" "eth2" ]; driverOptions.mode = "802.3ad"; };
        interfaces.bond0.useDHCP = true;
      };
    }
  ];
  bridge = [
    systemd
    {
      networking = static // {
        bridges.br0.interfaces = [ "eth0" ];
        macvlans.mv0 = { interface = "eth1"; mode = "bridge"; };
        sits.sit0 = { remote = "10.0.0.9"; };
        greTunnels.gre0 = { remote = "10.0.0.9"; local = "10.0.0.2"; };
        vswitches.vs0.interfaces.eth3 = { };
        interfaces.br0.ipv4.addresses = [ { address = "10.0.0.2"; prefixLength = 24; } ];
        defaultGateway = { address = "10.0.0.1"; interface = "br0"; };
        firewall = {
          interfaces.br0.allowedTCPPorts = [ 80 ];
          interfaces.eth3.allowedTCPPortRanges = [ { from = 1; to = 9; } ];
          allowedTCPPortRanges = [ { from = 8000; to = 8010; } ];
          trustedInterfaces = [ "eth1" ];
        };
      };
    }
  ];
  wireguard = [
    systemd
    {
      networking.wireguard.interfaces.wg0 = {
        ips = [ "10.100.0.1/24" ];
        privateKey = "PLANTED";
        peers = [ { publicKey = "x"; presharedKey = "PLANTED"; allowedIPs = [ "0.0.0.0/0" ]; endpoint = "192.0.2.1:1"; } ];
      };
      networking.wg-quick.interfaces.wg1 = { address = [ "10.101.0.1/24" ]; privateKey = "PLANTED"; };
    }
  ];
  interface-names = [
    systemd
    {
      systemd.network.links."10-lan0" = {
        matchConfig = { PermanentMACAddress = "52:54:00:00:00:01"; Firmware = "x"; };
        linkConfig.Name = "lan0";
      };
      systemd.network.links."20-other" = { matchConfig.OriginalName = "*"; linkConfig.NamePolicy = "kernel"; extraConfig = "#PLANTED"; };
      services.udev.extraRules = ''SUBSYSTEM=="net", ATTR{address}=="x", NAME="wan0"'';
    }
  ];
  cloud-init = [
    systemd
    ssh
    { services.cloud-init.enable = true; services.cloud-init.network.enable = true; }
  ];
  nftables = [
    systemd
    ssh
    {
      networking.nftables.enable = true;
      networking.firewall.enable = false;
      networking.nftables.ruleset = "table inet PLANTED {}";
    }
  ];

  # ----------------------------------------------------------------------- aarch64
  aarch64 = {
    aarch64-uefi = [
      systemd
      noGrub
      ssh
      {
        boot.loader.systemd-boot.enable = true;
        boot.loader.efi.canTouchEfiVariables = true;
      }
    ];
    aarch64-extlinux = [
      scripted
      noGrub
      { boot.loader.generic-extlinux-compatible.enable = true; boot.kernelParams = [ "console=ttyAMA0,115200" ]; }
    ];
    raspberry-pi = [
      scripted
      noGrub
      { boot.loader.raspberryPi = { enable = true; version = 3; uboot.enable = true; }; }
    ];
  };
}
