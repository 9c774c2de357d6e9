# How options are read and records written. What a user left out of a set without
# a type must be a throw: nothing catches a missing attribute.
let
  inherit (builtins) attrNames elem filter isAttrs isFunction isList;
in
rec {
  # Null where this release has no such option, or only its old name: a removed
  # option throws, and a renamed one prints a warning.
  get = option: if option ? value && option.visible or true != false then option.value else null;
  isOn = option: get option == true;

  # toString, not "${}": no path is copied into the store, and nothing that is
  # named becomes a dependency of boot.json.
  text =
    value:
    if value == null then
      null
    else if isList value || isFunction value || isAttrs value && !(value ? outPath) then
      throw "not a text" # where toString aborts
    else
      builtins.unsafeDiscardStringContext (toString value);
  must = name: set: set.${name} or (throw "no ${name}");
  list = value: if value == null then [ ] else value;
  texts = values: map text (list values);
  same = value: value;
  when = condition: value: if condition then value else null;

  # A record without what is null or empty.
  compact =
    record:
    let
      isNothing = value: value == null || value == "" || value == [ ] || value == { };
    in
    removeAttrs record (filter (name: isNothing record.${name}) (attrNames record));

  # The record of these keys of a set: { key = how it is written; }.
  pick = keys: set: compact (builtins.mapAttrs (name: write: write (set.${name} or null)) keys);

  # [ { name; value; } ], as records and not by name: names are the user's.
  named = set: map (name: { inherit name; value = set.${name}; }) (if set == null then [ ] else attrNames set);
  values = set: map (entry: entry.value) (named set);

  # Of a list of names, or of { name = true; }.
  names =
    value:
    if isAttrs value then
      filter (name: value.${name} == true) (attrNames value)
    else
      texts value;

  unique = builtins.foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
}
