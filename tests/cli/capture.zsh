# capture.zsh FUNCTIONS WORDS: prints what zsh offers where WORDS have been typed,
# one word a line. FUNCTIONS is a directory with the completions, as installed.
zmodload zsh/zpty
zpty shell zsh -f -i

# Waits until the shell has said END.
ends() {
    local said
    repeat 200 { zpty -r shell said && [[ $said != *END* ]] || return 0 }
    return 1
}

zpty -w shell 'PROMPT= ; unsetopt prompt_cr prompt_sp; fpath=('"${(q)1}"' $fpath); autoload -Uz compinit; compinit -D -u'
zpty -w shell 'source '"${(q)0:A:h}"'/offered.zsh'
zpty -w shell 'print EN""D'
ends || exit 1
zpty -n -w shell "$2"$'\t'
local line inside=
while zpty -r shell line; do
    line=${line%%[$'\r\n']*}
    case $line in
        *BEGIN*) inside=yes ;;
        *ENDED*) exit 0 ;;
        *) [[ -z $inside ]] || print -r -- $line ;;
    esac
done
exit 1
