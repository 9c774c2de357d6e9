#!/bin/sh
# Does what NixOS's builder for systemd-boot (@part:systemd-boot@) does: kernels and
# an entry on the ESP, and, when NIXOS_INSTALL_BOOTLOADER says so, systemd-boot
# itself, first in the firmware's order.
set -eu
top=$1 esp=/boot/efi
copy() {
    name=$(basename "$(readlink -f "$1")").efi
    if [ ! -e "$esp/EFI/nixos/$name" ]; then
        cp "$1" "$esp/EFI/nixos/$name.tmp"
        mv "$esp/EFI/nixos/$name.tmp" "$esp/EFI/nixos/$name"
    fi
    echo "$name"
}
mkdir -p "$esp/EFI/nixos" "$esp/EFI/systemd" "$esp/EFI/BOOT" "$esp/loader/entries"
kernel=$(copy "$top/kernel")
initrd=$(copy "$top/initrd")
cat >"$esp/loader/entries/nixos-generation-1.conf" <<END
title NixOS
version Generation 1
linux /EFI/nixos/$kernel
initrd /EFI/nixos/$initrd
options init=$top/init @parameters@
END
printf 'timeout 0\ndefault nixos-generation-1.conf\n' >"$esp/loader/loader.conf"
if [ "${NIXOS_INSTALL_BOOTLOADER:-}" = 1 ]; then
    for place in systemd/systemd-bootx64.efi BOOT/BOOTX64.EFI; do
        cp "$top/efi/systemd-bootx64.efi" "$esp/EFI/$place"
    done
    "$top/efi/lib/ld-linux-x86-64.so.2" --library-path "$top/efi/lib" "$top/efi/bin/efibootmgr" \
        --quiet --create --disk /dev/vda --part 1 --label "Linux Boot Manager" \
        --loader '\EFI\systemd\systemd-bootx64.efi'
fi
