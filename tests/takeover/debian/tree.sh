#!/usr/bin/env bash
# tree.sh DIR makes a Debian 12 there, as somebody runs it: users with files, SSH
# with its host keys, services that write to the disk, a root shell on the serial
# console. What only costs time under emulation is left out and listed here.
set -euo pipefail
tree=$1
packages=systemd-sysv,udev,kmod,initramfs-tools,zstd,linux-image-amd64
packages+=,grub2-common,grub-pc-bin,grub-efi-amd64-bin,openssh-server,cron,iproute2,efibootmgr,dbus
debootstrap --variant=minbase --include="$packages" bookworm "$tree" \
    ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$tree.log" || { cat "$tree.log" >&2 && exit 1; }
rm "$tree.log"

write() {
    mkdir -p "$(dirname "$tree/$1")"
    cat >"$tree/$1"
}

# Documentation, translations, and drivers of hardware that QEMU does not have.
rm -rf "$tree"/usr/share/{doc,info,locale,man}/* "$tree"/var/cache/apt/archives/*.deb \
    "$tree"/var/lib/apt/lists/*_* "$tree"/lib/modules/*/kernel/{sound,net,arch/x86/kvm}
find "$tree"/lib/modules/*/kernel/drivers -mindepth 1 -maxdepth 1 \
    ! -name block ! -name virtio -exec rm -rf {} +
chroot "$tree" depmod "$(ls "$tree/lib/modules")"
# Timers for a machine with a network and a long life, and consoles without a screen.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer getty-static.service getty@tty1.service; do
    chroot "$tree" systemctl -q mask "$unit" 2>/dev/null
done

echo debian | write etc/hostname
printf '127.0.0.1 localhost debian\n' | write etc/hosts
# A journal on the disk is one of the things that write to it.
mkdir -p "$tree/var/log/journal"
chroot "$tree" useradd --create-home --shell /bin/bash alice
chroot "$tree" useradd --create-home --shell /bin/bash bob
write home/alice/notes </dev/null
echo 'to be kept' >>"$tree/home/alice/notes"
ln "$tree/home/alice/notes" "$tree/home/alice/same-notes"
ln -s ../../srv/shared "$tree/home/alice/shared"
truncate -s 64M "$tree/home/bob/sparse"
echo shared | write srv/shared/file
mkfifo "$tree/srv/fifo"
chroot "$tree" chown -R alice: /home/alice
chroot "$tree" chown -R bob: /home/bob
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake admin' |
    write root/.ssh/authorized_keys
chmod 700 "$tree/root/.ssh"
mkdir -p "$tree/etc/nixos"
echo '{ boot.initrd.lustrate.enable = true; }' | write etc/nixos/configuration.nix

write etc/systemd/system/writer.service <<'END'
[Unit]
Description=A service that writes to the disk all the time
[Service]
StateDirectory=writer
ExecStart=/bin/sh -c 'while :; do date +%%s.%%N >>/var/lib/writer/log; sleep 0.2; done'
[Install]
WantedBy=multi-user.target
END
chroot "$tree" systemctl -q enable writer.service
write etc/systemd/system/serial-getty@ttyS0.service.d/console.conf <<'END'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noissue --keep-baud 115200 - dumb
END
chroot "$tree" systemctl -q enable serial-getty@ttyS0.service
# The tests read the status from the prompt. Without line editing the console
# shows what was typed as it was typed.
write root/.bashrc <<'END'
set +o emacs
PS1='[$?] root@debian:\w# '
END
: >"$tree/root/.hushlogin"
rm -f "$tree/etc/motd"
echo 0123456789abcdef0123456789abcdef | write etc/machine-id

write etc/initramfs-tools/conf.d/takeover <<'END'
MODULES=list
COMPRESS=zstd
END
printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic | write etc/initramfs-tools/modules
write etc/default/grub <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_CMDLINE_LINUX="console=ttyS0"
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_TERMINAL=serial
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_DISABLE_OS_PROBER=true
END
mount --bind /proc "$tree/proc"
trap 'umount "$tree/proc"' EXIT
chroot "$tree" update-initramfs -u -k all >&2
