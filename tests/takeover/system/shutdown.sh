#!@out@/sw/bin/sh
# Unmounts what can be, and switches off, or with -r boots anew.
PATH=@out@/sw/bin
cd /
umount /boot/efi /boot 2>/dev/null
sync
mount -o remount,ro /
case $1 in
    -r) reboot -f ;;
    *) poweroff -f ;;
esac
