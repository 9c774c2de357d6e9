# What is installed to boot with, and where it writes.
{ options, tools, ... }:
let
  inherit (builtins) elem filter head;
  inherit (tools) compact get isOn list must text texts when;

  loader = options.boot.loader or { };
  lanzaboote = options.boot.lanzaboote or { };
  of = name: option: get (loader.${name}.${option} or { });

  enabled =
    (if isOn (lanzaboote.enable or { }) then [ "lanzaboote" ] else [ ])
    ++ filter (name: of name "enable" == true) [
      "external"
      "grub"
      "systemd-boot"
      "limine"
      "refind"
      "generic-extlinux-compatible"
      "raspberryPi"
      "initScript"
      "generationsDir"
    ];
  kind = when (loader != { }) (head (enabled ++ [ "none" ]));
  is = kinds: elem kind kinds;

  esp = text (of "efi" "efiSysMountPoint");
  xbootldr = when (is [ "systemd-boot" ]) (text (of kind "xbootldrMountPoint"));
  efi =
    if is [ "grub" "limine" ] then
      of kind "efiSupport"
    else
      when (is [ "lanzaboote" "systemd-boot" "refind" ]) true;

  mirrors = map (
    mirror:
    compact {
      path = text (must "path" mirror);
      devices = texts (mirror.devices or null);
      bootloaderId = text (mirror.efiBootloaderId or null);
      esp = when (efi == true) (
        text (if mirror.efiSysMountPoint or null == null then must "path" mirror else mirror.efiSysMountPoint)
      );
    }
  ) (list (when (is [ "grub" "generic-extlinux-compatible" ]) (of kind "mirroredBoots")));

  esps =
    if efi != true then
      [ ]
    else if is [ "grub" ] then
      map (mirror: mirror.esp) mirrors
    else
      [ esp ] ++ texts (when (is [ "lanzaboote" ]) (get (lanzaboote.extraEfiSysMountPoints or { })));
in
compact {
  inherit kind enabled efi esps xbootldr mirrors;
  id = text (get (options.system.boot.loader.id or { }));
  timeout = get (loader.timeout or { });
  canTouchEfiVariables = of "efi" "canTouchEfiVariables";
  removable = when (efi == true && is [ "grub" "limine" "refind" ]) (of kind "efiInstallAsRemovable");
  # An external one may use it or not.
  espOption = when (is [ "external" ]) esp;
  hook = when (is [ "external" ]) (baseNameOf (text (of kind "installHook")));

  writes =
    if mirrors != [ ] then
      map (mirror: mirror.path) mirrors
    else if xbootldr != null then
      [ xbootldr ]
    else if efi == true then
      esps
    else if is [ "initScript" ] then
      [ "/sbin/init" "/boot" ]
    else if is [ "generic-extlinux-compatible" "limine" "raspberryPi" "generationsDir" ] then
      [ "/boot" ]
    else
      [ ];

  grub = when (is [ "grub" ]) (compact {
    copyKernels = of kind "copyKernels";
    forceInstall = of kind "forceInstall";
    osProber = of kind "useOSProber";
    storePath = text (of kind "storePath");
  });
  limine = when (is [ "limine" ]) (compact {
    bios = of kind "biosSupport";
    biosDevice = text (of kind "biosDevice");
  });
  raspberryPi = when (is [ "raspberryPi" ]) (compact {
    version = of kind "version";
    uboot = get (loader.raspberryPi.uboot.enable or { });
  });
}
