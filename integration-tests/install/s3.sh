#!/usr/bin/env bash
# Installs moto, a server that speaks the S3 API, from PyPI into $CLICKPULSE_CACHE/moto-VERSION: a virtual environment of
# its own. Takes under a minute, once; does nothing when it is there. Prints the server's path.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

VERSION=5.2.5
HOME_DIR="$CACHE/moto-$VERSION"
SERVER="$HOME_DIR/bin/moto_server"

one_at_a_time s3
if [ ! -x "$HOME_DIR/ready" ]; then
    need python3 "moto is written in it"
    say "installing moto $VERSION"
    rm -rf "$HOME_DIR"
    # Debian keeps ensurepip in a package of its own.
    if ! python3 -m venv "$HOME_DIR" >&2; then
        [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || die "python3 -m venv fails: install python3-venv"
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
        apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends -y python3-venv >&2
        rm -rf "$HOME_DIR"
        python3 -m venv "$HOME_DIR" >&2
    fi
    "$HOME_DIR/bin/pip" install --quiet --disable-pip-version-check "moto[server,s3]==$VERSION" >&2
    install -m 755 /dev/null "$HOME_DIR/ready" # last: an interrupted installation is begun anew
fi
echo "$SERVER"
