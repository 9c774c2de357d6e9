#!/bin/sh
# A stage 1 that has not come to its end by now says what it waits for.
sleep 45
exec >/dev/console 2>&1
echo "<<< stuck >>>"
systemctl --no-pager list-jobs
systemctl --no-pager list-units --all 'initrd*' 'sysroot*' 'nixos*'
journalctl --no-pager -b -o short-monotonic -n 60
