#!/bin/sh
# install-packages.sh [--commands NAME... --] PACKAGE... - installs the Debian packages that are missing, through sudo when
# not root. With --commands nothing is installed when all the commands are there, whoever installed them.
set -eu

if [ "${1:-}" = --commands ]; then
    shift
    found=yes
    while [ "$1" != -- ]; do
        command -v "$1" >/dev/null 2>&1 || found=no
        shift
    done
    shift
    [ "$found" = no ] || exit 0
fi

missing=
for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "install-packages: no apt-get here; install what these Debian packages hold:$missing" >&2
    exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "install-packages: run as root or install sudo; missing:$missing" >&2; exit 1; }
    sudo=sudo
fi
echo "installing$missing"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
