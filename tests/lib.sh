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

# os FIELD: of this machine's os-release.
os() {
    # shellcheck disable=SC1091 # the machine's
    (. /etc/os-release 2>/dev/null && printf '%s\n' "${!1-}") || true
}

# The package with a libunwind.a that is made for musl as well: its name has
# LLVM's version, which is another in each Debian.
libunwind_dev() {
    case $(os VERSION_CODENAME) in
        bookworm) echo libunwind-14-dev ;;
        *) echo libunwind-19-dev ;;
    esac
}

# A cargo that is new enough is used, wherever it comes from.
have_cargo() {
    local version
    version=$(cargo --version 2>/dev/null | cut -d ' ' -f 2) && version_at_least "$version" "$(msrv)"
}

# tests/build-static wants Debian's compiler, with `-C panic=immediate-abort`.
static_rustc=1.92
have_static_rustc() {
    local version
    version=$(/usr/bin/rustc --version 2>/dev/null | cut -d ' ' -f 2) &&
        version_at_least "$version" "$static_rustc"
}

# Whether apt's lists have such a compiler; of it are cargo-web, rustc-web and
# what goes with them.
apt_has_rust() {
    local version
    version=$(apt-cache policy cargo-web 2>/dev/null | sed -n 's/^ *Candidate: //p')
    [ -n "$version" ] && [ "$version" != '(none)' ] && version_at_least "$version" "$static_rustc"
}

# Where a newer compiler comes from, to be pasted.
where_rust_is() {
    local suite
    if [ "$(os ID)" != debian ]; then
        echo "    https://rustup.rs has one"
        return
    fi
    suite=$(os VERSION_CODENAME)-security
    echo "    Debian's security archive has one; paste this, and repeat:"
    echo "        echo 'deb http://deb.debian.org/debian-security $suite main' >>/etc/apt/sources.list"
    echo "        apt-get update"
}

# preflight COMMAND NEED... says at once, before anything is installed or
# compiled, all that COMMAND needs and this machine has not. A NEED is
#   root             the effective user
#   mounts           loop devices, and mounts that nobody else sees
#   rust             a compiler that is new enough, or can be installed
#   PLACE=MIB        so much space there, less what PLACE has already
preflight() {
    local command=$1 need problems=() places=()
    shift
    for need; do
        case $need in
            root) [ "$(id -u)" = 0 ] || problems+=("  not root: it mounts, and attaches loop devices.
    Run it as root, on a machine of your own or a virtual one.
    What needs no root runs as a user with: cargo test") ;;
            mounts)
                can_loop || problems+=("  no loop device can be attached: file systems are made in files.
    In a container, run it with --privileged and /dev of the host; else: modprobe loop")
                can_unshare || problems+=("  no mounts that nobody else sees: unshare --mount fails.
    In a chroot, / has to be a mount point: mount --bind DIR DIR; chroot DIR")
                ;;
            rust) can_have_rust || problems+=("  no cargo of at least $(msrv)$(other_cargo), and apt has none to install:
$(where_rust_is)") ;;
            *=*) places+=("$need") ;;
        esac
    done
    need=$(lacking_space "${places[@]}")
    [ -z "$need" ] || problems+=("$need")
    [ ${#problems[@]} -gt 0 ] || return 0
    {
        echo "$command cannot work here:"
        printf '%s\n' "${problems[@]}"
    } >&2
    return 1
}

can_unshare() {
    [ "$(id -u)" != 0 ] || unshare --mount true 2>/dev/null
}

# Attaches one, and lets it go.
can_loop() {
    [ "$(id -u)" = 0 ] || return 0 # which is said already
    local file device status=0
    command -v losetup >/dev/null || return 1
    file=$(mktemp)
    truncate -s 1M "$file"
    device=$(losetup --find --show "$file" 2>/dev/null) || status=1
    [ -z "$device" ] || losetup --detach "$device"
    rm "$file"
    return "$status"
}

# With the security archive among its sources, apt may know after an update.
can_have_rust() {
    if have_cargo && { have_static_rustc || [ "$(os ID)" != debian ]; }; then return 0; fi
    [ "$(os ID)" = debian ] && command -v apt-get >/dev/null || return 1
    ! apt_has_rust || return 0
    # Debian 12's first release has an older one, and Debian 13 none at first.
    [ "$(os VERSION_CODENAME)" = bookworm ] || [ -n "$(apt-cache madison cargo-web)" ] || return 0
    # shellcheck disable=SC2016 # apt's own
    apt-get indextargets --format '$(RELEASE)' | grep -e -security >/dev/null
}

other_cargo() {
    local version
    version=$(cargo --version 2>/dev/null | cut -d ' ' -f 2) || return 0
    echo " (here is $version)"
}

# lacking_space PLACE=MIB... prints what is too little, by file system.
lacking_space() {
    local place mib device free used
    local -A more=() where=()
    for place; do
        mib=${place##*=} place=${place%=*}
        used=0
        [ ! -d "$place" ] || used=$(du -sm "$place" 2>/dev/null | cut -f 1)
        while [ ! -e "$place" ]; do place=$(dirname "$place"); done
        device=$(stat -c %d "$place")
        more[$device]=$((${more[$device]-0} + (mib > used ? mib - used : 0)))
        where[$device]=$place
    done
    for device in "${!more[@]}"; do
        free=$(df -m --output=avail "${where[$device]}" | tail -n 1)
        [ "$free" -ge "${more[$device]}" ] ||
            echo "  $((free)) MiB free where ${where[$device]} is, and ${more[$device]} MiB are needed:
    free some, or set XDG_CACHE_HOME for what is kept outside the checkout ($cache)"
    done
}

# can_nix_build says why not when Nix cannot build for a store elsewhere, which it
# does in a sandbox, whatever is configured; chroots and containers may have none.
can_nix_build() {
    local dir said status=0
    dir=$(mktemp -d)
    mkdir "$dir/tools"
    cp /bin/busybox "$dir/tools/sh"
    said=$(HOME=$dir NIX_CONF_DIR=$dir nix-build --store "$dir/store" --no-out-link \
        --option substitute false --option build-users-group '' --option sandbox false \
        -E "derivation { name = \"probe\"; system = builtins.currentSystem;
            builder = \"\${builtins.path { path = $dir/tools; name = \"tools\"; }}/sh\";
            args = [ \"-c\" \"echo >\$out\" ]; }" 2>&1) || status=$?
    [ "$status" = 0 ] || printf 'Nix cannot build here (in a chroot or a container?): %s\n' "$(tail -n 1 <<<"$said")"
    chmod -R u+w "$dir"
    rm -rf "$dir"
    return "$status"
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
