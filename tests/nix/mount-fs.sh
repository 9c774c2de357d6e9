# A mountFS of our own that behaves like the one of nixpkgs' stage-1-init.sh as
# far as the hooks can see, for a machine without nixpkgs.
mountFS() {
    local device="$1" mountPoint="$2" options="$3" fsType="$4"

    mount "/mnt-root$mountPoint" || fail
    mount "/mnt-root$mountPoint" -o "remount,$options"

    if [ "$mountPoint" = / ] && [ -f /mnt-root/etc/NIXOS_LUSTRATE ]; then
        lustrateRoot /mnt-root
    fi
    true
}

lustrateRoot() {
    echo "stock lustration" >> "$log"
}
