# shellcheck shell=sh
# What people use today, as the NixOS manual describes it ("Lustrating a root"):
# all that is in the root moves to /old-root, except /nix and /boot, and what the
# marker lists is copied back. Written for the comparison, with fewer processes
# than the function of NixOS: the keep-list is taken as it is, nothing is printed.
# sh stock.sh ROOT
set -e
root=$1
mkdir -m 0755 "$root/old-root"
for entry in "$root"/*; do
    case $entry in
        "$root/nix" | "$root/boot" | "$root/old-root") continue ;;
    esac
    mv "$entry" "$root/old-root/"
done
mkdir -m 0755 "$root/etc"
: >"$root/etc/NIXOS"
while read -r keeper; do
    case $keeper in
        */*) mkdir -p "$root/${keeper%/*}" ;;
    esac
    cp -a "$root/old-root/$keeper" "$root/$keeper"
done <"$root/old-root/etc/NIXOS_LUSTRATE"
