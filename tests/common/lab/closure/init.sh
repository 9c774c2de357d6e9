#!/bin/sh
# The init of the system: tells the host over the console what only a running
# system can know, and powers off. Each line begins with the word REPORT, so
# that a message of the kernel in between does no harm.
export PATH=@busybox@/bin
umask 022
say() {
    sed 's/^/REPORT /' >/dev/console
}
[ -e /proc/self ] || mount -t proc proc /proc
read -r started rest </proc/uptime
@out@/prepare-root
echo begin | say
echo "started $started" | say
sed 's/^/mount /' /proc/self/mountinfo | say
sed 's/^/stage1 /' /run/stage-1 | say
for entry in /* /.[!.]* /old-root/* /old-root/.[!.]* /etc/*; do
    [ -e "$entry" ] || [ -L "$entry" ] || continue
    stat -c 'entry %d %i %n' "$entry"
done | say
dmesg | grep nixos-lustrate | sed 's/^/kmsg /' | say
for file in /etc/os-release /etc/hostname; do
    [ -e "$file" ] && sed "s|^|file $file |" "$file" | say
done
# Something of stage 2's own, for the log and for the state.
echo "logged" >>/var/log/boots
mkdir -p /var/lib
echo "booted" >>/var/lib/boots
cut -d' ' -f1 /proc/uptime | sed 's/^/uptime /' | say
echo end | say
sync
mount -o remount,ro / 2>/dev/null
poweroff -f
