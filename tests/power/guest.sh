#!/bin/sh
# Runs the program on /dev/vda between two marks, which are blocks beyond the
# file system. The command line says how: kind, options, verb, place, syncs.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
echo "<<< awake >>>"
kind='' options=defaults verb='' place='' syncs=no
read -r words </proc/cmdline
for word in $words; do
    case $word in
        kind=* | options=* | verb=* | place=* | syncs=*) eval "${word%%=*}=\${word#*=}" ;;
    esac
done
while read -r module; do
    insmod "$module"
done </modules/order
tries=0
until [ -b /dev/vda ] || [ $tries = 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done

mark() {
    tr '\0' "$1" </dev/zero | dd of=/dev/vda bs=4096 count=1 seek="$place" iflag=fullblock conv=fsync,notrunc 2>/dev/null
}

mount -t "$kind" -o "$options" /dev/vda /root || echo "<<< no mount >>>"
mark B
if [ "$syncs" = yes ]; then
    while :; do sync; done &
fi
nixos-lustrate "$verb" --root /root
echo "<<< status $? >>>"
if [ "$syncs" = yes ]; then
    kill $!
    wait $! 2>/dev/null
fi
mark E
umount /root
echo "<<< over >>>"
poweroff -f
