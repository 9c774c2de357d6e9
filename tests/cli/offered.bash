# shellcheck shell=bash
# offered.bash COMPLETIONS HOW WORD...: prints what bash offers where the words have
# been typed, the last of them up to the cursor, one a line. COMPLETIONS is a file.
# HOW is `alone`, or `package`: the file is found by the package bash-completion.
set -eu
completions=$1 how=$2
shift 2
case $how in
    alone)
        # shellcheck disable=SC1090
        source "$completions"
        ;;
    package)
        export XDG_DATA_HOME
        XDG_DATA_HOME=$(mktemp -d)
        trap 'rm -r "$XDG_DATA_HOME"' EXIT
        mkdir -p "$XDG_DATA_HOME/bash-completion/completions"
        cp "$completions" "$XDG_DATA_HOME/bash-completion/completions/nixos-lustrate.bash"
        set +eu
        # shellcheck disable=SC1091
        source /usr/share/bash-completion/bash_completion
        # Asks to be tried again, when it has found it.
        _completion_loader nixos-lustrate
        [ $? = 124 ] || exit 1
        ;;
esac
[[ $(complete -p nixos-lustrate) =~ -F\ ([^ ]+) ]]
function=${BASH_REMATCH[1]}
set +e

COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_LINE=$*
COMP_POINT=${#COMP_LINE}
COMP_TYPE=9
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" || exit 1
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}"
