#!/usr/bin/env bash
# Builds docker compose into $CLICKPULSE_CACHE/docker-compose-VERSION/docker-compose. `docker-compose config` checks a
# compose file by the parser people use, without a Docker engine. Takes 2 to 3 minutes on two cores, once; does nothing
# when the binary is there. Prints the binary's path.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

VERSION=2.40.3
HOME_DIR="$CACHE/docker-compose-$VERSION"
BINARY="$HOME_DIR/docker-compose"
JOBS="${CLICKPULSE_BUILD_JOBS:-$(nproc)}"

one_at_a_time compose
if [ ! -x "$BINARY" ]; then
    need go "docker compose is written in it"
    say "building docker compose $VERSION with $JOBS jobs"
    src="$HOME_DIR/src"
    mkdir -p "$src"
    cd "$src"
    cat >go.mod <<MOD
module compose-build

go 1.24.9

require github.com/docker/compose/v2 v$VERSION
MOD
    cat >tools.go <<GO
//go:build tools

package tools

import _ "github.com/docker/compose/v2/cmd"
GO
    GOFLAGS=-mod=mod go mod tidy >tidy.log 2>&1 || { tail -20 tidy.log >&2; die "go mod tidy failed"; }
    go build -p "$JOBS" -o bin/docker-compose github.com/docker/compose/v2/cmd >&2
    mv bin/docker-compose "$BINARY"
    cd /
    rm -rf "$src"
fi
echo "$BINARY"
