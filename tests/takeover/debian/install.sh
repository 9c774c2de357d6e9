#!/bin/bash
# Started once as init, on the machine itself, which it then switches off: the
# boot loader is installed as Debian's installer does it.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec </dev/null >/dev/console 2>&1
set -e
end() {
    echo "<<< installed: $? >>>"
    sync
    # Makes all read-only, then switches off.
    echo u >/proc/sysrq-trigger
    sleep 1
    echo o >/proc/sysrq-trigger
    sleep 60
}
trap end EXIT
mount -o remount,rw /
/lib/systemd/systemd-udevd --daemon
udevadm trigger
udevadm settle
mount -a
if [ -d /sys/firmware/efi ]; then
    mount -t efivarfs efivarfs /sys/firmware/efi/efivars
    grub-install --target=x86_64-efi --efi-directory=/boot/efi
else
    grub-install --target=i386-pc /dev/vda
fi
update-grub
rm /root/install.sh
udevadm control --exit
umount -R /boot || umount -R /boot/efi
