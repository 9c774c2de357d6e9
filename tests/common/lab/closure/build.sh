#!/bin/sh
# The builder of the system; Nix gives it these as variables.
: "${out:?}" "${busybox:?}" "${init:?}" "${prepare:?}"
export PATH="$busybox/bin"
mkdir -p "$out/etc" "$out/sw"
for name in init prepare; do
    case $name in
        init) from=$init to=$out/init ;;
        prepare) from=$prepare to=$out/prepare-root ;;
    esac
    sed -e "1s|.*|#!$busybox/bin/sh|" -e "s|@busybox@|$busybox|g" -e "s|@out@|$out|g" "$from" >"$to"
    chmod 555 "$to"
done
printf 'ID=nixos\nNAME=NixOS\nPRETTY_NAME="NixOS of the VM tests"\n' >"$out/etc/os-release"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$out/etc/passwd"
printf '26.05' >"$out/nixos-version"
ln -s "$busybox/bin" "$out/sw/bin"
