#!/bin/sh
# Stands before the program and notes for stage 2 what happens, as the
# observing drop-in does in the systemd stage 1.
echo "<<< lustration begins >>>"
{
    echo "run $(cut -d' ' -f1 /proc/uptime)"
    echo "below $(grep -c ' /mnt-root/' /proc/self/mountinfo)"
} >>/run/stage-1
/bin/observed/nixos-lustrate "$@"
status=$?
{
    echo "status $status"
    echo "end $(cut -d' ' -f1 /proc/uptime)"
    echo "below $(grep -c ' /mnt-root/' /proc/self/mountinfo)"
} >>/run/stage-1
exit $status
