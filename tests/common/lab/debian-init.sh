#!/bin/bash
# The init of the old system: its own shell, libraries and tools report.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ -e /proc/self ] || mount -t proc proc /proc
[ -c /dev/console ] || mount -t devtmpfs devtmpfs /dev
{
    echo "REPORT begin"
    sed 's/^/REPORT mount /' /proc/self/mountinfo
    sed 's|^|REPORT file /etc/os-release |' /etc/os-release
    dpkg-query -W -f 'REPORT file dpkg ${Package}\n' base-files
    echo "REPORT end"
} >/dev/console
sync
mount -o remount,ro /
echo o >/proc/sysrq-trigger
sleep 10
