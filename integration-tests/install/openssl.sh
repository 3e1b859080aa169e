#!/usr/bin/env bash
# Makes sure that there is what the build needs for TLS to Kafka (OpenSSL's headers, pkg-config), and the `openssl` that
# the tests make their certificates with: installs the Debian packages where they are missing and we may.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

PACKAGES=(libssl-dev pkg-config openssl)

all_there() { command -v openssl >/dev/null && pkg-config --exists 'openssl >= 3'; }

one_at_a_time openssl
if ! all_there 2>/dev/null; then
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null ||
        die "OpenSSL 3 with headers, pkg-config or openssl is missing: install your system's packages ('sudo apt-get install ${PACKAGES[*]}') and run this again"
    say "installing the Debian packages ${PACKAGES[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
    apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends -y "${PACKAGES[@]}" >&2
    all_there || die "${PACKAGES[*]} are installed, and pkg-config finds no OpenSSL 3 all the same"
fi
