#!/usr/bin/env bash
# What more than one script needs: the cache of things that come from Debian's
# archive and the facts that Cargo.toml states. To be sourced from bash with
# `set -euo pipefail`. What a function answers goes to stdout, all else to
# stderr. `tests/lib.sh FUNCTION ARGUMENT...` calls one from another language.

# Else a function that is called as $(function) would run on after a failure.
shopt -s inherit_errexit

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Outside the checkout, so that a fresh clone need not download again.
# Everything in it appears by one rename: what is there is complete.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nixos-lustrate

# The oldest Rust that the package promises to build with.
msrv() {
    sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$repo/Cargo.toml"
}

# version_at_least HAVE WANT
version_at_least() {
    [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

# fetch_debs DIR PACKAGE[=VERSION]... downloads packages into DIR without
# installing them, and brings the package lists first where there are none.
fetch_debs() {
    local dir=$1
    shift
    # apt drops its rights to download and warns when it cannot write there.
    (cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download "$@" >&2) ||
        { apt-get -qq update >&2 &&
            (cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download "$@" >&2); }
}

# debian_root [SUITE] names a tar.zst of a minimal Debian root, made with
# debootstrap (25 s) the first time that it is asked for.
debian_root() {
    local suite=${1:-bookworm}
    local tarball=$cache/debian-$suite-minbase.tar.zst
    if [ ! -e "$tarball" ]; then
        (
            mkdir -p "$cache"
            partial=$(mktemp -d "$cache/debootstrap.XXXXXX")
            trap 'rm -rf --one-file-system "$partial"' EXIT
            echo "making a minimal Debian $suite (half a minute, once)" >&2
            debootstrap --variant=minbase "$suite" "$partial/root" \
                ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$partial/log" ||
                { cat "$partial/log" >&2 && exit 1; }
            tar -C "$partial/root" --numeric-owner --acls --xattrs --xattrs-include='*' \
                --exclude='./var/cache/apt/archives/*.deb' --exclude='./var/lib/apt/lists/*_*' \
                -c . | zstd -q -T0 -5 -o "$partial/tar.zst"
            mv "$partial/tar.zst" "$tarball"
        )
    fi
    printf '%s\n' "$tarball"
}

# rustc_of VERSION names a rustc of that version (1.88 is any 1.88.x): rustup's,
# one that is installed, or Debian's rustc-web, unpacked below the cache since
# another version of it is installed. Answers nothing where there is none.
rustc_of() {
    local version=$1 toolchain candidate dir deb
    for toolchain in "$version" "$version.0"; do
        if rustup run "$toolchain" rustc --version >/dev/null 2>&1; then
            rustup which --toolchain "$toolchain" rustc
            return
        fi
    done
    for candidate in rustc /usr/bin/rustc; do
        if [[ "$($candidate --version 2>/dev/null || true)." == "rustc $version."* ]]; then
            command -v "$candidate"
            return
        fi
    done
    dir=$cache/rust-$version
    if [ ! -e "$dir" ]; then
        deb=$(debian_version rustc-web "$version")
        [ -n "$deb" ] || return 0
        unpack_rustc "$version" "$deb" "$dir"
    fi
    printf '%s\n' "$dir/rustc"
}

# debian_version PACKAGE VERSION gives the full version, revision and all, under
# which Debian's archive has it; nothing if it has not.
debian_version() {
    command -v apt-cache >/dev/null || return 0
    # Without package lists it knows only what is installed.
    [ -n "$(apt-cache madison "$1")" ] || apt-get -qq update >&2
    apt-cache madison "$1" |
        awk -v want="$2" 'index($3, want "+") == 1 || index($3, want ".") == 1 { found = $3 } END { print found }'
}

# unpack_rustc VERSION DEBIAN-VERSION DIR: a wrapper DIR/rustc and all it needs.
unpack_rustc() {
    (
        mkdir -p "$cache"
        partial=$(mktemp -d "$cache/rust.XXXXXX")
        trap 'rm -rf "$partial"' EXIT
        chmod 755 "$partial"
        fetch_debs "$partial" "rustc-web=$2" "libstd-rust-web-dev=$2" "libstd-rust-web-$1=$2"
        llvm=$(dpkg-deb -f "$partial/libstd-rust-web-$1"_*.deb Depends | grep -o 'libllvm[0-9]*')
        fetch_debs "$partial" "$llvm"
        for package in "$partial"/*.deb; do dpkg-deb -x "$package" "$partial/root"; done
        rm "$partial"/*.deb
        cat >"$partial/rustc" <<'END'
#!/bin/sh
root=$(dirname "$0")/root
LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-linux-gnu) exec "$root/usr/bin/rustc" "$@"
END
        chmod 755 "$partial/rustc"
        "$partial/rustc" --version >&2
        mv -T "$partial" "$3"
    )
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    "$@"
fi
