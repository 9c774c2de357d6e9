# Who may log in, by which password or key. Hashes are judged here and keys are
# counted; neither is written.
{ options, pkgs, utils, tools, ... }:
let
  inherit (builtins) concatMap elem filter head length match;
  inherit (tools) compact get isOn must pick same text texts unique values when;

  users = options.users or { };
  manager =
    if isOn (options.systemd.sysusers.enable or { }) then
      "sysusers"
    else if isOn (options.services.userborn.enable or { }) then
      "userborn"
    else
      when (users ? users) "perl";

  # How long the hash is that each scheme ends with, behind the salt.
  digits = {
    y = 43;
    gy = 43;
    "7" = 43;
    "6" = 86;
    "5" = 43;
    "1" = 22;
    "2a" = 53;
    "2b" = 53;
    "2y" = 53;
  };
  judgeHash =
    hash:
    let
      scheme = head (match "[$]([a-z0-9]+)[$].*" hash);
      repeat = if digits ? ${scheme} then "{${toString digits.${scheme}}}" else "+";
    in
    if hash == "" then
      "empty"
    else if match "[!*].*" hash != null then
      "locked"
    else if
      match "[$][a-z0-9]+[$].*" hash != null
      && elem scheme (pkgs.libxcrypt.enabledCryptSchemeIds or [ scheme ])
      && match "[$][a-z0-9]+[$](.*[$])?[a-zA-Z0-9./]${repeat}" hash != null
    then
      "crypt"
    else
      "invalid";

  # The first that is set; systemd-sysusers knows only the initial ones.
  options' =
    (if manager == "sysusers" then [ ] else [ "password" "hashedPassword" ])
    ++ [ "initialPassword" "initialHashedPassword" ];
  password =
    user:
    let
      option = head (filter (option: user.${option} or null != null) options' ++ [ null ]);
    in
    compact {
      inherit option;
      kind =
        if option == null then
          "none"
        else if elem option [ "hashedPassword" "initialHashedPassword" ] then
          judgeHash user.${option}
        else if user.${option} == "" then
          "emptyText"
        else
          "text";
      # Read at each activation; what it has wins, if it is there.
      file = text (user.hashedPasswordFile or user.passwordFile or null);
    };

  shellOf = user: when (user.shell or null != null) (text (utils.toShellPath user.shell));
  letsIn = user: shellOf user != null && !elem (baseNameOf (shellOf user)) [ "false" "nologin" "sync" "true" ];

  # Also who has an id of a person, or may get one: from these follows which one a
  # user without an id of its own gets.
  isTold =
    user:
    user.enable or true
    && (
      must "name" user == "root"
      || user.isNormalUser or false
      || letsIn user
      || user.uid or null != null && user.uid >= 1000 && user.uid < 30000
    );

  groups = values (get (users.groups or { }));
  groupsOf =
    user:
    unique (
      texts ([ (must "group" user) ] ++ user.extraGroups or [ ])
      ++ map (group: text (must "name" group)) (filter (group: elem user.name (group.members or [ ])) groups)
    );
in
compact {
  inherit manager;
  mutable = get (users.mutableUsers or { });
  # Keys of agenix and sops-nix, with which files of passwords are decrypted.
  identities = unique (
    concatMap (option: texts (get option)) [
      (options.age.identityPaths or { })
      (options.sops.age.sshKeyPaths or { })
      (options.sops.gnupg.sshKeyPaths or { })
    ]
    ++ filter (path: path != null) [ (text (get (options.sops.age.keyFile or { }))) ]
  );
  list = map (
    user:
    pick { name = text; uid = same; home = text; createHome = same; homeMode = text; expires = text; } user
    // compact {
      normal = user.isNormalUser or null;
      groups = groupsOf user;
      shell = shellOf user;
      letsIn = letsIn user;
      password = password user;
      # The lines are in the closure's etc/ssh/authorized_keys.d/NAME.
      keys = length (map builtins.stringLength (user.openssh.authorizedKeys.keys or [ ]));
      keyFiles = texts (user.openssh.authorizedKeys.keyFiles or null);
      principals = length (user.openssh.authorizedPrincipals or [ ]);
    }
  ) (filter isTold (values (get (users.users or { }))));
}
