#!/bin/sh
# Does what NixOS's install-grub.pl does with the configuration in
# its facts: kernels to /boot/kernels, grub.cfg written beside and
# renamed, GRUB itself when NIXOS_INSTALL_BOOTLOADER says so.
set -eu
top=$1
copy() {
    name=$(basename "$(readlink -f "$1")")
    if [ ! -e "/boot/kernels/$name" ]; then
        cp "$1" "/boot/kernels/$name.tmp"
        mv "/boot/kernels/$name.tmp" "/boot/kernels/$name"
    fi
    echo "$name"
}
mkdir -p /boot/kernels /boot/grub
kernel=$(copy "$top/kernel")
initrd=$(copy "$top/initrd")
cat >/boot/grub/grub.cfg.tmp <<END
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set default=0
set timeout=0
search --set=drive1 --fs-uuid @boot-uuid@
menuentry "NixOS - Default" {
  linux (\$drive1)//kernels/$kernel init=$top/init @parameters@
  initrd (\$drive1)//kernels/$initrd
}
END
mv /boot/grub/grub.cfg.tmp /boot/grub/grub.cfg
if [ "${NIXOS_INSTALL_BOOTLOADER:-}" = 1 ]; then
    grub=$top/grub
    "$grub/lib/ld-linux-x86-64.so.2" --library-path "$grub/lib" "$grub/bin/grub-install" \
        --target=i386-pc --directory="$grub/i386-pc" --boot-directory=/boot \
        --locale-directory="$grub/lib" @disk@
fi
