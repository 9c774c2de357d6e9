#!@out@/sw/bin/sh
# An activation, as far as this system needs one. What is kept is left alone.
PATH=@out@/sw/bin
umask 022
mkdir -p /etc /home /root /var/lib /var/log /usr/bin /bin /run
mkdir -p /tmp
chmod 1777 /tmp
ln -sfn @out@/etc /etc/static
for name in os-release fstab; do
    ln -sfn "/etc/static/$name" "/etc/$name"
done
: >/etc/NIXOS
[ -e /etc/machine-id ] || tr -dc 0-9a-f </dev/urandom | head -c 32 >/etc/machine-id
if [ ! -e /etc/ssh/ssh_host_ed25519_key ]; then
    mkdir -p /etc/ssh
    echo "a new key" >/etc/ssh/ssh_host_ed25519_key
fi
[ -e /etc/passwd ] || echo 'root:x:0:0:root:/root:/bin/sh' >/etc/passwd
ln -sfn @out@/sw/bin/env /usr/bin/env
ln -sfn @out@/sw/bin/sh /bin/sh
ln -sfn @out@ /run/current-system
