_nixos-lustrate_old_roots() {
    # Quoted as typed, and once more by _arguments.
    local root=${(Q)${(Q)opt_args[--root]:-/}}
    local -a names
    names=(${root%/}/(old-root|old-root-*|nixos-root|nixos-root-*)(N/:t))
    compadd "$@" -- $names
}

