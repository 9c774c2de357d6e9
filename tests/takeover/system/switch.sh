#!@out@/sw/bin/sh
# What switch-to-configuration does when it is told `boot`: it calls the installer.
export PATH=@out@/sw/bin
export INSTALL_BOOTLOADER='@installer@'
[ "$1" = boot ] || { echo "only boot works here" >&2 && exit 1; }
exec sh "$INSTALL_BOOTLOADER" @out@
