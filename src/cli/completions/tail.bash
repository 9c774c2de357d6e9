
    if [[ -z $attached && $current == -* ]]; then
        kind=words words=$options
    fi
    case $kind in
        words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
        directories) mapfile -t COMPREPLY < <(compgen -d -- "${current//\\/}") ;;
        files) mapfile -t COMPREPLY < <(compgen -f -- "${current//\\/}") ;;
        old-roots)
            for i in "${root%/}"/{old-root,old-root-*,nixos-root,nixos-root-*}; do
                [[ ! -d $i || ${i##*/} != "$current"* ]] || COMPREPLY+=("${i##*/}")
            done
            ;;
    esac
    if [[ -n $attached ]]; then
        COMPREPLY=("${COMPREPLY[@]/#/$attached}")
    fi
    # So that bash quotes what a name holds, and puts a slash behind a directory.
    case $kind in
        directories | files) compopt -o filenames 2>/dev/null ;;
    esac
    return 0
}

complete -F _nixos_lustrate nixos-lustrate
