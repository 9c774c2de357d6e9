#!/bin/sh
systemctl show nixos-lustrate.service \
    -p ExecMainStartTimestampMonotonic -p ExecMainExitTimestampMonotonic \
    -p ExecMainStatus -p ActiveState -p SubState -p Result |
    while read -r line; do
        echo "unit $line"
    done >>/run/stage-1
if [ -L /nixos-closure ]; then
    exec chroot /sysroot "$(readlink /nixos-closure)/prepare-root"
fi
