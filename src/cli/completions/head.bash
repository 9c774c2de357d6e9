# Completions of nixos-lustrate for bash, from 4.0 on.
_nixos_lustrate() {
    local current=$2 option=${COMP_WORDS[COMP_CWORD - 1]} attached='' command='' root=/
    local options='' words='' kind=words i
    COMPREPLY=()

    # `=` is a word of its own, unless somebody has changed COMP_WORDBREAKS.
    if [[ ${COMP_WORDS[COMP_CWORD]} == = ]]; then
        current=''
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $current == --*=* ]]; then
        option=${current%%=*} attached=${current%%=*}= current=${current#*=}
    fi

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --root)
                [[ ${COMP_WORDS[i + 1]} != = ]] || ((i++))
                root=${COMP_WORDS[++i]}
                ;;
            --root=*) root=${COMP_WORDS[i]#*=} ;;
            -*) ;;
            *) command=${command:-${COMP_WORDS[i]}} ;;
        esac
    done
    # As typed, with what quotes it.
    root=${root//[\\\"\']/}

