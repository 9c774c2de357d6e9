#!@out@/sw/bin/sh
# Stage 2: mounts what fstab names, writes as a running system writes, and has a
# root shell on the console.
export PATH=@out@/sw/bin HOME=/root TERM=dumb
umask 022
[ -e /proc/self ] || mount -t proc proc /proc
@out@/prepare-root
while read -r _ point kind _; do
    case $point in
        /boot*)
            mkdir -p "$point"
            mount "$point" || echo "no $point of type $kind"
            ;;
    esac
done </etc/fstab
hostname nixos
date >>/var/log/boots
date >>/var/lib/boots
echo "<<< NixOS is up >>>"
cd /root || exit
export PS1='[$?] root@nixos:\w# '
while :; do
    setsid cttyhack sh -i
done
