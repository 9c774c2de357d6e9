# Who configures the network, and to what. Units and profiles may hold keys: what
# is written of them is named here.
{ options, tools, ... }:
let
  inherit (builtins) any attrNames concatMap elem filter isBool isList listToAttrs;
  inherit (tools) compact get isOn list must named pick text texts values when;

  net = options.networking or { };
  networkd = options.systemd.network or { };
  networkManager = net.networkmanager or { };
  firewall = net.firewall or { };
  cloudInit = options.services.cloud-init or { };
  runs = {
    networkd = isOn (networkd.enable or { });
    NetworkManager = isOn (networkManager.enable or { });
    scripted = net ? interfaces && !isOn (net.useNetworkd or { });
    wpa_supplicant = isOn (net.wireless.enable or { });
    iwd = isOn (net.wireless.iwd.enable or { });
    connman = isOn (options.services.connman.enable or { });
  };
  isSaid = option: when (get option != null && get option != "") true;

  # A setting of a unit: a value or a list of them, booleans as systemd has them.
  words =
    value:
    if isList value then
      concatMap words value
    else if isBool value then
      [ (if value then "yes" else "no") ]
    else
      filter (word: word != null) [ (text value) ];
  wordsOf = names: set: concatMap (name: words (set.${name} or null)) names;
  section = keys: set: compact (listToAttrs (map (name: { inherit name; value = words (set.${name} or null); }) keys));

  # ------------------------------------------------------------------ networkd, udev
  matchKeys = [ "Driver" "Host" "Kind" "MACAddress" "Name" "OriginalName" "Path" "PermanentMACAddress" "Type" ];
  # Of what is matched otherwise, only that it is.
  match =
    set:
    section matchKeys set
    // compact { other = filter (name: !elem name matchKeys && words set.${name} != [ ]) (attrNames set); };

  # The fields of addresses and routes were a set of their own before 24.11; the old
  # name throws since.
  field =
    old: name: record:
    let
      inner = builtins.tryEval (record.${old} or { });
    in
    wordsOf [ name ] (if inner.success then record // inner.value else record);

  # A unit, or null where this release has none; extraConfig could say anything.
  units =
    write: option:
    map (
      { name, value }:
      compact (
        write value
        // {
          name = text name;
          raw = when (value.extraConfig or "" != "") true;
        }
      )
    ) (filter (unit: unit.value.enable or true) (named (get option)));

  network = unit: {
    match = match (unit.matchConfig or { });
    addresses =
      wordsOf [ "address" ] unit
      ++ wordsOf [ "Address" ] (unit.networkConfig or { })
      ++ concatMap (field "addressConfig" "Address") (list (unit.addresses or null));
    gateways = wordsOf [ "gateway" ] unit ++ wordsOf [ "Gateway" ] (unit.networkConfig or { });
    routes = map (
      route:
      compact {
        to = field "routeConfig" "Destination" route;
        via = field "routeConfig" "Gateway" route;
        onLink = field "routeConfig" "GatewayOnLink" route;
        table = field "routeConfig" "Table" route;
      }
    ) (list (unit.routes or null));
    dns = wordsOf [ "dns" ] unit ++ wordsOf [ "DNS" ] (unit.networkConfig or { });
    dhcp = wordsOf [ "DHCP" ] (unit // unit.networkConfig or { });
    ra = wordsOf [ "IPv6AcceptRA" ] (unit.networkConfig or { });
    linkLocal = wordsOf [ "LinkLocalAddressing" ] (unit.networkConfig or { });
    unmanaged = wordsOf [ "Unmanaged" ] (unit.linkConfig or { });
    activation = wordsOf [ "ActivationPolicy" ] (unit.linkConfig or { });
    on =
      wordsOf [ "bridge" "bond" "vlan" "macvlan" "vrf" ] unit
      ++ wordsOf [ "Bridge" "Bond" "VLAN" "MACVLAN" "VRF" ] (unit.networkConfig or { });
  };
  netdev = unit: {
    set = section [ "Kind" "Name" "MACAddress" ] (unit.netdevConfig or { });
    id = wordsOf [ "Id" ] (unit.vlanConfig or { });
  };
  link = unit: {
    match = match (unit.matchConfig or { });
    set = section [ "Name" "NamePolicy" "AlternativeNamesPolicy" "MACAddress" "MACAddressPolicy" ] (unit.linkConfig or { });
  };

  # -------------------------------------------------------------- NetworkManager
  ip = section [ "method" "addresses" "address" "address1" "address2" "gateway" "route1" "dns" ];
  profile =
    { name, value }:
    compact {
      name = text name;
      interface = text (value.connection.interface-name or null);
      type = text (value.connection.type or null);
      mac = text (value.ethernet.mac-address or null);
      ipv4 = ip (value.ipv4 or { });
      ipv6 = ip (value.ipv6 or { });
    };

  # ------------------------------------------------------------------ networking.*
  prefix = record: "${text (must "address" record)}/${text (must "prefixLength" record)}";
  ofBoth = field: interface: list (interface.ipv4.${field} or null) ++ list (interface.ipv6.${field} or null);
  interfaces = values (get (net.interfaces or { }));
  interface =
    i:
    compact {
      name = text (must "name" i);
      dhcp = i.useDHCP or null;
      addresses = map prefix (ofBoth "addresses" i);
      routes = map (route: compact { to = prefix route; via = text (route.via or null); }) (ofBoth "routes" i);
      mac = text (i.macAddress or null);
      virtual = i.virtual or null;
    };
  dhcpcdRuns =
    isOn (net.dhcpcd.enable or { })
    && (isOn (net.useDHCP or { }) || any (i: i.useDHCP or null == true) interfaces);
  allowed = get (net.dhcpcd.allowInterfaces or { });

  virtual =
    kind: more: option:
    map ({ name, value }: { inherit kind; name = text name; } // compact (more value)) (named (get option));
  on = names: value: { on = wordsOf names value; };
  addresses = name: value: { addresses = wordsOf [ name ] value; };

  gateway = option: when (get option != null) (pick { address = text; interface = text; } (get option));

  ports = set: {
    tcp = list (set.allowedTCPPorts or null);
    tcpRanges = map (range: "${text (must "from" range)}-${text (must "to" range)}") (list (set.allowedTCPPortRanges or null));
  };
in
compact {
  manager = filter (name: runs.${name}) (attrNames runs);
  useNetworkd = get (net.useNetworkd or { });
  dhcp = get (net.useDHCP or { });
  ipv6 = get (net.enableIPv6 or { });
  dhcpcd = when dhcpcdRuns (compact {
    deny = texts (get (net.dhcpcd.denyInterfaces or { }));
    limited = allowed != null;
    allow = texts allowed;
    raw = isSaid (net.dhcpcd.extraConfig or { });
  });
  interfaces = map interface interfaces;
  virtual =
    virtual "bridge" (on [ "interfaces" ]) (net.bridges or { })
    ++ virtual "bond" (on [ "interfaces" ]) (net.bonds or { })
    ++ virtual "vlan" (vlan: on [ "interface" ] vlan // { id = must "id" vlan; }) (net.vlans or { })
    ++ virtual "macvlan" (on [ "interface" ]) (net.macvlans or { })
    ++ virtual "vswitch" (vswitch: { on = attrNames (must "interfaces" vswitch); }) (net.vswitches or { })
    ++ virtual "sit" (_: { }) (net.sits or { })
    ++ virtual "gre" (_: { }) (net.greTunnels or { })
    ++ (if isOn (net.wireguard.enable or { }) then virtual "wireguard" (addresses "ips") net.wireguard.interfaces else [ ])
    ++ virtual "wireguard" (addresses "address") (net.wg-quick.interfaces or { });
  gateway = gateway (net.defaultGateway or { });
  gateway6 = gateway (net.defaultGateway6 or { });
  nameservers = texts (get (net.nameservers or { }));
  hostId = text (get (net.hostId or { }));
  predictable = get (net.usePredictableInterfaceNames or { });
  networks = when runs.networkd (units network (networkd.networks or { }));
  netdevs = when runs.networkd (units netdev (networkd.netdevs or { }));
  # udev reads these without networkd, too.
  links = units link (networkd.links or { });
  udevNames = when (options ? services.udev.extraRules) (
    let
      rules = text (get options.services.udev.extraRules);
    in
    rules != null && builtins.replaceStrings [ "NAME=\"" ] [ "" ] rules != rules
  );
  profiles = when runs.NetworkManager (map profile (named (get (networkManager.ensureProfiles.profiles or { }))));
  unmanaged = when runs.NetworkManager (texts (get (networkManager.unmanaged or { })));
  cloudInit = when (isOn (cloudInit.enable or { })) (get (cloudInit.network.enable or { }));
  opaque = isSaid (net.localCommands or { });
  firewall = compact (
    {
      enable = get (firewall.enable or { });
      nftables = get (net.nftables.enable or { });
    }
    // (
      if isOn (firewall.enable or { }) then
        ports (builtins.mapAttrs (_: get) firewall)
        // {
          trusted = texts (get (firewall.trustedInterfaces or { }));
          interfaces = filter (i: attrNames i != [ "name" ]) (
            map ({ name, value }: compact (ports value // { name = text name; })) (named (get (firewall.interfaces or { })))
          );
        }
      else
        { }
    )
  );
}
