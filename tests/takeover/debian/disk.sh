#!/usr/bin/env bash
# disk.sh VARIANT TREE IMAGE lays a disk out and copies the tree onto it. Its boot
# loader is still missing: that the machine installs itself, with install.sh.
#   bios  DOS partitions: /boot, ext4; the root
#   uefi  GPT: the ESP, at /boot/efi; the root
set -euo pipefail
variant=$1 tree=$2 image=$3
root=7a6e0001-0000-4000-8000-00000000000a boot=7a6e0001-0000-4000-8000-00000000000b esp=7A6E000C

start=2048 size=409600 next=$((2048 + 409600)) sectors=$((2 << 21))
truncate -s $((sectors * 512)) "$image"
case $variant in
    bios) sfdisk -q "$image" <<<"label: dos
start=$start, size=$size, type=83, bootable
start=$next, type=83" ;;
    uefi) sfdisk -q "$image" <<<"label: gpt
start=$start, size=$size, type=uefi
start=$next, size=$((sectors - next - 2048)), type=linux" ;;
esac
first=$(losetup -f --show -o $((start * 512)) --sizelimit $((size * 512)) "$image")
second=$(losetup -f --show -o $((next * 512)) --sizelimit $(((sectors - next - 2048) * 512)) "$image")
mounts=$(mktemp -d)
finish() {
    umount -q "$mounts/boot" "$mounts" || true
    losetup -d "$first" "$second"
    rmdir "$mounts"
}
trap finish EXIT
eager=lazy_itable_init=0,lazy_journal_init=0
mkfs.ext4 -q -L root -U $root -E $eager "$second"
mount "$second" "$mounts"
cp -a "$tree/." "$mounts"
echo "UUID=$root / ext4 errors=remount-ro 0 1" >"$mounts/etc/fstab"
case $variant in
    bios)
        mkfs.ext4 -q -L boot -U $boot -E $eager "$first"
        rm -r "${mounts:?}/boot"
        mkdir "$mounts/boot"
        mount "$first" "$mounts/boot"
        cp -a "$tree/boot/." "$mounts/boot"
        echo "UUID=$boot /boot ext4 defaults 0 2" >>"$mounts/etc/fstab"
        ;;
    uefi)
        mkfs.vfat -F 32 -n ESP -i $esp "$first" >/dev/null
        mkdir "$mounts/boot/efi"
        echo "UUID=${esp:0:4}-${esp:4} /boot/efi vfat umask=0077 0 1" >>"$mounts/etc/fstab"
        ;;
esac
install -m 755 "$(dirname "$0")/install.sh" "$mounts/root/install.sh"
