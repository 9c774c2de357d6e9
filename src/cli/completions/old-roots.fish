
# Files only where an option takes one.
complete -c nixos-lustrate -f

function __fish_nixos_lustrate_old_roots
    set -l words (commandline -opc)
    set -l root /
    for i in (seq (count $words))
        switch $words[$i]
            case --root
                set root $words[(math $i + 1)]
            case '--root=*'
                set root (string replace -- --root= '' $words[$i])
        end
    end
    set -l root (string trim --right --chars / -- $root)
    for name in $root/old-root $root/old-root-* $root/nixos-root $root/nixos-root-*
        test -d $name; and string replace -r '.*/' '' -- $name
    end
end
complete -c nixos-lustrate -n "__fish_nixos_lustrate_using_subcommand purge" -a "(__fish_nixos_lustrate_old_roots)" -d 'An old root'
