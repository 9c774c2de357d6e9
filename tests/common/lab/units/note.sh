#!/bin/sh
# What happened in stage 1, for the report of stage 2.
read -r uptime rest </proc/uptime
case $1 in
    begin)
        echo "<<< lustration begins >>>" >/dev/console
        echo "run $uptime"
        ;;
    end) echo "end $uptime"; echo "status $2" ;;
    # Comes after a failure, and when the unit is stopped.
    stop) [ "$SERVICE_RESULT" = success ] && exit; echo "status ${EXIT_STATUS:-none}" ;;
esac >>/run/stage-1
echo "below $(grep -c ' /sysroot/' /proc/self/mountinfo)" >>/run/stage-1
