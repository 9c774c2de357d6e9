#!/bin/sh
echo "<<< emergency mode >>>"
systemctl --no-pager --plain --no-legend --failed
journalctl --no-pager -o cat -b -u nixos-lustrate.service
if [ -e /etc/emergency-shell ]; then
    echo "<<< shell >>>"
    PS1='stage-1# ' sh
    # What systemd's own emergency shell does when it is left.
    exec systemctl --job-mode=fail --no-block default
fi
journalctl --no-pager -b -p warning
systemctl --no-pager list-jobs
poweroff -f
