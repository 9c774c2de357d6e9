#!/usr/bin/env bash
# systemd-boot.sh DIR unpacks Debian's systemd-boot there. It is not installed: its
# package would put it onto the ESP of this machine.
set -euo pipefail
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
mkdir -p "$1"
fetch_debs "$1" systemd-boot-efi
dpkg-deb -x "$1"/systemd-boot-efi_*.deb "$1"
rm "$1"/*.deb
