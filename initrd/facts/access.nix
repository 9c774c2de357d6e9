# Ways in: sshd and consoles. What sshd is set to stands in the closure's
# etc/ssh/sshd_config.
{ options, tools, ... }:
let
  inherit (builtins) concatMap elem filter match;
  inherit (tools) compact get isOn list must text texts unique when;

  ssh = options.services.openssh or { };
  console = get (options.console.enable or { });
  # What breaks them is said by a group of its own: there are some for swap devices.
  services = builtins.tryEval (get (options.systemd.services or { }));
  hasGetty = unit: services.value.${unit}.enable or true;
  consoles = concatMap (parameter: list (match "console=([^,]+).*" (text parameter))) (
    list (get (options.boot.kernelParams or { }))
  );
in
{
  sshd =
    if !isOn (ssh.enable or { }) then
      compact { enable = get (ssh.enable or { }); }
    else
      compact {
        enable = true;
        socket = get (ssh.startWhenNeeded or { });
        ports = get (ssh.ports or { });
        listen = map (listen: compact { address = text (listen.addr or null); port = listen.port or null; }) (
          list (get (ssh.listenAddresses or { }))
        );
        openFirewall = get (ssh.openFirewall or { });
        authorizedKeysFiles = texts (get (ssh.authorizedKeysFiles or { }));
        hostKeys = map (key: text (must "path" key)) (list (get (ssh.hostKeys or { })));
      };

  console = compact {
    screen = when (console != null) (console && hasGetty "getty@tty1");
    serial = filter (tty: !elem tty [ "tty0" "tty1" "null" ] && hasGetty "serial-getty@${tty}") (unique consoles);
    autologin = text (get (options.services.getty.autologinUser or { }));
  };
}
