#!/bin/sh
# The part of an activation that a root without any population needs.
PATH=@busybox@/bin
umask 022
mkdir -p /etc /home /root /var /var/log /usr/bin /bin
mkdir -p /tmp
chmod 1777 /tmp
if ! grep -q ' /etc overlay ' /proc/mounts; then
    ln -sfn @out@/etc /etc/static
    ln -sfn /etc/static/os-release /etc/os-release
fi
: >/etc/NIXOS
ln -sfn @busybox@/bin/env /usr/bin/env
ln -sfn @busybox@/bin/sh /bin/sh
