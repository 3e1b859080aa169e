#!/usr/bin/env bash
# Makes sure that a headless Chromium is there: installs the Debian package when it is missing and we may.
# Prints the browser's path.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

find_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

one_at_a_time chromium
if ! find_browser >/dev/null; then
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null ||
        die "no Chromium on the PATH: install your system's package ('sudo apt-get install chromium') and run this again"
    say "installing the Debian package"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=300 update >&2
    apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends -y chromium fonts-dejavu-core >&2
fi
find_browser
