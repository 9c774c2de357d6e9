# Read by the shell whose completions capture.zsh looks at: each word that
# compadd is given and takes is printed, in place of being shown.
bindkey '^I' complete-word
compadd() {
    # Only asked what would match: by _describe and the like.
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a offered
    builtin compadd -O offered "$@"
    print -rl -- $offered
    builtin compadd "$@"
}
say_begin() { print -r -- $'\n'BEGIN }
say_end() { print -r -- $'\n'ENDED; exit }
compprefuncs=(say_begin)
comppostfuncs=(say_end)
