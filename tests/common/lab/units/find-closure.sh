#!/bin/sh
# As NixOS does it: init= from the kernel command line, its folder is the
# closure; what has no prepare-root is started but not activated.
read -r words </proc/cmdline
for word in $words; do
    case $word in
        init=*) init=${word#init=} ;;
    esac
done
if [ -z "$init" ]; then
    echo "No init= parameter on the kernel command line" >&2
    exit 1
fi
echo "NEW_INIT=$init" >/etc/switch-root.conf
closure=${init%/*}
if [ ! -x "/sysroot$closure/prepare-root" ]; then
    echo "$closure does not look like a NixOS installation - not activating"
    exit 0
fi
ln -s "$closure" /nixos-closure
