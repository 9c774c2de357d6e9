# The facts in facts/ against the schema in initrd/README.md: a set of booleans. No
# nixpkgs: `run` compares the facts with what is evaluated.
let
  inherit (builtins) attrNames concatMap elem filter fromJSON head isBool isInt isList isString listToAttrs match readDir readFile split;

  # | `KEY` | TYPE | …
  rows = filter (row: row != null) (
    map (match "[|] `([a-zA-Z0-9.*-]+(\\[][a-zA-Z0-9.*-]*)*)` [|] ([][a-z{}]+)([?]?) [|].*") (
      filter isString (split "\n" (readFile ../../initrd/README.md))
    )
  );
  key = row: head row;
  type = row: builtins.elemAt row 2;
  schema = listToAttrs (map (row: { name = key row; value = type row; }) rows);
  # Never absent.
  required = map key (filter (row: builtins.elemAt row 3 == "" && match "\\[.*" (type row) == null) rows);

  documents = listToAttrs (
    map (file: { name = file; value = fromJSON (readFile (./facts + "/${file}")); }) (attrNames (readDir ./facts))
  );

  # Match, set and the like are sets of settings, under one row for all.
  open = path: match "network[.][a-z]+\\[][.](match|set|ipv4|ipv6)" path;
  child = path: name: if open path != null then "network.*.${head (open path)}.*" else if path == "" then name else "${path}.${name}";

  typeOf =
    value:
    if isBool value then
      "bool"
    else if isInt value then
      "int"
    else if isString value then
      "string"
    else if isList value then
      if value == [ ] then "[]" else "[${typeOf (head value)}]"
    else if value == null then
      "null"
    else
      "{}";

  # [ { path; type; } ] of all that is in a value, and { path; lacks; } of records.
  walk =
    path: value:
    [ { inherit path; type = typeOf value; } ]
    ++ (
      if isList value then
        concatMap (item: if builtins.isAttrs item then inside "${path}[]" item else [ ]) value
      else if builtins.isAttrs value then
        inside path value
      else
        [ ]
    );
  inside =
    path: record:
    concatMap (name: walk (child path name) record.${name}) (attrNames record)
    ++ map (lacks: { inherit path lacks; }) (
      filter (name: !(record ? ${name})) (
        concatMap (
          row:
          let
            found = match "(.*)[.]([^.]+)" row;
          in
          if found != null && head found == path then [ (builtins.elemAt found 1) ] else [ ]
        ) required
      )
    );

  # Groups are in no row of their own, but for lists.
  groups = [ "bootLoader" "fileSystems" "swap" "initrd" "users" "sshd" "console" "network" "system" ];
  isKnown =
    seen:
    seen ? lacks
    || schema.${seen.path} or null == seen.type
    || elem seen.path groups && seen.type == "{}"
    || seen.path == "schema" && seen.type == "int";
  problems =
    keep: concatMap (
      file:
      map (seen: "${file}: ${seen.path}${if seen ? lacks then " has no ${seen.lacks}" else ": ${seen.type}"}") (
        filter keep (concatMap (name: walk name documents.${file}.${name}) (attrNames documents.${file}))
      )
    ) (attrNames documents);
  none = list: if list == [ ] then true else builtins.trace (builtins.concatStringsSep "\n" list) false;

  occurring = listToAttrs (
    map (seen: { name = seen.path; value = true; }) (
      concatMap (document: concatMap (name: walk name document.${name}) (attrNames document)) (builtins.attrValues documents)
    )
  );
in
{
  "facts: the table is of at least 40 configurations" = builtins.length (attrNames documents) >= 40;
  "facts: each has every group, and none is null" = builtins.all (
    document: attrNames document == builtins.sort (a: b: a < b) ([ "schema" ] ++ groups) && !elem null (builtins.attrValues document)
  ) (builtins.attrValues documents);
  "facts: each key is in the schema, with its type" = none (problems (seen: !isKnown seen));
  "facts: what is never absent is there" = none (problems (seen: seen ? lacks));
  "facts: each key of the schema occurs" = none (
    map (row: "never seen: ${key row}") (filter (row: !(occurring ? ${key row})) rows)
  );
  "facts: nothing that is secret" = none (
    filter (file: builtins.length (split "PLANTED" (readFile (./facts + "/${file}"))) > 1) (attrNames documents)
  );
}
