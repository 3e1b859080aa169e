#!/usr/bin/env bash
# Builds cargo-deny into $CLICKPULSE_CACHE/cargo-deny/bin: the check of licences and banned dependencies. Takes 3 minutes
# on two cores, once; does nothing when this version is there. Prints the binary's path.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

VERSION=0.20.2
HOME_DIR="$CACHE/cargo-deny"
BINARY="$HOME_DIR/bin/cargo-deny"

one_at_a_time cargo-deny
if [ ! -x "$BINARY" ] || [ "$("$BINARY" --version)" != "cargo-deny $VERSION" ]; then
    need cargo "cargo-deny is built with it"
    say "building cargo-deny $VERSION"
    # A target folder of its own: the workspace's lints and flags do not apply to it.
    CARGO_TARGET_DIR="$HOME_DIR/target" cargo install --quiet --locked --version "$VERSION" --root "$HOME_DIR" cargo-deny >&2
    rm -rf "$HOME_DIR/target"
fi
echo "$BINARY"
