#!/bin/sh
# A stage 1 that behaves like the scripted one of NixOS where it matters here:
# two hooks, each file system mounted from an fstab and then remounted, the
# marker check right after /, a lustrateRoot function that a hook may define
# anew and whose status is ignored, and a prompt on failure.
export PATH=/bin
/bin/busybox --install -s /bin

targetRoot=/mnt-root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=755 tmpfs /run
exec </dev/console >/dev/console 2>&1
echo "<<< stage 1 of busybox >>>"

stage2Init=/init
read -r words </proc/cmdline
for word in $words; do
    case $word in
        init=*) stage2Init=${word#init=} ;;
    esac
done

fail() {
    echo "An error occurred in stage 1. i) shell  r) reboot  *) go on"
    read -r reply || reboot -f
    case $reply in
        i) PS1='stage-1# ' setsid cttyhack sh || fail ;;
        r) reboot -f ;;
    esac
}

lustrateRoot() {
    echo "the lustration of NixOS itself would run here"
}

mountFS() {
    device=$1 point=$2 kind=$3 options=$4
    mkdir -p "$targetRoot$point"
    echo "$device $targetRoot$point $kind $options" >>/etc/fstab
    mount "$targetRoot$point" || fail
    mount "$targetRoot$point" -o "remount,$options"
    if [ "$point" = / ] && [ -f "$targetRoot/etc/NIXOS_LUSTRATE" ]; then
        lustrateRoot "$targetRoot"
    fi
}

while read -r module; do
    insmod "$module"
done </modules/order
tries=0
until [ -b /dev/vda ] || [ $tries = 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done

# shellcheck source=/dev/null
. /etc/post-resume-commands

exec 3</etc/mounts
while read -r device point kind options <&3; do
    mountFS "$device" "$point" "$kind" "$options"
done
exec 3<&-

# shellcheck source=/dev/null
. /etc/post-mount-commands

if [ ! -e "$targetRoot$stage2Init" ] && [ ! -L "$targetRoot$stage2Init" ]; then
    echo "stage 2 init script ($targetRoot$stage2Init) not found"
    fail
fi
mkdir -p "$targetRoot/proc" "$targetRoot/sys" "$targetRoot/dev" "$targetRoot/run"
for point in /proc /sys /dev /run; do
    mount -o move $point "$targetRoot$point"
done
exec env -i "$(command -v switch_root)" "$targetRoot" "$stage2Init"
